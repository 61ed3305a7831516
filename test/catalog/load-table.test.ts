// Counts shared by threads: alone, and with real threads that claim and release as fast as they can.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { Worker } from "node:worker_threads";

import { CLAIMED, FULL, LoadTable, MAX_SLOTS, MAX_WORKERS, NO_LIMIT, SHUT } from "../../src/catalog/load-table.ts";
import { SHARED, type LoadWorkerData, type LoadWorkerNews } from "./load-worker.ts";

const SLOT = 7;

function viewOf(table: LoadTable, worker: number): LoadTable {
  return new LoadTable(table.buffer, worker);
}

/** Starts a thread and says what it does; it is ended with the test. */
function start(context: TestContext, table: LoadTable, options: Partial<LoadWorkerData>): Worker {
  const shared = new SharedArrayBuffer(64);
  const data: LoadWorkerData = { buffer: table.buffer, worker: 1, shared, task: "hammer", slots: [SLOT], limit: 1, rounds: 1, ...options };
  const worker = new Worker(new URL("load-worker.ts", import.meta.url), { workerData: data });
  context.after(() => worker.terminate());
  return worker;
}

async function heard(worker: Worker, type: LoadWorkerNews["type"]): Promise<void> {
  for (;;) {
    const [news] = (await once(worker, "message")) as [LoadWorkerNews];
    if (news.type === type) return;
  }
}

test("a slot gives out as many places as its limit, and again what is given back", () => {
  const load = LoadTable.create();
  assert.deepEqual([load.claim(SLOT, 2), load.claim(SLOT, 2), load.claim(SLOT, 2)], [CLAIMED, CLAIMED, FULL]);
  assert.equal(load.count(SLOT), 2);
  load.release(SLOT);
  assert.equal(load.claim(SLOT, 2), CLAIMED);
  assert.equal(load.claim(SLOT, 3), CLAIMED, "a limit that was raised counts at once");
  assert.equal(load.claim(SLOT, 0), FULL);
  assert.equal(load.claim(SLOT, NO_LIMIT), CLAIMED);
  assert.equal(load.count(SLOT + 1), 0);
});

test("a slot closes only when nothing is in flight, and then gives out nothing until it opens", () => {
  const load = LoadTable.create();
  load.claim(SLOT, 2);
  assert.equal(load.closeWhenIdle(SLOT), false);
  assert.equal(load.isClosed(SLOT), false);
  load.release(SLOT);
  assert.equal(load.closeWhenIdle(SLOT), true);
  assert.equal(load.closeWhenIdle(SLOT), true, "it is closed already");
  assert.equal(load.claim(SLOT, NO_LIMIT), SHUT);
  load.open(SLOT);
  assert.equal(load.claim(SLOT, 1), CLAIMED);
});

test("a slot closed by force keeps counting what is in flight", () => {
  const load = LoadTable.create();
  load.claim(SLOT, 2);
  load.close(SLOT);
  assert.deepEqual([load.claim(SLOT, 2), load.count(SLOT), load.isClosed(SLOT)], [SHUT, 1, true]);
  assert.equal(load.closeWhenIdle(SLOT), false, "it is closed but not idle");
  load.release(SLOT);
  assert.deepEqual([load.count(SLOT), load.isClosed(SLOT), load.closeWhenIdle(SLOT)], [0, true, true]);
  load.open(SLOT);
  assert.deepEqual([load.count(SLOT), load.isClosed(SLOT)], [0, false]);
});

test("activity changes with every claim of any worker, and with nothing else", () => {
  const main = LoadTable.create();
  const [one, last] = [viewOf(main, 1), viewOf(main, MAX_WORKERS - 1)];
  const before = main.activity(SLOT);
  one.claim(SLOT, 1);
  last.claim(SLOT, 1);
  one.release(SLOT);
  assert.equal(main.activity(SLOT), before + 1);
  last.claim(SLOT, 1);
  assert.equal(main.activity(SLOT), before + 2);
  assert.equal(main.activity(SLOT + 1), 0);
});

test("what one worker held is given back, and nothing else", () => {
  const main = LoadTable.create();
  const [dead, alive] = [viewOf(main, 1), viewOf(main, 2)];
  for (const slot of [0, SLOT, SLOT, MAX_SLOTS - 1]) dead.claim(slot, NO_LIMIT);
  alive.claim(SLOT, NO_LIMIT);
  main.close(0);
  main.releaseWorker(1);
  assert.deepEqual([main.count(0), main.count(SLOT), main.count(MAX_SLOTS - 1)], [0, 1, 0]);
  assert.equal(main.isClosed(0), true, "a slot stays closed");
  assert.deepEqual([dead.held(SLOT), alive.held(SLOT)], [0, 1]);
  main.releaseWorker(1);
  assert.equal(main.count(SLOT), 1, "a second time changes nothing");
});

