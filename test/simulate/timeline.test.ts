// The virtual clock, chance, and when requests come.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Rate } from "../../src/simulate/arrivals.ts";
import { Chance } from "../../src/simulate/random.ts";
import { Timeline } from "../../src/simulate/timeline.ts";

const HOUR_MS = 3_600_000;

test("what is planned happens in the order of time, at the same moment in that of planning, and what is past happens next", () => {
  const timeline = new Timeline();
  const chance = new Chance(7);
  const seen: [atMs: number, nth: number][] = [];
  for (let nth = 0; nth < 2000; nth++) {
    const atMs = Math.floor(chance.next() * 100);
    timeline.at(atMs, () => {
      seen.push([timeline.nowMs, nth]);
      if (nth % 10 === 0) timeline.at(0, () => seen.push([timeline.nowMs, 10_000 + nth]));
    });
  }
  timeline.runUntil(200);
  assert.equal(seen.length, 2200);
  assert.equal(timeline.nowMs, 200);
  assert.deepEqual(
    seen,
    seen.toSorted(([a], [b]) => a - b),
  );
  for (const [index, [atMs, nth]] of seen.entries()) {
    const [beforeMs, before] = seen[index - 1] ?? [-1, -1];
    if (beforeMs === atMs && before < 10_000 && nth < 10_000) assert.ok(before < nth);
  }
});

test("what is planned beyond the end does not happen yet", () => {
  const timeline = new Timeline();
  const seen: number[] = [];
  for (const atMs of [5, 15]) timeline.at(atMs, () => seen.push(atMs));
  timeline.runUntil(10);
  assert.deepEqual(seen, [5]);
  timeline.runUntil(20);
  assert.deepEqual(seen, [5, 15]);
});

for (const swing of [0, 1, 2]) {
  test(`as many requests come in a day as asked for, most of them at the peak: swing ${swing}`, () => {
    const traffic = { region: "ams", requestsPerDay: 20_000, peakHour: 13, swing };
    const rate = new Rate(traffic);
    const chance = new Chance(42);
    const hours = Array.from({ length: 24 }, () => 0);
    let count = 0;
    for (let atMs = rate.next(0, chance); atMs < 24 * HOUR_MS; atMs = rate.next(atMs, chance), count++)
      hours[Math.floor(atMs / HOUR_MS)]!++;
    // Four standard deviations of a Poisson process.
    assert.ok(Math.abs(count - traffic.requestsPerDay) < 4 * Math.sqrt(traffic.requestsPerDay), String(count));
    const peak = (hours[12]! + hours[13]!) / (hours[0]! + hours[1]! + 1);
    const expected = Math.exp(4 * swing);
    if (swing > 0) assert.ok(peak > expected / 2, `${peak} times the night's`);
    else assert.ok(peak < 1.3, String(peak));
  });
}
