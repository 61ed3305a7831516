// Time-outs kept by one coarse clock: never early, little late, whatever members do when theirs comes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turnOfLoop } from "node:timers/promises";

import { Deadlines, type Timed } from "../../src/core/deadlines.ts";

const TICK_MS = 5;

class Member implements Timed {
  deadlineMs = Infinity;
  firedAtMs: number[] = [];
  readonly fired = Promise.withResolvers<void>();
  onFire: () => void = () => undefined;

  onDeadline(): void {
    assert.equal(this.deadlineMs, Infinity, "a deadline that fired is none any more");
    this.firedAtMs.push(performance.now());
    this.onFire();
    this.fired.resolve();
  }
}

function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

function start(deadlines: Deadlines, ms: number): Member {
  const member = new Member();
  deadlines.add(member);
  member.deadlineMs = deadlines.after(ms);
  return member;
}

test("a deadline fires once, not before its time and about two ticks after it at most", async (context) => {
  const deadlines = new Deadlines(TICK_MS);
  context.after(() => deadlines.stop());
  const begun = performance.now();
  const members = [20, 40, 60].map((ms) => ({ ms, member: start(deadlines, ms) }));
  await Promise.all(members.map(({ member }) => member.fired.promise));
  for (const { ms, member } of members) {
    assert.equal(member.firedAtMs.length, 1);
    assert.ok(member.firedAtMs[0]! - begun >= ms, `${ms} ms were over after ${member.firedAtMs[0]! - begun}`);
  }
});

test("a deadline set while the thread was blocked is not cut short", async (context) => {
  const deadlines = new Deadlines(TICK_MS);
  context.after(() => deadlines.stop());
  const keeper = start(deadlines, 0);
  // Right behind a tick, the clock is as fresh as can be; then the thread is busy for far longer than the time-out.
  await start(deadlines, 1).fired.promise;
  block(100);
  const begun = performance.now();
  const member = start(deadlines, 20);
  await member.fired.promise;
  assert.ok(member.firedAtMs[0]! - begun >= 20, `over after ${member.firedAtMs[0]! - begun} ms`);
  assert.equal(keeper.firedAtMs.length, 0);
});

test("a deadline set before its owner is added to a clock that stood still is not cut short", async (context) => {
  const deadlines = new Deadlines(TICK_MS);
  context.after(() => deadlines.stop());
  const first = start(deadlines, 1);
  await first.fired.promise;
  deadlines.remove(first);
  block(60);
  const begun = performance.now();
  const member = new Member();
  member.deadlineMs = deadlines.after(20);
  deadlines.add(member);
  await member.fired.promise;
  assert.ok(member.firedAtMs[0]! - begun >= 20, `over after ${member.firedAtMs[0]! - begun} ms`);
});

test("nothing is no deadline", () => {
  assert.equal(new Deadlines(TICK_MS).after(0), Infinity);
});

test("a deadline that was moved fires at its new time, and one that was lifted never", async (context) => {
  const deadlines = new Deadlines(TICK_MS);
  context.after(() => deadlines.stop());
  const [moved, lifted] = [start(deadlines, 10), start(deadlines, 10)];
  const begun = performance.now();
  moved.deadlineMs = deadlines.after(40);
  lifted.deadlineMs = Infinity;
  await moved.fired.promise;
  assert.ok(moved.firedAtMs[0]! - begun >= 40);
  assert.equal(lifted.firedAtMs.length, 0);
});

test("a member may set its next deadline when one fires", async (context) => {
  const deadlines = new Deadlines(TICK_MS);
  context.after(() => deadlines.stop());
  const member = start(deadlines, 5);
  const thrice = Promise.withResolvers<void>();
  member.onFire = () => {
    if (member.firedAtMs.length === 3) thrice.resolve();
    else member.deadlineMs = deadlines.after(5);
  };
  await thrice.promise;
});

test("members may come and go while deadlines fire", async (context) => {
  const deadlines = new Deadlines(TICK_MS);
  context.after(() => deadlines.stop());
  const first = start(deadlines, 5);
  const second = start(deadlines, 5);
  const late = new Member();
  first.onFire = () => {
    deadlines.remove(first);
    deadlines.remove(second);
    deadlines.add(late);
    late.deadlineMs = deadlines.after(5);
  };
  await late.fired.promise;
  assert.equal(second.firedAtMs.length, 0, "who has left hears nothing");
});

test("a clock without members stands still, and one with members keeps no process alive", async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  const deadlines = new Deadlines(TICK_MS);
  const member = start(deadlines, 60_000);
  assert.equal(timers(), before, "it is not counted among what keeps the process alive");
  deadlines.remove(member);
  const stoodAt = deadlines.nowMs;
  const another = new Deadlines(TICK_MS);
  const timer = setInterval(() => undefined, 1000);
  await start(another, 4 * TICK_MS).fired.promise;
  clearInterval(timer);
  another.stop();
  assert.equal(deadlines.nowMs, stoodAt);
});

test("time that is passed fires what is due, each once and in its order, and nothing else", (context) => {
  const deadlines = new Deadlines(TICK_MS);
  context.after(() => deadlines.stop());
  const order: string[] = [];
  const members = [60_000, 10_000, 120_000].map((ms) => {
    const member = start(deadlines, ms);
    member.onFire = () => order.push(`${ms}`);
    return member;
  });
  const follower = new Member();
  deadlines.add(follower);
  members[1]!.onFire = () => {
    order.push("10000");
    follower.deadlineMs = deadlines.after(20_000);
  };
  follower.onFire = () => order.push("20000 after that");
  deadlines.pass(59_000);
  assert.deepEqual(order, ["10000", "20000 after that"]);
  deadlines.pass(2_000);
  assert.deepEqual(order, ["10000", "20000 after that", "60000"]);
});

test("deadlines of many that pass at once are told a few in each turn of the loop, and those that were moved or removed are not", async (context) => {
  const deadlines = new Deadlines(TICK_MS);
  context.after(() => deadlines.stop());
  const members = Array.from({ length: 1000 }, () => start(deadlines, 10));
  const told = (): number => members.filter(({ firedAtMs }) => firedAtMs.length > 0).length;
  await Promise.any(members.map(({ fired }) => fired.promise));
  assert.ok(told() < 100, `${told()} at once`);
  const [moved, removed] = [members[998]!, members[999]!];
  moved.deadlineMs = deadlines.after(60_000);
  deadlines.remove(removed);
  for (let before = 0, turns = 0; told() < 998; turns++) {
    before = told();
    await turnOfLoop();
    assert.ok(told() - before < 100 && turns < 5000, `${told() - before} in turn ${turns}`);
  }
  await turnOfLoop();
  assert.equal(moved.firedAtMs.length + removed.firedAtMs.length, 0);
  assert.ok(members.every(({ firedAtMs }) => firedAtMs.length < 2));
});
