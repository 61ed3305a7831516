// Without gaps, whatever happens: random writes, readers that start anywhere and dawdle anyhow, deletions forgotten under them. Each
// reader must end with exactly the store's state.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { ProxyError } from "../../../src/core/errors.ts";
import type { Store } from "../../../src/state/store.ts";
import { seeded, type OpenSubject } from "./subject.ts";

const PREFIX = "a/";
const END = "a/zz-end";

type Step = { readonly kind: "put" | "delete"; readonly key: string } | { readonly kind: "pause" };

interface Reader {
  /** After how many steps of the writer it begins. */
  readonly beginsAt: number;
  /** Turns of the event loop to wait after each change, over and over. */
  readonly rests: readonly number[];
  readonly from: "list" | "zero";
}

const key = fc.constantFrom("a/1", "a/2", "a/3", "a/4", "b/1", "b/2");
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("put" as const), key }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("delete" as const), key }) },
  { weight: 2, arbitrary: fc.constant({ kind: "pause" as const }) },
);
const reader: fc.Arbitrary<Reader> = fc.record({
  beginsAt: fc.nat(40),
  rests: fc.array(fc.nat(4), { minLength: 1, maxLength: 6 }),
  from: fc.constantFrom("list", "zero"),
});

export function watchPropertyContract(open: OpenSubject, { shared }: { readonly shared: boolean }): void {
  const run = async (
    t: TestContext,
    numRuns: number,
    handles: (t: TestContext, maxTombstones: number) => { writers: Store[]; read: Store },
  ) => {
    const scenario = [fc.array(step, { maxLength: 60 }), fc.array(reader, { minLength: 1, maxLength: 3 }), fc.nat(4)] as const;
    await fc.assert(
      fc.asyncProperty(...scenario, async (steps, readers, maxTombstones) => {
        const { writers, read } = handles(t, maxTombstones);
        await play(writers, read, steps, readers);
        for (const store of new Set([...writers, read])) await store.close();
      }),
      seeded(t, numRuns),
    );
  };

  test("slow readers end with the store's state, however writes and deletions fall", async (t) => {
    await run(t, shared ? 150 : 300, (t, maxTombstones) => {
      const { store } = open(t, { maxTombstones });
      return { writers: [store], read: store };
    });
  });

  if (!shared) return;
  test("slow readers on one handle end with the state that two other handles wrote", async (t) => {
    await run(t, 100, (t, maxTombstones) => {
      const { store, another } = open(t, { maxTombstones });
      return { writers: [store, another()], read: another() };
    });
  });
}

async function play(writers: readonly Store[], read: Store, steps: readonly Step[], readers: readonly Reader[]): Promise<void> {
  const values = new Map<number, string>();
  const following: Promise<Map<string, string>>[] = [];
  for (const [index, current] of steps.entries()) {
    for (const reader of readers) if (reader.beginsAt === index) following.push(follow(read, reader, values));
    const writer = writers[index % writers.length] as Store;
    if (current.kind === "pause") await new Promise(setImmediate);
    else if (current.kind === "delete") await writer.delete(current.key);
    else values.set(await writer.put(current.key, `value ${index}`), `${current.key} value ${index}`);
  }
  for (const reader of readers) if (reader.beginsAt >= steps.length) following.push(follow(read, reader, values));
  values.set(await (writers[0] as Store).put(END, "end"), `${END} end`);

  const expected = new Map((await read.list(PREFIX)).map((entry) => [entry.key, entry.value]));
  for (const state of await Promise.all(following)) assert.deepEqual(new Map([...state].sort()), expected);
}

/** Keeps a copy of the store until it holds END, beginning anew when the store says so. Every change must be one that was made. */
async function follow(store: Store, reader: Reader, values: ReadonlyMap<number, string>): Promise<Map<string, string>> {
  const controller = new AbortController();
  for (;;) {
    const after = reader.from === "list" ? await store.revision() : 0;
    const state = new Map<string, string>();
    if (after > 0) for (const entry of await store.list(PREFIX)) state.set(entry.key, entry.value);
    if (state.has(END)) return state;
    let position = after;
    let seen = 0;
    try {
      for await (const change of store.watch(PREFIX, after, controller.signal)) {
        assert.ok(change.revision > position, `revision ${change.revision} came after ${position}`);
        position = change.revision;
        if (change.value === null) state.delete(change.key);
        else state.set(change.key, change.value);
        for (let turns = reader.rests[seen++ % reader.rests.length] ?? 0; turns > 0; turns--) await new Promise(setImmediate);
        if (change.value !== null) assert.equal(values.get(change.revision), `${change.key} ${change.value}`);
        if (change.key === END) return state;
      }
    } catch (error) {
      if (!(error instanceof ProxyError && error.code === "store_compacted")) throw error;
    }
  }
}
