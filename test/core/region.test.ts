// Distances and the round trips estimated from them, held against what large clouds publish for their own regions.

import assert from "node:assert/strict";
import { test } from "node:test";

import { REGIONS } from "../../src/core/region-table.ts";
import { distanceKm, estimateRttMs, LOCAL_RTT_MS, type Region } from "../../src/core/region.ts";

const region = (code: string): Region => REGIONS.find((one) => one.code === code) ?? assert.fail(`no region ${code}`);

const at = (latitude: number, longitude: number): Region => ({ code: "x", name: "X", country: "XX", latitude, longitude });

/** Round trips in milliseconds that operators of networks know by heart. */
const KNOWN_RTTS: readonly (readonly [from: string, to: string, ms: number])[] = [
  ["ams", "lhr", 9],
  ["ams", "fra", 8],
  ["ams", "nrt", 230],
  ["arn", "ams", 24],
  ["fra", "mad", 29],
  ["fra", "sin", 155],
  ["lhr", "iad", 76],
  ["iad", "lax", 60],
  ["iad", "gru", 118],
  ["ord", "lax", 50],
  ["dfw", "iad", 31],
  ["sea", "sjc", 21],
  ["yul", "yyz", 11],
  ["syd", "lax", 140],
  ["sin", "syd", 95],
  ["sin", "nrt", 70],
  ["sin", "hkg", 36],
  ["bom", "sin", 58],
  ["bom", "fra", 120],
  ["jnb", "lhr", 158],
  ["jnb", "cpt", 18],
  ["nrt", "kix", 9],
  ["nrt", "sjc", 106],
  ["syd", "nrt", 116],
  ["syd", "akl", 24],
  ["scl", "gru", 48],
];

for (const [from, to, ms] of KNOWN_RTTS) {
  test(`the estimate for ${from}-${to} is within a factor of two of the real ${ms} ms`, () => {
    const estimate = estimateRttMs(region(from), region(to));
    assert.ok(estimate > ms / 2 && estimate < ms * 2, `estimated ${estimate.toFixed(1)} ms`);
  });
}

test("the estimates are right on average", () => {
  const ratios = KNOWN_RTTS.map(([from, to, ms]) => Math.log(estimateRttMs(region(from), region(to)) / ms));
  const mean = Math.exp(ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length);
  assert.ok(mean > 0.85 && mean < 1.15, `they are ${mean.toFixed(2)} times the real ones`);
});

test("a region is a small constant away from itself", () => {
  assert.equal(estimateRttMs(region("ams"), region("ams")), LOCAL_RTT_MS);
});

test("a round trip takes as long in either direction", () => {
  assert.equal(estimateRttMs(region("ams"), region("syd")), estimateRttMs(region("syd"), region("ams")));
});

test("distances follow the surface of the Earth", () => {
  const quarterKm = (Math.PI * 6371) / 2;
  const close = (actual: number, expected: number) => assert.ok(Math.abs(actual - expected) < 1e-6, `${actual} is not ${expected}`);
  close(distanceKm(at(0, 0), at(90, 0)), quarterKm);
  close(distanceKm(at(0, 0), at(0, 180)), 2 * quarterKm);
  close(distanceKm(at(12.3, 45.6), at(-12.3, -134.4)), 2 * quarterKm);
  close(distanceKm(at(0, 179.5), at(0, -179.5)), quarterKm / 90);
});
