import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { formatDuration, parseDuration } from "../../src/core/duration.ts";

test("every unit of Go's syntax is understood, alone and combined", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["0s", 0],
    ["+0", 0],
    ["800ms", 800],
    ["1s", 1_000],
    ["1m21s", 81_000],
    ["1.5h", 5_400_000],
    ["1h15m30.918s", 4_530_918],
    ["3us", 0.003],
    ["3µs", 0.003],
    ["3μs", 0.003],
    ["7ns", 0.000007],
    ["1.s", 1_000],
    [".5s", 500],
    ["+5s", 5_000],
    ["-1.5s", -1_500],
    ["1s1s", 2_000],
    ["3000h", 10_800_000_000],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
});

test("what Go refuses is refused", () => {
  const texts = [
    "",
    "-",
    "+",
    "5",
    "1",
    "s",
    ".s",
    "1.5",
    "1 s",
    " 1s",
    "1s ",
    "15 parsecs",
    "1d",
    "1w",
    "1S",
    "1_000ms",
    "--1s",
    "1e3s",
    "1s,",
    "٣s",
  ];
  for (const text of [...texts, "9999999h", "0x1s", "infinity", "NaNs"]) assert.equal(parseDuration(text), null, text);
});

test("durations are written in the largest units that fit", () => {
  const cases: [number, string][] = [
    [0, "0s"],
    [0.000007, "7ns"],
    [0.25, "250us"],
    [1.5, "1.5ms"],
    [800, "800ms"],
    [1_500, "1.5s"],
    [81_000, "1m21s"],
    [60_000, "1m"],
    [5_400_000, "1h30m"],
    [3_600_001, "1h0.001s"],
    [-1_500, "-1.5s"],
  ];
  for (const [ms, text] of cases) assert.equal(formatDuration(ms), text);
});

test("what is written is read as the same number of milliseconds", () => {
  fc.assert(fc.property(fc.integer({ min: -1e12, max: 1e12 }), (ms) => parseDuration(formatDuration(ms)) === ms));
  const nearly = (ms: number) => Math.abs(parseDuration(formatDuration(ms))! - ms) < 1e-6 + ms * 1e-12;
  fc.assert(fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), nearly));
});

test("any text gives a finite number or null", () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[-+]?[0-9.]{1,6}(ns|us|µs|ms|s|m|h|d)[0-9.smh]{0,6}$/));
  fc.assert(
    fc.property(text, (value) => {
      const ms = parseDuration(value);
      return ms === null || Number.isFinite(ms);
    }),
  );
});
