// Watches: what they show, in which order, when they end, and what they say when too much was forgotten.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import type { Store } from "../../../src/state/store.ts";
import { rejectsWith, startWatch, take, type OpenSubject } from "./subject.ts";

export function watchContract(open: OpenSubject): void {
  test("a watch shows what changed after its revision, then what changes next, under its prefix only", async (t) => {
    const { store } = open(t);
    await store.put("a/1", "before");
    const after = await store.put("a/2", "before");
    await store.put("a/3", "since");
    for (const key of ["b/1", "a", "a-1/1", "a0", "a0/1"]) await store.put(key, "elsewhere");
    const watch = startWatch(t, store, "a/", after);
    assert.deepEqual(await take(watch.next, 1), [{ key: "a/3", value: "since", revision: 3 }]);

    const pending = watch.next.next();
    await store.put("b/2", "elsewhere");
    await store.delete("a/1");
    assert.deepEqual((await pending).value, { key: "a/1", value: null, revision: 10 });
  });

  test("a watch from 0 shows all that exists, in the order it was written", async (t) => {
    const { store } = open(t);
    for (const key of ["c", "a", "b"]) await store.put(key, key);
    await store.put("c", "again");
    const watch = startWatch(t, store, "", 0);
    assert.deepEqual(
      (await take(watch.next, 3)).map((change) => change.key),
      ["a", "b", "c"],
    );
  });

  test("a slow consumer sees only the last of a key's changes", async (t) => {
    const { store } = open(t);
    const watch = startWatch(t, store, "", 0);
    await store.put("a", "0");
    await take(watch.next, 1);
    const value = "x".repeat(100_000);
    for (let i = 1; i <= 200; i++) await store.put("a", `${value}${i}`);
    await store.put("b", "last");
    assert.deepEqual(
      (await take(watch.next, 2)).map((change) => change.revision),
      [201, 202],
    );
  });

  test("a key that was made and deleted unseen is shown as deleted", async (t) => {
    const { store } = open(t);
    const after = await store.put("b", "x");
    const watch = startWatch(t, store, "a/", after);
    await store.put("a/1", "x");
    await store.delete("a/1");
    assert.deepEqual(await take(watch.next, 1), [{ key: "a/1", value: null, revision: 3 }]);
  });

  test("a change wakes the watches of its own handle at once, before any input or timer", async (t) => {
    const { store } = open(t);
    let isAwake = false;
    void startWatch(t, store, "", 0)
      .next.next()
      .then(() => (isAwake = true));
    await store.put("a", "1");
    for (let i = 0; i < 20; i++) await Promise.resolve();
    assert.ok(isAwake);
  });

  test("several watches each see every change", async (t) => {
    const { store } = open(t);
    const watches = Array.from({ length: 20 }, () => startWatch(t, store, "a/", 0));
    const all = Promise.all(watches.map((watch) => take(watch.next, 2)));
    await store.put("a/1", "x");
    await store.put("a/2", "x");
    for (const changes of await all) assert.equal(changes.length, 2);
  });

  test("abort ends a watch that waits, one that has changes left, and one that never began", async (t) => {
    const { store } = open(t);
    const waiting = startWatch(t, store, "", 0);
    const pending = waiting.next.next();
    waiting.abort();
    assert.equal((await pending).done, true);

    await store.put("a", "1");
    await store.put("b", "1");
    const behind = startWatch(t, store, "", 0);
    await take(behind.next, 1);
    behind.abort();
    assert.equal((await behind.next.next()).done, true);

    const never = startWatch(t, store, "", 0);
    never.abort();
    assert.equal((await never.next.next()).done, true);
  });

  test("a watch leaves nothing behind on its signal, however long it runs", async (t) => {
    const { store } = open(t);
    const controller = new AbortController();
    const watch = store.watch("", 0, controller.signal)[Symbol.asyncIterator]();
    for (let i = 0; i < 50; i++) {
      const pending = watch.next();
      assert.ok(getEventListeners(controller.signal, "abort").length <= 1);
      await store.put("a", String(i));
      await pending;
    }
    controller.abort();
    assert.equal((await watch.next()).done, true);
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  });

  test("close ends all watches without an error", async (t) => {
    const { store } = open(t);
    await store.put("a", "1");
    const waiting = startWatch(t, store, "b/", 0);
    const behind = startWatch(t, store, "", 0);
    const pending = waiting.next.next();
    await take(behind.next, 1);
    await store.close();
    assert.equal((await pending).done, true);
    assert.equal((await behind.next.next()).done, true);
  });

  test("a watch after forgotten deletions is refused", async (t) => {
    const { store } = open(t, { maxTombstones: 3 });
    const after = await store.put("a/0", "x");
    await churn(store, "a", 4);
    await store.put("a/0", "y");
    await rejectsWith("store_compacted", startWatch(t, store, "a/", after).next.next(), /forgotten/);
    const kept = await store.revision();
    await store.put("a/new", "x");
    assert.equal((await take(startWatch(t, store, "a/", kept).next, 1))[0]?.key, "a/new");
  });

  test("a consumer too slow for the store's memory is told so", async (t) => {
    const { store } = open(t, { maxTombstones: 3 });
    await store.put("a/0", "x");
    await store.put("a/1", "x");
    const watch = startWatch(t, store, "a/", 0);
    await take(watch.next, 2);
    await store.delete("a/0");
    await churn(store, "b", 3);
    await rejectsWith("store_compacted", watch.next.next());
  });

  test("a watch from 0 starts in a store that has forgotten deletions, and finishes while older ones are forgotten", async (t) => {
    const { store } = open(t, { maxTombstones: 3 });
    await store.put("a/0", "x");
    await churn(store, "a", 10);
    await store.put("a/1", "x");
    const watch = startWatch(t, store, "a/", 0);
    assert.equal((await take(watch.next, 1))[0]?.key, "a/0");
    await churn(store, "b", 1);
    // Two of the deletions it found there are still remembered, the third went with the one in b/.
    const rest = await take(watch.next, 3);
    assert.deepEqual(
      rest.map((change) => change.value),
      [null, null, "x"],
    );
  });

  test("a watch of a quiet prefix survives any number of deletions elsewhere", async (t) => {
    const { store } = open(t, { maxTombstones: 3 });
    await store.put("quiet/0", "x");
    const watch = startWatch(t, store, "quiet/", 0);
    await take(watch.next, 1);
    const pending = watch.next.next();
    // In steps, so that the watch has its turns in between.
    for (let i = 0; i < 20; i++) {
      await churn(store, "b", 1);
      await new Promise(setImmediate);
    }
    await store.put("quiet/1", "x");
    assert.equal((await pending).value.key, "quiet/1");
  });

  test("revision, list, watch: in this order a consumer begins in any store", async (t) => {
    const { store } = open(t, { maxTombstones: 0 });
    await store.put("quiet/0", "x");
    await churn(store, "b", 5);
    const after = await store.revision();
    assert.deepEqual(
      (await store.list("quiet/")).map((entry) => entry.revision),
      [1],
    );
    const watch = startWatch(t, store, "quiet/", after);
    await store.put("quiet/1", "x");
    assert.equal((await take(watch.next, 1))[0]?.key, "quiet/1");
  });

  test("a key that came back is not forgotten in place of its former deletion", async (t) => {
    const { store } = open(t, { maxTombstones: 1 });
    await store.put("back", "1");
    await store.delete("back");
    await store.put("back", "2");
    await churn(store, "b", 5);
    assert.deepEqual(await store.get("back"), { key: "back", value: "2", revision: 3 });
  });

  test("a key that comes back is no longer a forgotten deletion", async (t) => {
    const { store } = open(t, { maxTombstones: 2 });
    for (let i = 0; i < 10; i++) {
      await store.put("a", String(i));
      await store.delete("a");
    }
    const watch = startWatch(t, store, "", 1);
    assert.deepEqual(await take(watch.next, 1), [{ key: "a", value: null, revision: 20 }]);
  });

  test("a watch from a revision that the store never had is refused", async (t) => {
    const { store } = open(t);
    await store.put("a", "1");
    await rejectsWith("store_compacted", startWatch(t, store, "", 2).next.next(), /revision 2 is ahead of the store, which is at 1/);
  });
}

/** Makes and deletes `count` keys. */
async function churn(store: Store, folder: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const key = `${folder}/churn-${await store.revision()}`;
    await store.put(key, "x");
    await store.delete(key);
  }
}
