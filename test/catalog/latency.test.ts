// Which of several sources a round trip is taken from, and the orders that follow.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Latency, UNKNOWN_RTT_MS } from "../../src/catalog/latency.ts";
import { REGIONS } from "../../src/core/region-table.ts";
import { estimateRttMs, LOCAL_RTT_MS } from "../../src/core/region.ts";

const estimate = (from: string, to: string): number => {
  const [one, other] = [from, to].map((code) => REGIONS.find((region) => region.code === code) ?? assert.fail(code));
  return estimateRttMs(one!, other!);
};

test("a round trip is estimated where nobody measured it", () => {
  const latency = new Latency({ regions: REGIONS });
  assert.equal(latency.rttMs("ams", "nrt"), estimate("ams", "nrt"));
});

test("a measured round trip counts for both directions", () => {
  const latency = new Latency({ regions: REGIONS, measured: [{ from: "ams", to: "nrt", ms: 231 }] });
  assert.equal(latency.rttMs("ams", "nrt"), 231);
  assert.equal(latency.rttMs("nrt", "ams"), 231);
});

test("a direction with a measurement of its own keeps it", () => {
  const measured = [
    { from: "ams", to: "nrt", ms: 231 },
    { from: "nrt", to: "ams", ms: 245 },
  ];
  const latency = new Latency({ regions: REGIONS, measured });
  assert.equal(latency.rttMs("ams", "nrt"), 231);
  assert.equal(latency.rttMs("nrt", "ams"), 245);
});

test("what the mesh observes takes the place of the table, and then moves by an eighth", () => {
  const latency = new Latency({ regions: REGIONS, measured: [{ from: "ams", to: "nrt", ms: 231 }] });
  assert.equal(latency.rttMs("ams", "nrt"), 231);
  latency.observe("ams", "nrt", 200);
  assert.equal(latency.rttMs("ams", "nrt"), 200);
  assert.equal(latency.rttMs("nrt", "ams"), 200);
  latency.observe("ams", "nrt", 280);
  assert.equal(latency.rttMs("ams", "nrt"), 210);
  latency.observe("nrt", "ams", 300);
  assert.equal(latency.rttMs("nrt", "ams"), 300);
  assert.equal(latency.rttMs("ams", "nrt"), 210);
});

test("observations settle on a round trip that has changed", () => {
  const latency = new Latency({ regions: REGIONS });
  latency.observe("ams", "fra", 8);
  for (let count = 0; count < 40; count++) latency.observe("ams", "fra", 20);
  assert.ok(Math.abs(latency.rttMs("ams", "fra") - 20) < 0.1);
});

test("what is no duration is not observed", () => {
  const latency = new Latency({ regions: REGIONS });
  for (const ms of [Number.NaN, -1, Infinity, -Infinity]) latency.observe("ams", "fra", ms);
  assert.equal(latency.rttMs("ams", "fra"), estimate("ams", "fra"));
});

test("a region that nobody knows is far away, but near itself", () => {
  const latency = new Latency({ regions: REGIONS });
  assert.equal(latency.rttMs("ams", "attic"), UNKNOWN_RTT_MS);
  assert.equal(latency.rttMs("attic", "attic"), LOCAL_RTT_MS);
  assert.ok(Math.max(...latency.table("ams").map(({ rttMs }) => rttMs)) < UNKNOWN_RTT_MS);
  latency.observe("ams", "attic", 30);
  assert.equal(latency.rttMs("attic", "ams"), 30);
});

test("codes sort nearest first, and equally far ones keep their order", () => {
  const latency = new Latency({ regions: REGIONS });
  const codes = ["syd", "attic", "nrt", "ams", "lhr", "cellar", "ord"];
  assert.deepEqual(codes.sort(latency.byDistance("ams")), ["ams", "lhr", "ord", "nrt", "syd", "attic", "cellar"]);
});

test("seen from Tokyo, Chicago is nearer than Amsterdam, once that is measured", () => {
  const latency = new Latency({ regions: REGIONS, measured: [{ from: "nrt", to: "ams", ms: 230 }] });
  assert.deepEqual(["ams", "ord", "nrt"].sort(latency.byDistance("nrt")), ["nrt", "ord", "ams"]);
});

test("a later region of the same code replaces the earlier one", () => {
  const moved = { code: "ams", name: "Amsterdam, Ohio", country: "US", latitude: 40.47, longitude: -80.92 };
  const latency = new Latency({ regions: [...REGIONS, moved] });
  assert.equal(latency.table("ams")[0]?.name, "Amsterdam, Ohio");
  assert.ok(latency.rttMs("ams", "iad") < 10);
  assert.equal(latency.table("iad").length, REGIONS.length);
});

test("the table lists every region, nearest first, and says what was measured", () => {
  const latency = new Latency({ regions: REGIONS, measured: [{ from: "lhr", to: "ams", ms: 7.5 }] });
  const table = latency.table("ams");
  assert.equal(table.length, REGIONS.length);
  assert.deepEqual(table[0], {
    code: "ams",
    name: "Amsterdam",
    country: "NL",
    latitude: 52.37,
    longitude: 4.9,
    rttMs: LOCAL_RTT_MS,
    source: "estimated",
  });
  assert.deepEqual(
    table.map(({ rttMs }) => rttMs),
    table.map(({ rttMs }) => rttMs).sort((one, other) => one - other),
  );
  const london = table.find(({ code }) => code === "lhr");
  assert.equal(london?.rttMs, 7.5);
  assert.equal(london?.source, "measured");
});

test("the table of an unknown region is refused", () => {
  const latency = new Latency({ regions: REGIONS });
  assert.throws(() => latency.table("asm"), { code: "config_invalid", message: /"asm"/ });
});
