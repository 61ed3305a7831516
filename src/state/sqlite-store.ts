// The embedded store: one SQLite file in the data directory, which several processes of one machine may share. Every write is one
// transaction that takes the write lock first (BEGIN IMMEDIATE), so processes take turns and nothing is read that another is
// changing. Calls run to their end on the calling thread: tens of microseconds each; the write lock of another process is waited
// for up to `busyTimeoutMs`.
//
// A commit survives the end of the process, however hard. Power loss may take the last commits (synchronous = NORMAL).

import type { DatabaseSync } from "node:sqlite";
import { ProxyError } from "../core/errors.ts";
import { ChangeSignal } from "./change-signal.ts";
import { assertExpected, type Expected } from "./expected.ts";
import { assertKey, assertPrefix, assertRevision, assertValue } from "./grammar.ts";
import { Leases } from "./leases.ts";
import { translated } from "./sqlite-failure.ts";
import { openStateFile } from "./sqlite-file.ts";
import { prepareStatements, type Counters, type Statements } from "./sqlite-statements.ts";
import type { Change, Entry, Fence, Lease, Store, WriteOptions } from "./store.ts";
import { Bell, MAX_TOMBSTONES, watchChanges, type WatchSource } from "./watch.ts";

export interface SqliteStoreOptions {
  /** The database file. It is created with mode 0600, missing directories with 0700. */
  readonly path: string;
  /** Milliseconds since the epoch; leases run by it, in all processes that share the file. Default: the system's clock. */
  readonly now?: () => number;
  /** How many deletions are remembered for watches. Default: 10 000. */
  readonly maxTombstones?: number;
  /** How long a write waits for another process's before it fails; this thread stands still meanwhile. Default: 2000. */
  readonly busyTimeoutMs?: number;
  /** Bound of the database file; a write beyond it fails as on a full disk. Default: none. */
  readonly maxBytes?: number;
  /** How often a waiting watch looks for changes of other processes that were not signalled. Default: 1000. */
  readonly pollMs?: number;
}

export class SqliteStore implements Store {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  readonly #signal: ChangeSignal;
  readonly #maxTombstones: number;
  readonly #leases: Leases;
  readonly #watchSource: WatchSource;
  readonly #bell = new Bell();
  /** The newest revision that the watches of this handle were woken for. */
  #rungFor = 0;

  /** Opens or creates the file. Throws `store_unavailable`. */
  constructor(options: SqliteStoreOptions) {
    this.#path = options.path;
    this.#maxTombstones = options.maxTombstones ?? MAX_TOMBSTONES;
    const { busyTimeoutMs = 2000, maxBytes = null, pollMs = 1000 } = options;
    this.#database = translated(options.path, () => openStateFile(options.path, { busyTimeoutMs, maxBytes }));
    this.#statements = translated(options.path, () => prepareStatements(this.#database));
    this.#signal = new ChangeSignal({ path: `${options.path}-changed`, onSignal: () => this.#hear(), pollMs });
    const { findLease, saveLease, removeLease, nextToken } = this.#statements;
    const leaseTable = { find: findLease, save: saveLease, remove: removeLease, nextToken };
    this.#leases = new Leases({ ...leaseTable, atomically: (work) => this.#write(work) }, options.now ?? Date.now);
    this.#watchSource = { bell: this.#bell, look: (prefix, after) => this.#read(() => this.#statements.look(prefix, after)) };
  }

  async get(key: string): Promise<Entry | null> {
    assertKey(key);
    return this.#read(() => this.#statements.get(key));
  }

  async list(prefix: string): Promise<Entry[]> {
    assertPrefix(prefix);
    return this.#read(() => this.#statements.list(prefix));
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
    if (!this.#bell.closed) this.#signal.listen();
    return watchChanges(this.#watchSource, prefix, after, signal);
  }

  async revision(): Promise<number> {
    return this.#read(() => this.#statements.head());
  }

  async lease(name: string, ttlMs: number): Promise<Lease | null> {
    return this.#leases.take(name, ttlMs);
  }

  async close(): Promise<void> {
    if (this.#bell.closed) return;
    this.#bell.close();
    this.#signal.close();
    this.#database.close();
  }

  #change(key: string, value: string | null, expected: Expected, fence: Fence | undefined): number {
    assertKey(key);
    if (value !== null) assertValue(key, value);
    const head = this.#write(() => {
      if (fence !== undefined) this.#leases.assertHeld(fence);
      const current = this.#statements.keyState(key);
      const exists = current !== null && !current.deleted;
      assertExpected(key, expected, exists ? current.revision : null);
      const counters = this.#statements.counters();
      if (value === null && !exists) return counters.revision;

      const revision = counters.revision + 1;
      this.#statements.save({ key, value, revision });
      const tombstones = counters.tombstones + (value === null ? 1 : 0) - (current?.deleted === true ? 1 : 0);
      this.#statements.saveCounters(this.#compact({ ...counters, revision, tombstones }));
      return revision;
    });
    this.#rungFor = head;
    this.#bell.ring();
    this.#signal.announce();
    return head;
  }

  #compact(counters: Counters): Counters {
    let { tombstones, compacted } = counters;
    for (; tombstones > this.#maxTombstones; tombstones -= 1) compacted = this.#statements.removeOldestTombstone();
    return { ...counters, tombstones, compacted };
  }

  /** Another process may have committed. */
  #hear(): void {
    try {
      const head = this.#read(() => this.#statements.head());
      if (head <= this.#rungFor) return;
      this.#rungFor = head;
    } catch {
      // The watches are woken to look for themselves: they find the same failure and tell their consumers.
    }
    this.#bell.ring();
  }

  #read<Result>(work: () => Result): Result {
    this.#assertOpen();
    return translated(this.#path, work);
  }

  #write<Result>(work: () => Result): Result {
    this.#assertOpen();
    return translated(this.#path, () => {
      this.#statements.begin();
      try {
        const result = work();
        this.#statements.commit();
        return result;
      } catch (error) {
        // After some failures, a full disk among them, SQLite has rolled back already.
        if (this.#database.isTransaction) this.#statements.rollback();
        throw error;
      }
    });
  }

  #assertOpen(): void {
    if (this.#bell.closed) throw new ProxyError("store_unavailable", `the state store "${this.#path}" is closed`);
  }
}
