// The bounds of what a worker remembers of replays. Reference sections 4.5 and 4.6: it is an optimisation and may be ignored any time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Deadlines } from "../../src/core/deadlines.ts";
import { aimAtMachine, aimAtRegions } from "../../src/routing/aim.ts";
import { AppReplays, ReplayCache, type Remembered } from "../../src/edge/replay-cache.ts";

const TICK_MS = 100;
const DAY_MS = 86_400_000;
const LARGE = aimAtRegions(
  Array.from({ length: 64 }, (_, i) => `region-${i}`),
  "machine",
  null,
);

function entry(owner: AppReplays, key: string, more: Partial<Remembered> = {}): Remembered {
  return { owner, kind: "path", key, app: "world", aim: aimAtMachine("world-nrt", null, null), allowBypass: false, ...more };
}

test("reference 4.5 an app knows how much is remembered of it by path, whatever becomes of it", (t) => {
  const deadlines = new Deadlines(TICK_MS);
  t.after(() => deadlines.stop());
  const cache = new ReplayCache(deadlines, 3);
  const owner = new AppReplays();
  assert.equal(owner.isUsed, false);
  cache.set(entry(owner, "a"), 10_000);
  cache.set(entry(owner, "a"), 10_000);
  assert.equal(owner.paths, 1, "the same place again");
  for (const key of ["b", "c", "d", "e"]) cache.set(entry(owner, key), 10_000);
  assert.equal(owner.paths, 3, "as many as there are");
  cache.set(entry(owner, "s", { kind: "session" }), 10_000);
  assert.deepEqual([owner.paths, cache.size], [3, 4]);
  const found = cache.find(owner, "path", "e")!;
  cache.forget(found);
  assert.equal(owner.paths, 2, "one that was forgotten");
  cache.set(entry(owner, "e"), 10_000);
  cache.forget(found);
  assert.equal(owner.paths, 3, "one that has taken its place stays");
  deadlines.pass(10_500);
  assert.equal(cache.find(owner, "path", "e"), null);
  assert.equal(owner.paths, 2, "one whose time is over and that was asked for");
  deadlines.pass(60_000);
  assert.deepEqual([owner.paths, owner.isUsed, cache.size], [0, false, 0], "and those that nobody asked for");
  cache.set(entry(owner, "f"), 10_000);
  deadlines.pass(DAY_MS / 100);
  assert.equal(cache.size, 0, "also the second time");
});

test("reference 4.5 it is bounded in size: large entries push more of the others out, and one that is too large is none", (t) => {
  const deadlines = new Deadlines(TICK_MS);
  t.after(() => deadlines.stop());
  const cache = new ReplayCache(deadlines, 100);
  const owner = new AppReplays();
  for (let i = 0; i < 1000; i++) cache.set(entry(owner, String(i), { aim: LARGE }), DAY_MS);
  assert.ok(cache.size > 0 && cache.size < 50, `${cache.size}`);
  assert.equal(owner.paths, cache.size);
  for (let i = 0; i < 1000; i++) cache.set(entry(owner, String(i)), DAY_MS);
  assert.equal(cache.size, 100);
  const one = new ReplayCache(deadlines, 1);
  one.set(entry(new AppReplays(), "a", { aim: LARGE }), DAY_MS);
  assert.equal(one.size, 0);
});

test("reference 4.5 what one app has is nothing to another, nor to one that comes later under its name", (t) => {
  const deadlines = new Deadlines(TICK_MS);
  t.after(() => deadlines.stop());
  const cache = new ReplayCache(deadlines, 10);
  const [before, after] = [new AppReplays(), new AppReplays()];
  cache.set(entry(before, "a"), DAY_MS);
  assert.equal(cache.find(after, "path", "a"), null);
  assert.equal(cache.find(before, "session", "a"), null);
  cache.set(entry(after, "a"), DAY_MS);
  assert.deepEqual([before.paths, after.paths], [0, 1]);
});

test("reference 4.6 keys of sessions are of one length, tell values apart, and say nothing of them to another cache", (t) => {
  const deadlines = new Deadlines(TICK_MS);
  t.after(() => deadlines.stop());
  const [cache, other] = [new ReplayCache(deadlines, 1), new ReplayCache(deadlines, 1)];
  const [key, same, longer] = [
    cache.sessionKey(["app", "a"]),
    cache.sessionKey(["app", "a"]),
    cache.sessionKey(["app", "a".repeat(10_000)]),
  ];
  assert.equal(key, same);
  assert.notEqual(key, longer);
  assert.equal(key.length, longer.length);
  assert.notEqual(key, other.sessionKey(["app", "a"]));
});

test("nothing is remembered where nothing may be", (t) => {
  const deadlines = new Deadlines(TICK_MS);
  t.after(() => deadlines.stop());
  const cache = new ReplayCache(deadlines, 0);
  const owner = new AppReplays();
  cache.set(entry(owner, "a"), DAY_MS);
  assert.deepEqual([cache.size, owner.isUsed, cache.find(owner, "path", "a")], [0, false, null]);
});
