// What the contract suite is run on, and what its parts share: a store to test, code assertions, readers of a watch, the seed.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { ProxyError, type ErrorCode } from "../../../src/core/errors.ts";
import type { Change, Store } from "../../../src/state/store.ts";

export interface SubjectOptions {
  readonly now?: () => number;
  readonly maxTombstones?: number;
}

export interface Subject {
  readonly store: Store;
  /** A further handle on the same data, as another process would have it. Throws for a store that cannot be shared. */
  another(): Store;
}

/** Makes an empty store that is closed and removed when the test is over. */
export type OpenSubject = (t: TestContext, options?: SubjectOptions) => Subject;

/** Asserts that `work` fails with this code and a message that matches. */
export async function rejectsWith(code: ErrorCode, work: Promise<unknown>, message: RegExp = /./): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof ProxyError, `expected ${code}, got ${String(error)}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

/** The next `count` changes of a watch, which stays open. */
export async function take(watch: AsyncIterator<Change>, count: number): Promise<Change[]> {
  const changes: Change[] = [];
  while (changes.length < count) {
    const result = await watch.next();
    assert.equal(result.done, false, `the watch ended after ${changes.length} of ${count} changes`);
    changes.push(result.value);
  }
  return changes;
}

/** Starts a watch that ends with the test, if not before. */
export function startWatch(
  t: TestContext,
  store: Store,
  prefix: string,
  after: number,
): { next: AsyncIterator<Change>; abort: () => void } {
  const controller = new AbortController();
  t.after(() => controller.abort());
  return { next: store.watch(prefix, after, controller.signal)[Symbol.asyncIterator](), abort: () => controller.abort() };
}

/** Parameters of a property test. Repeat a failed run with the seed it printed: `SEED=… node --test …`. */
export function seeded(t: TestContext, numRuns: number): { seed: number; numRuns: number } {
  const seed = Number(process.env["SEED"] ?? Date.now() % 0x7fffffff);
  t.diagnostic(`seed ${seed}`);
  return { seed, numRuns };
}
