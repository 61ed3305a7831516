// The contract of the state store: a small key-value store with revisions, watches and leases. One process and SQLite by
// default, JetStream for a fleet, memory for tests; all pass test/state/store-contract.ts.
//
// Keys are `/`-separated segments of [A-Za-z0-9._-]+, such as `machines/hello/1a2b3c`, 512 characters at most. A prefix is empty
// (every key) or ends in `/`, so that `machines/hello/` never means `machines/hello-2/…`. Values are well-formed text (JSON, PEM)
// of up to 1 MiB in UTF-8. Anything else throws `store_invalid`.
//
// Every change of any key gets the next revision, one counter for the whole store, so revisions order all changes. A revision
// is never given twice. Every call may throw `store_unavailable` (disk full, read-only, corrupt, locked, closed): it then
// changed nothing, and the store can be used again as soon as the cause is gone.

export interface Store {
  /** The entry, or null when the key does not exist (never written, or deleted). */
  get(key: string): Promise<Entry | null>;

  /** All entries whose key starts with `prefix`, in key order (by character code), as they are at one moment. */
  list(prefix: string): Promise<Entry[]>;

  /** Writes whatever is there; the same value again is a change like any other. Returns the new revision. */
  put(key: string, value: string, options?: WriteOptions): Promise<number>;

  /** Writes only if the key does not exist; one that was deleted does not. Returns the new revision. Throws `store_conflict`. */
  create(key: string, value: string, options?: WriteOptions): Promise<number>;

  /** Writes only if the key's revision is still `revision`. Throws `store_conflict`, also when the key is gone. */
  update(key: string, value: string, revision: number, options?: WriteOptions): Promise<number>;

  /**
   * Deletes the key. Deleting what is not there is no change. With `revision`, only if the key is still at that revision: throws
   * `store_conflict` otherwise, also when the key is gone, because then somebody else has dealt with it.
   */
  delete(key: string, options?: WriteOptions & { readonly revision?: number }): Promise<void>;

  /**
   * Every change of a key under `prefix` after revision `after`, then every later one as it happens, until `signal` aborts or
   * the store is closed (the iteration then ends without an error, at once, whatever is left to see).
   *
   * In revision order and without gaps in this sense: a consumer that applies all changes has the store's state; of several
   * changes of one key made before it looked, it sees only the last. Deletions are changes, also of keys it has never seen.
   * A consumer may be as slow as it likes: the watch keeps a position, not a backlog.
   *
   * From 0 a watch starts with all that exists, and starting there never fails; it is for a consumer that holds nothing yet. To
   * have the state as a whole first, take `revision()`, then `list`, then `watch` from that revision: this misses nothing (a
   * change made in between is seen twice). Not from the highest revision in the list: while a prefix is quiet, that one ages
   * until it is compacted. When `revision()` gives 0 there is nothing to list.
   *
   * Throws `store_compacted` when deletions after `after`, or after where a slow consumer is, have been forgotten (a store
   * keeps the newest 10 000 or more), or when `after` is ahead of the store, which was then restored from an older copy. The
   * consumer drops what it knows and begins anew. Like every error of a watch, it comes out of the iteration.
   */
  watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<Change>;

  /** The revision of the last change of any key; 0 for a store that was never written to. */
  revision(): Promise<number>;

  /**
   * Takes the lease `name` (same grammar as keys, but a space of its own) for `ttlMs`, or resolves to null when it is held. It
   * is held from here until it is released or its time runs out by the store's clock; nobody gets it twice, not even its
   * holder. The one who got it must check that the work still needs doing. A token is higher than every earlier token of this
   * name, also after release, after its time ran out, and after the store was closed and opened.
   */
  lease(name: string, ttlMs: number): Promise<Lease | null>;

  /** Ends all watches. Further calls throw `store_unavailable`. Closing twice is harmless. Leases run on until their time is up. */
  close(): Promise<void>;
}

export interface Entry {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

/** `value` is null for a deletion. */
export interface Change {
  readonly key: string;
  readonly value: string | null;
  readonly revision: number;
}

export interface WriteOptions {
  /**
   * The write happens only while this lease is held: atomically checked, so that a holder that was paused past its time cannot
   * overwrite what its successor did. Throws `lease_lost`, whatever else is wrong with the write, when
   *
   * - another took the lease meanwhile, also when that one has released it or run out of time since: its work may be done;
   * - it was released, by the holder itself too;
   * - its time ran out, even if nobody took it yet. So at no moment can the holder write while another can take the lease.
   *   `renew` brings back a lease that nobody took.
   */
  readonly fence?: Fence;
}

export interface Fence {
  readonly name: string;
  readonly token: number;
}

export interface Lease extends Fence {
  /**
   * Extends the lease to `ttlMs` from now; also one whose time ran out, if nobody took it since. Throws `lease_lost` when another
   * took it, or when it was released.
   */
  renew(ttlMs: number): Promise<void>;
  /** Gives it back; harmless when it is lost already: a successor's lease is left alone. */
  release(): Promise<void>;
}
