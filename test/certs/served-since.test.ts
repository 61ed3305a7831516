import assert from "node:assert/strict";
import { test } from "node:test";

import { ServedSince } from "../../src/certs/served-since.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";

test("a name has been served since any node was first asked", async () => {
  const store = new MemoryStore();
  assert.equal(await new ServedSince({ store, now: () => 1000 }).get("a.example"), 1000);
  const other = new ServedSince({ store, now: () => 2000 });
  assert.equal(await other.get("a.example"), 1000);
  assert.equal(await other.get("b.example"), 2000);
  assert.equal(await other.get("*.example"), 2000);
  assert.equal(await new ServedSince({ store, now: () => 3000 }).get("*.example"), 2000);
});

test("nodes that are asked at once agree but for the time between them", async () => {
  const store = new MemoryStore();
  const nodes = Array.from({ length: 10 }, (_, i) => new ServedSince({ store, now: () => 1000 + i }));
  const all = await Promise.all(nodes.map((node) => node.get("a.example")));
  assert.ok(all.every((ms) => ms >= 1000 && ms < 1010));
});

test("a store that cannot be reached is said, and asked again", async () => {
  const store = new MemoryStore();
  let isAway = true;
  const get: typeof store.get = (key) => (isAway ? Promise.reject(new Error("away")) : store.get(key));
  const broken = Object.assign(Object.create(store) as MemoryStore, {
    get,
    create: (key: string, value: string) => store.create(key, value),
  });
  const served = new ServedSince({ store: broken, now: () => 1000 });
  await assert.rejects(served.get("a.example"), /away/);
  isAway = false;
  assert.equal(await served.get("a.example"), 1000);
});

test("a damaged date begins anew", async () => {
  const store = new MemoryStore();
  await store.put("certs/served/a.example", "yesterday");
  assert.equal(await new ServedSince({ store, now: () => 1000 }).get("a.example"), 1000);
  assert.equal(await new ServedSince({ store, now: () => 2000 }).get("a.example"), 1000);
});
