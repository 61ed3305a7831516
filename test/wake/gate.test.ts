// Where requests wait: who goes first, who is refused, when and why.

import assert from "node:assert/strict";
import { test } from "node:test";

import { target, type Aim } from "../../src/core/aim.ts";
import { ProxyError } from "../../src/core/errors.ts";
import { MACHINE, OTHER, SERVICE, turn, until, World } from "./gate-world.ts";

const failed = new ProxyError("wake_failed");
test("a machine is asked for once, however many wait", () => {
  const world = new World();
  world.arrivals("a", "b", "c");
  assert.deepEqual(world.wakes, ["hello tcp-8080"]);
  assert.equal(world.gate.size, 3);
  assert.equal(world.gate.waitsFor(SERVICE), "asleep");
});

test("each service waits for itself", () => {
  const world = new World();
  world.arrivals("a");
  world.request("b", OTHER).hold("asleep");
  assert.deepEqual(world.wakes, ["hello tcp-8080", "other tcp-8080"]);
  world.limit = 10;
  world.wake();
  assert.deepEqual(world.served, ["a"]);
  assert.equal(world.gate.isHolding(SERVICE), false);
  assert.equal(world.gate.isHolding(OTHER), true);
});

test("those who waited go in the order they came", () => {
  const world = new World();
  world.arrivals("a", "b", "c");
  world.limit = 10;
  world.wake();
  assert.deepEqual(world.served, ["a", "b", "c"]);
  assert.equal(world.gate.size, 0);
  assert.equal(world.load.count(SERVICE.waitSlot), 0);
});

test("who comes while others wait does not overtake them", () => {
  const world = new World();
  const [a] = world.arrivals("a", "b");
  world.wake();
  world.arrivals("c");
  assert.deepEqual(world.served, ["a"]);
  a!.finish();
  assert.deepEqual(world.served, ["a", "b"]);
});

test("nobody looks behind the first who must go on waiting", () => {
  const world = new World();
  world.arrivals("a", "b", "c", "d");
  world.limit = 2;
  world.wake();
  assert.deepEqual(world.looks.slice(0, 3), ["a", "b", "c"]);
  assert.ok(!world.looks.includes("d"));
  assert.deepEqual(world.served, ["a", "b"]);
  assert.equal(world.gate.waitsFor(SERVICE), "full");
});

test("what the one in front waits for, all wait for", async () => {
  const world = new World();
  world.isAsleep = false;
  world.arrivals("a", "b", "c");
  assert.equal(world.gate.waitsFor(SERVICE), "full");
  assert.deepEqual(world.wakes, [], "nobody needs to be woken");
  world.gate.onWakeFailed(SERVICE.app, SERVICE.key, failed);
  assert.deepEqual(world.refused, [], "a wake that failed for others is no news");
  await turn();
});

test("no more than allowed wait for a service", () => {
  const world = new World({ maxWaiting: 2 });
  world.arrivals("a", "b");
  assert.throws(() => world.arrivals("c"), { code: "queue_full" });
  world.request("other", OTHER).hold("asleep");
  assert.equal(world.gate.size, 3);
  assert.equal(world.load.count(SERVICE.waitSlot), 2);
});

test("a gate that lets nobody wait holds nothing", () => {
  const world = new World({ maxWaiting: 0 });
  assert.throws(() => world.arrivals("a"), { code: "queue_full" });
  assert.equal(world.gate.isHolding(SERVICE), false);
});

test("one who leaves from the middle is not asked again, and those behind move up", () => {
  const world = new World();
  const [, b] = world.arrivals("a", "b", "c");
  world.gate.leave(SERVICE, b!);
  world.gate.leave(SERVICE, b!);
  assert.equal(world.load.count(SERVICE.waitSlot), 2);
  world.limit = 10;
  world.wake();
  assert.deepEqual(world.served, ["a", "c"]);
});

test("when all have left, the next one asks anew", () => {
  const world = new World();
  const [a] = world.arrivals("a");
  world.gate.leave(SERVICE, a!);
  assert.equal(world.gate.isHolding(SERVICE), false);
  world.arrivals("b");
  assert.equal(world.wakes.length, 2);
});

test("a wake that failed refuses all who wait for it", () => {
  const world = new World();
  world.arrivals("a", "b");
  world.gate.onWakeFailed(SERVICE.app, SERVICE.key, failed);
  assert.deepEqual(world.refused, ["a wake_failed", "b wake_failed"]);
  assert.equal(world.load.count(SERVICE.waitSlot), 0);
  world.arrivals("c");
  assert.equal(world.wakes.length, 2, "the next one may try again");
});

test("who comes while others are refused is not refused with them, and has a wake of its own", () => {
  const world = new World();
  const [a] = world.arrivals("a", "b");
  a!.onRefused = () => void world.arrivals("c");
  world.gate.onWakeFailed(SERVICE.app, SERVICE.key, failed);
  assert.deepEqual(world.refused, ["a wake_failed", "b wake_failed"]);
  assert.equal(world.gate.size, 1);
  assert.equal(world.wakes.length, 2);
  world.wake();
  assert.deepEqual(world.served, ["c"]);
});

