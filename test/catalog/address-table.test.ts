// What addresses have taken, shared by threads: alone, and with real threads that take as fast as they can.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";

import { AddressTable, TOO_MANY, UNCOUNTED } from "../../src/catalog/address-table.ts";
import { IP_WORDS, parseIp, type IpFamily } from "../../src/core/ip-address.ts";
import type { AddressWorkerData } from "./address-worker.ts";

function address(ip: string): [IpFamily, Uint32Array] {
  const words = new Uint32Array(IP_WORDS);
  return [parseIp(ip, words)!, words];
}

const ONE = address("203.0.113.9");

test("GCRA: so many at once, one each interval after that, and nothing is lost or won by asking more often", () => {
  const table = AddressTable.create(1);
  const scope = table.scope("hello");
  // 10 a second, 3 of them at once.
  const take = (nowMs: number): number => table.take(scope, ...ONE, 100, 200, nowMs);
  assert.deepEqual([take(1000), take(1000), take(1000), take(1000)], [0, 0, 0, 100]);
  assert.deepEqual([take(1050), take(1099)], [50, 1]);
  assert.deepEqual([take(1100), take(1100)], [0, 100]);
  let passed = 0;
  for (let nowMs = 1200; nowMs < 11_200; nowMs += 7) if (take(nowMs) === 0) passed++;
  assert.equal(passed, 100);
  assert.deepEqual([take(60_000), take(60_000), take(60_000), take(60_000)], [0, 0, 0, 100], "rest is no more than the burst");
});

test("every app, every address of IPv4 and every network of IPv6 counts for itself", () => {
  const table = AddressTable.create(1);
  const take = (app: string, ip: string): boolean => table.take(table.scope(app), ...address(ip), 1000, 0, 0) === 0;
  assert.deepEqual([take("a", "203.0.113.9"), take("a", "203.0.113.9"), take("a", "::ffff:203.0.113.9")], [true, false, false]);
  assert.deepEqual([take("b", "203.0.113.9"), take("a", "203.0.113.10")], [true, true]);
  assert.deepEqual([take("a", "2001:db8::1"), take("a", "2001:db8:0:0:ffff::2"), take("a", "2001:db8:0:1::1")], [true, false, true]);
});

test("rules that became stricter hold nobody for longer than they say themselves", () => {
  const table = AddressTable.create(1);
  const scope = table.scope("hello");
  assert.equal(table.take(scope, ...ONE, 3_600_000, 3_600_000, 0), 0);
  assert.equal(table.take(scope, ...ONE, 3_600_000, 3_600_000, 0), 0);
  assert.equal(table.take(scope, ...ONE, 100, 0, 0), 100);
});

test("connections are counted over all workers, and those of a worker that died are forgotten", () => {
  const table = AddressTable.create(2);
  const other = new AddressTable(table.buffer, 1);
  const scope = table.scope("hello");
  const first = table.connect(scope, ...ONE, 2, 0);
  assert.equal(other.connect(scope, ...ONE, 2, 0), first);
  assert.equal(table.connect(scope, ...ONE, 2, 0), TOO_MANY);
  table.disconnect(first);
  assert.equal(other.connect(scope, ...ONE, 2, 0), first);
  assert.equal(table.connect(scope, ...ONE, 2, 0), TOO_MANY);
  table.releaseWorker(1);
  assert.equal(table.connect(scope, ...ONE, 2, 0), first);
  assert.equal(table.connect(scope, ...ONE, 2, 0), first);
  assert.equal(table.connect(scope, ...ONE, 2, 0), TOO_MANY);
});

test("a full table refuses nobody, and forgets no address with connections", () => {
  const table = AddressTable.create(1);
  const scope = table.scope("hello");
  const words = new Uint32Array(IP_WORDS);
  const places: number[] = [];
  for (let i = 0; i < 100_000; i++) {
    words[3] = i;
    places.push(table.connect(scope, 4, words, 1, 0));
  }
  const counted = places.filter((place) => place !== UNCOUNTED);
  assert.ok(counted.length > 32_000 && new Set(counted).size === counted.length, `${counted.length}`);
  words[3] = places.indexOf(counted[0]!);
  assert.equal(table.connect(scope, 4, words, 1, 0), TOO_MANY);
  words[3] = places.lastIndexOf(UNCOUNTED);
  for (let i = 0; i < 5; i++) assert.equal(table.take(scope, 4, words, 1000, 0, 0), 0);
  for (const place of counted) table.disconnect(place);
  assert.deepEqual([table.take(scope, 4, words, 1000, 0, 0), table.take(scope, 4, words, 1000, 0, 0)], [0, 1000]);
});

test("threads together get exactly as much as there is", { timeout: 30_000 }, async (context) => {
  const table = AddressTable.create(3);
  const taken = await Promise.all(
    [0, 1, 2].map(async (worker) => {
      const data: AddressWorkerData = { buffer: table.buffer, worker, ip: "203.0.113.9", most: 20_000, rounds: 20_000 };
      const thread = new Worker(new URL("address-worker.ts", import.meta.url), { workerData: data });
      context.after(() => thread.terminate());
      const [counts] = (await once(thread, "message")) as [{ passed: number; connected: number }];
      return counts;
    }),
  );
  assert.equal(
    taken.reduce((sum, { passed }) => sum + passed, 0),
    20_000,
  );
  assert.equal(
    taken.reduce((sum, { connected }) => sum + connected, 0),
    20_000,
  );
});
