// A store that lives and ends with the process: for tests, and to state the contract's rules without a database in the way.

import { ProxyError } from "../core/errors.ts";
import { assertExpected, type Expected } from "./expected.ts";
import { assertKey, assertPrefix, assertRevision, assertValue } from "./grammar.ts";
import { Leases, type LeaseRow, type LeaseTable } from "./leases.ts";
import type { Change, Entry, Fence, Lease, Store, WriteOptions } from "./store.ts";
import { Bell, MAX_TOMBSTONES, watchChanges, type Look, type WatchSource } from "./watch.ts";

export interface MemoryStoreOptions {
  /** Milliseconds since the epoch; leases run by it. Default: the system's clock. */
  readonly now?: () => number;
  /** How many deletions are remembered for watches. Default: 10 000. */
  readonly maxTombstones?: number;
}

export class MemoryStore implements Store {
  /** The last change of every key. A deleted key stays, as a tombstone, until it is compacted. */
  readonly #latest = new Map<string, Change>();
  /** All of `#latest` in revision order, among changes that later ones have replaced; swept when those are the most of it. */
  #history: Change[] = [];
  /** The deletions in `#latest`, oldest first. */
  readonly #tombstones = new Map<string, Change>();
  readonly #maxTombstones: number;
  readonly #leases: Leases;
  readonly #watchSource: WatchSource;
  readonly #bell = new Bell();
  #head = 0;
  #compacted = 0;

  constructor(options: MemoryStoreOptions = {}) {
    this.#maxTombstones = options.maxTombstones ?? MAX_TOMBSTONES;
    this.#leases = new Leases(
      createLeaseTable(() => this.#assertOpen()),
      options.now ?? Date.now,
    );
    this.#watchSource = { bell: this.#bell, look: (prefix, after) => this.#look(prefix, after) };
  }

  async get(key: string): Promise<Entry | null> {
    this.#assertOpen();
    assertKey(key);
    return asEntry(this.#latest.get(key));
  }

  async list(prefix: string): Promise<Entry[]> {
    this.#assertOpen();
    assertPrefix(prefix);
    const entries: Entry[] = [];
    for (const change of this.#latest.values()) {
      const entry = change.key.startsWith(prefix) ? asEntry(change) : null;
      if (entry !== null) entries.push(entry);
    }
    return entries.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async put(key: string, value: string, options: WriteOptions = {}): Promise<number> {
    return this.#change(key, value, "any", options.fence);
  }

  async create(key: string, value: string, options: WriteOptions = {}): Promise<number> {
    return this.#change(key, value, "absent", options.fence);
  }

  async update(key: string, value: string, revision: number, options: WriteOptions = {}): Promise<number> {
    assertRevision(revision);
    return this.#change(key, value, revision, options.fence);
  }

  async delete(key: string, options: WriteOptions & { readonly revision?: number } = {}): Promise<void> {
    if (options.revision !== undefined) assertRevision(options.revision);
    this.#change(key, null, options.revision ?? "any", options.fence);
  }

  watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<Change> {
    return watchChanges(this.#watchSource, prefix, after, signal);
  }

  async revision(): Promise<number> {
    this.#assertOpen();
    return this.#head;
  }

  async lease(name: string, ttlMs: number): Promise<Lease | null> {
    return this.#leases.take(name, ttlMs);
  }

  async close(): Promise<void> {
    this.#bell.close();
  }

  #change(key: string, value: string | null, expected: Expected, fence: Fence | undefined): number {
    this.#assertOpen();
    assertKey(key);
    if (value !== null) assertValue(key, value);
    if (fence !== undefined) this.#leases.assertHeld(fence);
    const current = asEntry(this.#latest.get(key));
    assertExpected(key, expected, current?.revision ?? null);
    if (value === null && current === null) return this.#head;

    this.#head += 1;
    const change = { key, value, revision: this.#head };
    this.#latest.set(key, change);
    this.#history.push(change);
    this.#tombstones.delete(key);
    if (value === null) this.#tombstones.set(key, change);
    this.#compact();
    this.#bell.ring();
    return change.revision;
  }

  #compact(): void {
    for (const [key, oldest] of this.#tombstones) {
      if (this.#tombstones.size <= this.#maxTombstones) break;
      this.#tombstones.delete(key);
      this.#latest.delete(key);
      this.#compacted = oldest.revision;
    }
    if (this.#history.length > 2 * this.#latest.size + 64) this.#history = this.#history.filter((change) => this.#isLatest(change));
  }

  #look(prefix: string, after: number): Look {
    this.#assertOpen();
    let index = firstAfter(this.#history, after);
    let next = this.#history[index];
    while (next !== undefined && !(next.key.startsWith(prefix) && this.#isLatest(next))) {
      index += 1;
      next = this.#history[index];
    }
    return { next: next ?? null, head: this.#head, compacted: this.#compacted };
  }

  #isLatest(change: Change): boolean {
    return this.#latest.get(change.key) === change;
  }

  #assertOpen(): void {
    if (this.#bell.closed) throw new ProxyError("store_unavailable", "the state store in memory is closed");
  }
}

function createLeaseTable(assertOpen: () => void): LeaseTable {
  const rows = new Map<string, LeaseRow>();
  let token = 0;
  return {
    // Nothing here waits, so nobody comes in between; and Leases throws before it saves, so there is nothing to undo.
    atomically: (work) => {
      assertOpen();
      return work();
    },
    find: (name) => rows.get(name) ?? null,
    save: (row) => void rows.set(row.name, row),
    remove: (name) => void rows.delete(name),
    nextToken: () => ++token,
  };
}

function asEntry(change: Change | undefined): Entry | null {
  if (change === undefined || change.value === null) return null;
  return { key: change.key, value: change.value, revision: change.revision };
}

/** Index of the first change after `revision`; binary search. */
function firstAfter(history: readonly Change[], revision: number): number {
  let low = 0;
  let high = history.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((history[middle]?.revision ?? Infinity) <= revision) low = middle + 1;
    else high = middle;
  }
  return low;
}