test("who got a place while others are refused is not refused", () => {
  const world = new World();
  const [a, b] = world.arrivals("a", "b", "c");
  a!.onRefused = () => {
    world.isAsleep = false;
    world.gate.onReleased(SERVICE);
  };
  world.gate.onWakeFailed(SERVICE.app, SERVICE.key, failed);
  assert.equal(b!.state, "served");
  assert.deepEqual(world.refused, ["a wake_failed", "c wake_failed"]);
  assert.equal(world.load.count(SERVICE.waitSlot), 0);
});

test("a wake that changed nothing is asked for again", () => {
  const world = new World();
  world.arrivals("a", "b");
  world.gate.onWoken(SERVICE.app, SERVICE.key);
  assert.equal(world.wakes.length, 2);
  assert.equal(world.gate.size, 2);
});

test("news of an app lets those who wait for it try, and no others", () => {
  const world = new World();
  world.arrivals("a");
  world.request("b", OTHER).hold("asleep");
  world.isAsleep = false;
  world.gate.onAppChanged("hello");
  assert.deepEqual(world.looks, ["a"]);
  assert.equal(world.wakes.length, 2, "a wake under way is not asked for again");
  world.gate.onAppChanged("unknown");
});

test("waiting ends in time, with the reason of the wait", async () => {
  const world = new World();
  const brief = { ...SERVICE, wakeTimeoutMs: 20 };
  const asleep = world.request("a", brief).hold("asleep");
  world.isAsleep = false;
  world.load.claim(MACHINE, 1);
  world.request("b", { ...OTHER, wakeTimeoutMs: 40 }).hold("full");
  const begun = performance.now();
  const ended = new Promise<void>((resolve) => (asleep.onRefused = resolve));
  await ended;
  assert.ok(performance.now() - begun >= 20, "too early");
  assert.deepEqual(world.refused, ["a wake_timeout"]);
  await until(() => world.refused.length >= 2);
  assert.deepEqual(world.refused, ["a wake_timeout", "b at_capacity"]);
  assert.equal(world.gate.size, 0);
  assert.equal(world.load.count(SERVICE.waitSlot) + world.load.count(OTHER.waitSlot), 0);
});

test("only those whose time is up are refused, the rest in their turn", async () => {
  const world = new World();
  const brief = { ...SERVICE, wakeTimeoutMs: 20 };
  world.request("a", brief).hold("asleep");
  world.request("b", brief).hold("asleep");
  const begun = world.deadlines.nowMs;
  await until(() => world.deadlines.nowMs >= begun + 15);
  world.request("c", brief).hold("asleep");
  await until(() => world.refused.length > 0);
  assert.deepEqual(world.refused, ["a wake_timeout", "b wake_timeout"]);
  await until(() => world.refused.length >= 3);
  assert.equal(world.gate.size, 0);
});

test("who leaves as another's time is up is not refused", async () => {
  const world = new World();
  const brief = { ...SERVICE, wakeTimeoutMs: 10 };
  const [a, b] = ["a", "b"].map((name) => world.request(name, brief).hold("asleep"));
  a!.onRefused = () => world.gate.leave(brief, b!);
  await until(() => world.refused.length > 0);
  await turn();
  assert.deepEqual(world.refused, ["a wake_timeout"]);
  assert.equal(b!.state, "held");
});

test("those with an aim wait in a line of their own, for a wake of their own", () => {
  const world = new World();
  const aim: Aim = { target: target({ regions: ["nrt"] }), orElse: null };
  world.arrivals("a");
  const b = world.request("b");
  b.aim = aim;
  b.hold("asleep");
  assert.deepEqual(world.wakes, ["hello tcp-8080", "hello tcp-8080 nrt"]);
  assert.equal(world.gate.waitsFor(SERVICE, aim), "asleep");
  world.gate.onWakeFailed(SERVICE.app, SERVICE.key, failed);
  assert.deepEqual(world.refused, ["a wake_failed"]);
  assert.equal(world.gate.waitsFor(SERVICE), null);
  world.isAsleep = false;
  world.gate.onWoken(SERVICE.app, SERVICE.key);
  assert.deepEqual(world.served, [], "that was not what it waits for");
  world.gate.onWoken(SERVICE.app, SERVICE.key, aim.target.key);
  assert.deepEqual(world.served, ["b"]);
  assert.equal(world.gate.waitsFor(SERVICE, aim), null);
  assert.equal(world.gate.size, 0);
  assert.equal(world.load.count(SERVICE.waitSlot), 0);
});

test("a place that becomes free goes to who waits with an aim, too", async () => {
  const world = new World();
  world.isAsleep = false;
  const [a] = world.arrivals("a");
  const b = world.request("b");
  b.aim = { target: target({ machine: "m" }), orElse: null };
  b.hold("full");
  a!.finish();
  await until(() => world.served.length === 2);
  assert.deepEqual(world.served, ["a", "b"]);
});
