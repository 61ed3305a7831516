// Reading and writing entries: conditions, revisions, order, and what is refused.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { ProxyError } from "../../../src/core/errors.ts";
import type { Store } from "../../../src/state/store.ts";
import { rejectsWith, seeded, type OpenSubject } from "./subject.ts";

export function entriesContract(open: OpenSubject): void {
  test("a new store is empty and at revision 0", async (t) => {
    const { store } = open(t);
    assert.equal(await store.get("a"), null);
    assert.deepEqual(await store.list(""), []);
    assert.equal(await store.revision(), 0);
  });

  test("what was put is read back with its revision, and every change takes the next one", async (t) => {
    const { store } = open(t);
    assert.equal(await store.put("a/1", "one"), 1);
    assert.equal(await store.put("b/1", "two"), 2);
    assert.equal(await store.put("a/1", "three"), 3);
    assert.deepEqual(await store.get("a/1"), { key: "a/1", value: "three", revision: 3 });
    assert.equal(await store.revision(), 3);
  });

  test("the same value again is a change", async (t) => {
    const { store } = open(t);
    await store.put("a", "same");
    assert.equal(await store.put("a", "same"), 2);
  });

  test("create writes only what does not exist, deleted keys included", async (t) => {
    const { store } = open(t);
    assert.equal(await store.create("a", "1"), 1);
    await rejectsWith("store_conflict", store.create("a", "2"), /"a" exists already, at revision 1/);
    await store.delete("a");
    assert.equal(await store.create("a", "3"), 3);
    assert.equal((await store.get("a"))?.value, "3");
  });

  test("update writes only at the revision that was read", async (t) => {
    const { store } = open(t);
    const first = await store.put("a", "1");
    const second = await store.update("a", "2", first);
    await rejectsWith("store_conflict", store.update("a", "3", first), /"a" is at revision 2, not at 1/);
    await store.delete("a");
    await rejectsWith("store_conflict", store.update("a", "3", second), /"a" is gone/);
    await rejectsWith("store_conflict", store.update("never", "1", 0), /"never" is gone/);
    assert.equal(await store.revision(), 3, "a refused write takes no revision");
  });

  test("delete removes the key; what is not there is no change", async (t) => {
    const { store } = open(t);
    await store.put("a", "1");
    await store.delete("a");
    assert.equal(await store.get("a"), null);
    assert.deepEqual(await store.list(""), []);
    assert.equal(await store.revision(), 2);
    await store.delete("a");
    await store.delete("never");
    assert.equal(await store.revision(), 2);
  });

  test("delete at a revision removes only that one", async (t) => {
    const { store } = open(t);
    const first = await store.put("a", "1");
    const second = await store.put("a", "2");
    await rejectsWith("store_conflict", store.delete("a", { revision: first }));
    assert.equal((await store.get("a"))?.value, "2");
    await store.delete("a", { revision: second });
    await rejectsWith("store_conflict", store.delete("a", { revision: second }), /"a" is gone/);
  });

  test("list gives the keys under a prefix in order, and nothing of a longer name", async (t) => {
    const { store } = open(t);
    for (const key of [
      "m/hello/b",
      "m/hello/a",
      "m/hello-2/a",
      "m/hello",
      "m/hello/a/x",
      "m/hello/B",
      "n",
      "m/hello.x/a",
      "m/hello/_",
      "m/hello0",
      "m/hello0/a",
    ]) {
      await store.put(key, key);
    }
    const keysUnder = async (prefix: string) => (await store.list(prefix)).map((entry) => entry.key);
    assert.deepEqual(await keysUnder("m/hello/"), ["m/hello/B", "m/hello/_", "m/hello/a", "m/hello/a/x", "m/hello/b"]);
    assert.deepEqual(await keysUnder("m/hello/a/"), ["m/hello/a/x"]);
    assert.deepEqual(await keysUnder("other/"), []);
    const all = await keysUnder("");
    assert.deepEqual(all, [...all].sort());
    assert.equal(all.length, 11);
  });

  test("keys and prefixes outside the grammar are refused, and nothing is written", async (t) => {
    const { store } = open(t);
    for (const key of ["", "/", "a/", "/a", "a//b", "a b", "ä", "a\n", "a\0", "a*", "x".repeat(513)]) {
      await rejectsWith("store_invalid", store.put(key, "1"), /^the key ".*" is not one/s);
      await rejectsWith("store_invalid", store.get(key));
      await rejectsWith("store_invalid", store.delete(key));
      await rejectsWith("store_invalid", store.lease(key, 1));
    }
    for (const prefix of ["a", "/", "a//", "ä/"]) {
      await rejectsWith("store_invalid", store.list(prefix));
      await rejectsWith("store_invalid", store.watch(prefix, 0, AbortSignal.timeout(1000))[Symbol.asyncIterator]().next());
    }
    await store.put("x".repeat(512), "as long as a key may be");
    assert.equal(await store.revision(), 1);
  });

  test("numbers that cannot be revisions or times are refused", async (t) => {
    const { store } = open(t);
    for (const revision of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await rejectsWith("store_invalid", store.update("a", "1", revision));
      await rejectsWith("store_invalid", store.delete("a", { revision }));
      await rejectsWith("store_invalid", store.watch("", revision, AbortSignal.timeout(1000))[Symbol.asyncIterator]().next());
    }
    for (const ttlMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) await rejectsWith("store_invalid", store.lease("a", ttlMs));
  });

  test("a value of 1 MiB is stored, one byte more is refused, counted in UTF-8", async (t) => {
    const { store } = open(t);
    const largest = "é".repeat(512 * 1024);
    await store.put("a", largest);
    assert.equal((await store.get("a"))?.value, largest);
    await rejectsWith("store_invalid", store.put("a", `${largest}x`), /has 1048577 bytes/);
    assert.equal(await store.revision(), 1);
  });

  test("any well-formed text comes back as it was; a lone surrogate is refused", async (t) => {
    const { store } = open(t);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: character }), async (value) => {
        await store.put("a", value);
        assert.equal((await store.get("a"))?.value, value);
      }),
      seeded(t, 100),
    );
    for (const value of ["", "\0", "a\0b", "\ufeffa", "\r\n"]) {
      await store.put("a", value);
      assert.equal((await store.get("a"))?.value, value);
    }
    await rejectsWith("store_invalid", store.put("a", "x\ud800y"), /not well-formed/);
  });

  test("any sequence of calls has the outcome that the simplest model has", async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 40 }), async (calls) => {
        const { store } = open(t, { maxTombstones: 1 });
        await compareWithModel(t, store, calls);
        await store.close();
      }),
      seeded(t, 40),
    );
  });

  test("calls after close fail, closing again does not", async (t) => {
    const { store } = open(t);
    const lease = await store.lease("l", 1000);
    await store.close();
    await store.close();
    await rejectsWith("store_unavailable", store.get("a"), /closed/);
    await rejectsWith("store_unavailable", store.list(""));
    await rejectsWith("store_unavailable", store.put("a", "1"));
    await rejectsWith("store_unavailable", store.delete("a"));
    await rejectsWith("store_unavailable", store.revision());
    await rejectsWith("store_unavailable", store.lease("x", 1000));
    await rejectsWith("store_unavailable", store.watch("", 0, AbortSignal.timeout(1000))[Symbol.asyncIterator]().next());
    assert.ok(lease !== null);
    await rejectsWith("store_unavailable", lease.renew(1000));
    await rejectsWith("store_unavailable", lease.release());
  });
}

