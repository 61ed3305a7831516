// Writes machine records behind the back of those who change them: the newest value of each key, in batches, again and again with
// back-off while the store fails. The host's truth is in memory; the store is for the next life of the node and for other nodes.

import { setTimeout as delay } from "node:timers/promises";

import type { Logger } from "pino";

import { backoffMs } from "../core/backoff.ts";

/** What the host needs of the state store. */
export interface RecordStore {
  list(prefix: string): Promise<readonly { readonly key: string; readonly value: string }[]>;
  put(key: string, value: string): Promise<unknown>;
  delete(key: string): Promise<void>;
}

const RETRY = { minMs: 200, maxMs: 30_000 };

export class RecordJournal {
  readonly #store: RecordStore;
  readonly #log: Logger;
  readonly #random: () => number;
  /** null: to be deleted. */
  readonly #pending = new Map<string, string | null>();
  readonly #stopped = new AbortController();
  #writing: Promise<void> | null = null;
  #failures = 0;
  /** Resolves when the store begins to fail. */
  #firstFailure = Promise.withResolvers<void>();

  constructor(store: RecordStore, log: Logger, random: () => number) {
    this.#store = store;
    this.#log = log;
    this.#random = random;
  }

  /** Did the last attempt to write fail? */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /** Queues the value (null deletes the key) and returns at once; a later call for the same key replaces it. */
  write(key: string, value: string | null): void {
    if (this.#stopped.signal.aborted) return;
    this.#pending.set(key, value);
    this.#writing ??= this.#drain();
  }

  /**
   * Resolves when everything queued is in the store, or when that cannot be had: at once while the store fails, else after
   * `boundMs`. Never rejects.
   */
  async flushed(boundMs: number): Promise<void> {
    if (this.#writing === null || this.failing) return;
    const timer = new AbortController();
    await Promise.race([this.#written(), delay(boundMs, undefined, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
  }

  /** Flushes what can be flushed, then gives up the rest. */
  async close(boundMs: number): Promise<void> {
    await this.flushed(boundMs);
    this.#stopped.abort();
  }

  /** Until the queue is empty, or the store turns out to fail. */
  async #written(): Promise<void> {
    await Promise.race([this.#writing, this.#firstFailure.promise]);
  }

  async #drain(): Promise<void> {
    // What is changed in the same turn goes in the same batch.
    await Promise.resolve();
    while (this.#pending.size > 0 && !this.#stopped.signal.aborted) {
      const batch = [...this.#pending];
      this.#pending.clear();
      const results = await Promise.allSettled(batch.map(([key, value]) => this.#put(key, value)));
      const failure = results.find((result) => result.status === "rejected");
      if (failure === undefined) {
        if (this.#failures > 0) this.#log.info("the state store takes machine records again");
        this.#failures = 0;
        continue;
      }
      batch.forEach(([key, value], index) => {
        if (results[index]?.status === "rejected" && !this.#pending.has(key)) this.#pending.set(key, value);
      });
      await this.#failed(failure.reason);
    }
    this.#writing = null;
  }

  async #put(key: string, value: string | null): Promise<void> {
    if (value === null) await this.#store.delete(key);
    else await this.#store.put(key, value);
  }

  async #failed(error: unknown): Promise<void> {
    this.#failures += 1;
    if (this.#failures === 1) {
      this.#log.error({ err: error }, "machine records cannot be written to the state store; going on from memory and trying again");
      this.#firstFailure.resolve();
      this.#firstFailure = Promise.withResolvers<void>();
    }
    await delay(backoffMs(this.#failures, RETRY, this.#random()), undefined, { signal: this.#stopped.signal }).catch(() => {});
  }
}