test("a slot that is forgotten begins anew", () => {
  const load = LoadTable.create();
  load.close(SLOT);
  load.reset(SLOT);
  assert.deepEqual([load.isClosed(SLOT), load.count(SLOT), load.claim(SLOT, 1)], [false, 0, CLAIMED]);
});

test("a signal is given only when somebody waits", () => {
  const load = LoadTable.create();
  load.signal(SLOT);
  assert.equal(load.signals(SLOT), 0);
  load.addWaiter(SLOT);
  load.signal(SLOT);
  assert.equal(load.signals(SLOT), 1);
  load.removeWaiter(SLOT);
  load.signal(SLOT);
  assert.deepEqual([load.signals(SLOT), load.count(SLOT)], [1, 0]);
});

test("whoever waits for a signal that was given already does not wait", async () => {
  const load = LoadTable.create();
  const seen = load.signals(SLOT);
  load.addWaiter(SLOT);
  load.signal(SLOT);
  await load.waitForSignal(SLOT, seen);
});

for (const limit of [1, 3]) {
  test(`a hard limit of ${limit} holds exactly over four threads`, async (context) => {
    const table = LoadTable.create();
    const shared = new SharedArrayBuffer(64);
    const words = new Int32Array(shared);
    const workers = [1, 2, 3, 4].map((worker) => start(context, table, { worker, shared, limit, rounds: 30_000 }));
    await Promise.all(workers.map((worker) => heard(worker, "done")));
    assert.equal(words[SHARED.most], limit, "as many as allowed got in, and never more");
    assert.ok(words[SHARED.refusals]! > 0, "the threads never met");
    assert.equal(words[SHARED.claims]! + words[SHARED.refusals]!, 120_000);
    assert.equal(table.activity(SLOT), words[SHARED.claims]);
    assert.equal(table.count(SLOT), 0);
    for (const worker of [1, 2, 3, 4]) assert.equal(viewOf(table, worker).held(SLOT), 0);
  });
}

test("a slot never closes while somebody is on it, and nobody gets on it while it is closed", async (context) => {
  const table = LoadTable.create();
  const shared = new SharedArrayBuffer(64);
  const words = new Int32Array(shared);
  const workers = [1, 2].map((worker) => start(context, table, { worker, shared, limit: NO_LIMIT, rounds: 150_000 }));
  let isDone = false;
  const done = Promise.all(workers.map((worker) => heard(worker, "done"))).then(() => (isDone = true));
  let closures = 0;
  while (!isDone) {
    for (let attempt = 0; attempt < 20_000; attempt++) {
      if (!table.closeWhenIdle(SLOT)) continue;
      closures++;
      Atomics.store(words, SHARED.closed, 1);
      assert.equal(Atomics.load(words, SHARED.inside), 0);
      assert.equal(table.count(SLOT), 0);
      Atomics.store(words, SHARED.closed, 0);
      table.open(SLOT);
    }
    await new Promise((resolve) => void setImmediate(resolve));
  }
  await done;
  assert.equal(words[SHARED.intruders], 0);
  assert.ok(closures > 100 && words[SHARED.refusals]! > 0, `${closures} closures, ${words[SHARED.refusals]} refusals: they never met`);
  assert.equal(table.count(SLOT), 0);
});

test("what a thread held is given back after it was ended in the middle", async (context) => {
  const table = LoadTable.create();
  const slots = Array.from({ length: 40 }, (_, index) => index * 11);
  const survivor = viewOf(table, 2);
  for (const slot of slots) survivor.claim(slot, NO_LIMIT);
  for (let round = 0; round < 12; round++) {
    const worker = start(context, table, { task: "hold_on", slots, limit: 1000 });
    await heard(worker, "ready");
    const before = table.activity(slots[0]!);
    while (table.activity(slots[0]!) === before) await new Promise((resolve) => void setImmediate(resolve));
    await worker.terminate();
    const total = slots.reduce((sum, slot) => sum + table.count(slot), 0);
    assert.ok(total >= slots.length);
    table.releaseWorker(1);
    for (const slot of slots) assert.equal(table.count(slot), 1, `slot ${slot} in round ${round}`);
  }
});

test("a signal wakes whoever waits in another thread", async (context) => {
  const table = LoadTable.create();
  const workers = [1, 2].map((worker) => start(context, table, { worker, task: "wait" }));
  await Promise.all(workers.map((worker) => heard(worker, "ready")));
  assert.equal(table.count(SLOT), 2);
  const woken = Promise.all(workers.map((worker) => heard(worker, "woken")));
  table.signal(SLOT);
  await woken;
});

test("the places of a thread that died are news for whoever waits", async (context) => {
  const table = LoadTable.create();
  viewOf(table, 2).claim(0, 1);
  const waiter = start(context, table, { task: "wait" });
  await heard(waiter, "ready");
  const woken = heard(waiter, "woken");
  table.releaseWorker(2);
  await woken;
  assert.equal(table.count(0), 0);
});
