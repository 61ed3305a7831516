// Fly's codes beside our own, in the table and in docs/errors.md (reference section 3.6).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { ErrorCode } from "../../src/core/errors.ts";
import { FLY_CODES, flyFailure } from "../../src/core/fly-codes.ts";

const WITHIN = "could not find a good candidate within 7 attempts at load balancing";

for (const [code, attempts, isRequest, fly, message] of [
  ["connect_refused", 7, true, "PR03", `${WITHIN}. last error: [PC01] the machine refused the connection`],
  ["connect_timeout", 7, true, "PR03", `${WITHIN}. last error: [PC05] the machine did not accept the connection in time`],
  ["connect_failed", 7, false, "PR03", `${WITHIN}. last error: [PC06] the machine could not be reached`],
  ["upstream_reset", 7, true, "PC03", undefined],
  ["upstream_closed", 7, true, "PU02", undefined],
  ["at_capacity", 0, true, "PR04", undefined],
  ["no_healthy_machine", 7, true, "PR04", WITHIN],
  ["no_machine", 0, false, "PR01", undefined],
  ["wake_timeout", 0, true, "PM05", undefined],
  ["replay_body_lost", 1, true, "PA01", undefined],
  ["replay_loop", 11, true, "PA02", undefined],
  ["replay_malformed", 1, true, "PA03", undefined],
  ["replay_target_not_found", 1, true, "PA04", undefined],
] as const) {
  test(`(3.6) ${code} of a ${isRequest ? "request" : "connection"} after ${attempts} attempts is ${fly}`, () => {
    assert.deepEqual(flyFailure(code, attempts, isRequest), { code: fly, message });
  });
}

test("(3.6) what only Kittiwake has is told by its own name alone", () => {
  for (const code of ["unknown_host", "client_closed", "internal"] as const) assert.equal(flyFailure(code, 1, true), null);
});

test("(3.6) every code of Fly's is one of ours, or docs/errors.md says why there is none", () => {
  const markdown = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const section = /## Fly's codes\n([^]*?)\n## /.exec(markdown)![1]!;
  const told = new Set<string>();
  for (const [, kind, first, last] of section.matchAll(/\b(P[A-Z])(\d\d)(?:\s+to\s+P[A-Z](\d\d))?/g)) {
    for (let number = Number(first); number <= Number(last ?? first); number++) told.add(`${kind}${String(number).padStart(2, "0")}`);
  }
  const catalogue = { PP: 1, PU: 4, PC: 8, PT: 9, PM: 11, PA: 5, PE: 2, PR: 5, PL: 2 };
  const all = Object.entries(catalogue).flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, i) => `${kind}0${i + 1}`.replace(/0(\d\d)$/, "$1")),
  );
  assert.deepEqual(
    all.filter((code) => !told.has(code)),
    [],
  );
});

test("(3.6) docs/errors.md has the same table", () => {
  const markdown = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const documented: Partial<Record<ErrorCode, string>> = {};
  for (const [, fly = "", codes = ""] of markdown.matchAll(/^\| (P[A-Z]\d\d) \| ([^|]+) \|/gm)) {
    for (const [, code] of codes.matchAll(/`([a-z_]+)`/g)) {
      const before = documented[code as ErrorCode];
      assert.ok(before === undefined || fly === "PR01", `${code} is there twice`);
      if (fly !== "PR01") documented[code as ErrorCode] = fly;
    }
  }
  assert.deepEqual(Object.fromEntries(Object.entries(documented).toSorted()), Object.fromEntries(Object.entries(FLY_CODES).toSorted()));
});
