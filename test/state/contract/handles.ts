// Several handles on the same data, as several processes have them, and data that outlives its handles.

import assert from "node:assert/strict";
import { test } from "node:test";
import { rejectsWith, startWatch, take, type OpenSubject } from "./subject.ts";

export function handlesContract(open: OpenSubject): void {
  test("what one handle writes, another reads, in one count of revisions", async (t) => {
    const { store, another } = open(t);
    const other = another();
    assert.equal(await store.put("a", "1"), 1);
    assert.equal(await other.update("a", "2", 1), 2);
    await rejectsWith("store_conflict", store.update("a", "3", 1));
    assert.deepEqual(await store.list(""), await other.list(""));
    assert.equal(await store.revision(), 2);
  });

  test("each handle's watches see the other's changes", async (t) => {
    const { store, another } = open(t);
    const other = another();
    const here = startWatch(t, store, "", 0);
    const there = startWatch(t, other, "", 0);
    const pending = [take(here.next, 4), take(there.next, 4)];
    for (const [index, writer] of [store, other, store, other].entries()) {
      await writer.put(`a/${index}`, "x");
      await new Promise(setImmediate);
    }
    const [seenHere, seenThere] = await Promise.all(pending);
    assert.deepEqual(
      seenHere?.map((change) => change.key),
      ["a/0", "a/1", "a/2", "a/3"],
    );
    assert.deepEqual(seenThere, seenHere);
  });

  test("a watch goes on when another handle closes, and ends with its own", async (t) => {
    const { store, another } = open(t);
    const other = another();
    const watch = startWatch(t, store, "", 0);
    const pending = watch.next.next();
    await other.put("a", "1");
    await other.close();
    assert.equal((await pending).value.key, "a");
    const last = watch.next.next();
    await store.close();
    assert.equal((await last).done, true);
  });

  test("a lease excludes across handles, and its fence is known to all of them", async (t) => {
    const clock = { now: 0 };
    const { store, another } = open(t, { now: () => clock.now });
    const other = another();
    const first = await store.lease("a", 10);
    assert.ok(first !== null);
    assert.equal(await other.lease("a", 10), null);
    await other.put("x", "1", { fence: first });
    clock.now = 10;
    const second = await other.lease("a", 10);
    assert.ok(second !== null && second.token > first.token);
    await rejectsWith("lease_lost", store.put("x", "2", { fence: first }));
  });

  test("entries, revision, leases and tokens are there after closing and opening again", async (t) => {
    const clock = { now: 0 };
    const { store, another } = open(t, { now: () => clock.now });
    await store.put("a", "1");
    await store.put("b", "1");
    await store.delete("b");
    const first = await store.lease("l", 1000);
    const released = await store.lease("m", 1000);
    await released?.release();
    await store.close();

    const reopened = another();
    assert.deepEqual(await reopened.list(""), [{ key: "a", value: "1", revision: 1 }]);
    assert.equal(await reopened.put("c", "1"), 4);
    assert.equal(await reopened.lease("l", 1000), null);
    const again = await reopened.lease("m", 1000);
    assert.ok(first !== null && released !== null && again !== null);
    assert.ok(again.token > released.token && released.token > first.token);
    await reopened.put("d", "1", { fence: first });
  });

  test("a watch continues from its revision after closing and opening again, deletions included", async (t) => {
    const { store, another } = open(t);
    await store.put("a", "1");
    const after = await store.put("b", "1");
    await store.delete("a");
    await store.close();
    const watch = startWatch(t, another(), "", after);
    assert.deepEqual(await take(watch.next, 1), [{ key: "a", value: null, revision: 3 }]);
  });

  test("what was forgotten stays forgotten after opening again", async (t) => {
    const { store, another } = open(t, { maxTombstones: 0 });
    const after = await store.put("a", "1");
    await store.delete("a");
    await store.put("b", "1");
    await store.close();
    await rejectsWith("store_compacted", startWatch(t, another(), "", after).next.next());
  });
}