/** Any code point that text may have, the low ones more often. */
const character = fc
  .oneof(fc.nat(0x7f), fc.nat(0x10ffff))
  .filter((code) => code < 0xd800 || code > 0xdfff)
  .map((code) => String.fromCodePoint(code));

type Call = { readonly key: string; readonly at: number } & { readonly kind: "put" | "create" | "update" | "delete" | "delete-at" };

const call: fc.Arbitrary<Call> = fc.record({
  kind: fc.constantFrom("put", "create", "update", "delete", "delete-at"),
  key: fc.constantFrom("a", "a/b", "a/c", "b/a"),
  at: fc.nat(12),
});

async function compareWithModel(t: TestContext, store: Store, calls: readonly Call[]): Promise<void> {
  const model = new Map<string, { value: string; revision: number }>();
  let head = 0;
  for (const [index, { kind, key, at }] of calls.entries()) {
    const value = `${kind} ${index}`;
    const current = model.get(key)?.revision;
    const isConflict = kind === "create" ? current !== undefined : (kind === "update" || kind === "delete-at") && current !== at;
    const isDeletion = kind === "delete" || kind === "delete-at";
    if (!isConflict && isDeletion && model.delete(key)) head += 1;
    if (!isConflict && !isDeletion) model.set(key, { value, revision: ++head });

    const outcome = await apply(store, { kind, key, at }, value);
    const written = isDeletion ? undefined : head;
    t.assert.equal(outcome, isConflict ? "store_conflict" : written);
    t.assert.equal(await store.revision(), head);
  }
  const expected = [...model].map(([key, { value, revision }]) => ({ key, value, revision })).sort((a, b) => (a.key < b.key ? -1 : 1));
  t.assert.deepEqual(await store.list(""), expected);
}

async function apply(store: Store, { kind, key, at }: Call, value: string): Promise<unknown> {
  try {
    if (kind === "put") return await store.put(key, value);
    if (kind === "create") return await store.create(key, value);
    if (kind === "update") return await store.update(key, value, at);
    if (kind === "delete") return await store.delete(key);
    return await store.delete(key, { revision: at });
  } catch (error) {
    if (error instanceof ProxyError) return error.code;
    throw error;
  }
}
