// Where requests wait, when one thing happens in the middle of another: nothing is lost and nobody is asked twice.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";

import { LoadTable } from "../../src/catalog/load-table.ts";
import { MACHINE, SERVICE, turn, until, World } from "./gate-world.ts";

test("a request that is done as soon as it was let in makes room for the next, and so on to the last", () => {
  const world = new World();
  const requests = world.arrivals("a", "b", "c", "d");
  for (const request of requests) request.onClaimed = () => request.finish();
  world.wake();
  assert.deepEqual(world.served, ["a", "b", "c", "d"]);
  assert.deepEqual([world.gate.size, world.load.count(SERVICE.waitSlot), world.load.count(MACHINE)], [0, 0, 0]);
});

test("a request that was let in and is held again before its turn ended waits behind the others", () => {
  const world = new World();
  const [a] = world.arrivals("a", "b");
  a!.onClaimed = () => {
    a!.onClaimed = () => undefined;
    world.load.release(MACHINE);
    a!.hold("full");
  };
  world.limit = 10;
  world.wake();
  assert.deepEqual(world.served, ["a", "b", "a"]);
  assert.deepEqual([world.gate.size, world.load.count(SERVICE.waitSlot)], [0, 0]);
});

test("a request that is held again alone is not forgotten", () => {
  const world = new World();
  const [a] = world.arrivals("a");
  a!.onClaimed = () => {
    a!.onClaimed = () => undefined;
    world.load.release(MACHINE);
    world.isAsleep = true;
    a!.hold("asleep");
  };
  world.wake();
  assert.deepEqual([world.gate.size, world.load.count(SERVICE.waitSlot), a!.state], [1, 1, "held"]);
  world.wake();
  assert.equal(a!.state, "served");
});

test("one who leaves while it is asked stays away", () => {
  const world = new World();
  const [a, b] = world.arrivals("a", "b");
  a!.onClaimed = () => world.gate.leave(SERVICE, b!);
  world.limit = 10;
  world.wake();
  assert.deepEqual(world.served, ["a"]);
  assert.equal(world.load.count(SERVICE.waitSlot), 0);
});

test("a place that another worker gives back is taken", async () => {
  const main = LoadTable.create();
  const [here, there] = [new World({ load: main, worker: 1 }), new World({ load: main, worker: 2 })];
  here.isAsleep = there.isAsleep = false;
  const [elsewhere] = there.arrivals("elsewhere");
  const [a, b] = here.arrivals("a", "b");
  assert.deepEqual([a!.state, b!.state], ["held", "held"]);
  elsewhere!.finish();
  await until(() => a!.state === "served");
  assert.equal(b!.state, "held");
  a!.finish();
  assert.equal(b!.state, "served");
});

test("a place given back between the last look and the first wait is not missed", async () => {
  const main = LoadTable.create();
  const [here, there] = [new World({ load: main, worker: 1 }), new World({ load: main, worker: 2 })];
  here.isAsleep = there.isAsleep = false;
  const [elsewhere] = there.arrivals("elsewhere");
  const a = here.request("a");
  // It looked in vain; then the place was given back, and nobody was waiting who could be signalled.
  a.waitsFor = "full";
  elsewhere!.finish();
  a.hold("full");
  assert.equal(a.state, "served");
  await turn();
});

test("nor is one given back while those who were woken look", async () => {
  const main = LoadTable.create();
  const [here, there] = [new World({ load: main, worker: 1 }), new World({ load: main, worker: 2 })];
  there.isAsleep = false;
  const [elsewhere] = there.arrivals("elsewhere");
  const [a] = here.arrivals("a");
  const look = a!.onGateOpen.bind(a);
  a!.onGateOpen = () => {
    const isOpen = look();
    // The moment behind the first look that finds all full, before the gate listens.
    if (!isOpen && elsewhere!.state !== "done") elsewhere!.finish();
    return isOpen;
  };
  here.wake();
  await until(() => a!.state === "served");
});

test("nor when the gate has been listening since an earlier wait", async () => {
  const main = LoadTable.create();
  const [here, there] = [new World({ load: main, worker: 1 }), new World({ load: main, worker: 2 })];
  here.isAsleep = there.isAsleep = false;
  const [elsewhere] = there.arrivals("elsewhere");
  const early = here.request("early").hold("full");
  here.gate.leave(SERVICE, early);
  assert.equal(here.ears, 1);
  elsewhere!.finish();
  const a = here.request("a").hold("full");
  assert.equal(a.state, "served");
});

test("a service that fills up again and again is listened for once", async () => {
  const world = new World();
  world.isAsleep = false;
  for (let round = 0; round < 1000; round++) {
    const [a, b] = world.arrivals("a", "b");
    a!.finish();
    assert.equal(b!.state, "served");
    b!.finish();
  }
  await turn();
  assert.equal(world.ears, 1);
});

test("a place given back by a thread that died is taken", async () => {
  const main = LoadTable.create();
  const world = new World({ load: main, worker: 1 });
  world.isAsleep = false;
  new LoadTable(main.buffer, 2).claim(MACHINE, 1);
  const [a] = world.arrivals("a");
  main.releaseWorker(2);
  await until(() => a!.state === "served");
});

test("a service that comes back under another slot is a new one", () => {
  const world = new World();
  world.arrivals("a");
  world.limit = 10;
  world.wake();
  world.isAsleep = true;
  const again = world.request("b", { ...SERVICE, waitSlot: 9 }).hold("asleep");
  assert.equal(world.load.count(9), 1);
  world.wake();
  assert.equal(again.state, "served");
});

test("whoever waits does not keep the process alive", async () => {
  const script = `
    const { Gate } = await import(${JSON.stringify(new URL("../../src/wake/gate.ts", import.meta.url).href)});
    const { LoadTable } = await import(${JSON.stringify(new URL("../../src/catalog/load-table.ts", import.meta.url).href)});
    const { Deadlines } = await import(${JSON.stringify(new URL("../../src/core/deadlines.ts", import.meta.url).href)});
    const gate = new Gate({ load: LoadTable.create(), deadlines: new Deadlines(5), maxWaiting: 9, requestWake: () => undefined });
    gate.hold({ app: "a", key: "b", wakeTimeoutMs: 60000, waitSlot: 0 }, { aim: null, waitsFor: "full", onGateOpen: () => false, onGateFailed: () => undefined });
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" });
  const [code] = (await once(child, "exit")) as [number];
  assert.equal(code, 0);
});
