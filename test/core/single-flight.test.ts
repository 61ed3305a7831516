// Work that is done once for all who ask at the same time.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SingleFlight } from "../../src/core/single-flight.ts";

test("who asks while the work is under way gets its result, and it is done once", async () => {
  const flights = new SingleFlight<number>();
  const { promise, resolve } = Promise.withResolvers<number>();
  let runs = 0;
  const asked = Array.from({ length: 500 }, () => flights.run("a", () => (runs++, promise)));
  assert.equal(flights.size, 1);
  resolve(7);
  assert.deepEqual(new Set(await Promise.all(asked)), new Set([7]));
  assert.deepEqual([runs, flights.size], [1, 0]);
});

test("keys do not wait for each other", async () => {
  const flights = new SingleFlight<string>();
  const slow = Promise.withResolvers<string>();
  const first = flights.run("slow", () => slow.promise);
  assert.equal(await flights.run("quick", () => Promise.resolve("done")), "done");
  slow.resolve("late");
  assert.equal(await first, "late");
});

test("a result is not remembered", async () => {
  const flights = new SingleFlight<number>();
  let runs = 0;
  const run = (): Promise<number> => flights.run("a", () => Promise.resolve(++runs));
  assert.deepEqual([await run(), await run()], [1, 2]);
});

test("a failure reaches all who asked, and the next one tries again", async () => {
  const flights = new SingleFlight<string>();
  const { promise, reject } = Promise.withResolvers<string>();
  const asked = [flights.run("a", () => promise), flights.run("a", () => promise)];
  reject(new Error("no luck"));
  for (const { status } of await Promise.allSettled(asked)) assert.equal(status, "rejected");
  assert.equal(await flights.run("a", () => Promise.resolve("again")), "again");
});

test("work that throws at once leaves nothing behind", async () => {
  const flights = new SingleFlight<string>();
  await assert.rejects(async () => flights.run("a", () => assert.fail("at once")), { message: "at once" });
  assert.equal(flights.size, 0);
  assert.equal(await flights.run("a", () => Promise.resolve("again")), "again");
});

test("who asks as soon as the result is there starts anew", async () => {
  const flights = new SingleFlight<number>();
  let runs = 0;
  const run = (): Promise<number> => flights.run("a", () => Promise.resolve(++runs));
  assert.equal(await run().then(run), 2);
});
