// A lease that is kept for as long as a piece of work takes: renewed at a third of its time, and given back at the end. Who holds it learns
// by a signal that it is lost; a fenced write would fail then in any case.

import { ProxyError } from "../core/errors.ts";
import type { Fence, Lease, Store } from "./store.ts";

export class HeldLease implements AsyncDisposable {
  /** For writes that shall happen only while it is held. */
  readonly fence: Fence;
  readonly #lease: Lease;
  readonly #ttlMs: number;
  readonly #lost = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #heldUntilMs: number;

  private constructor(lease: Lease, ttlMs: number) {
    this.fence = { name: lease.name, token: lease.token };
    this.#lease = lease;
    this.#ttlMs = ttlMs;
    this.#heldUntilMs = performance.now() + ttlMs;
    this.#timer = setInterval(() => void this.#renew(), ttlMs / 3);
    this.#timer.unref();
  }

  /** null: another holds it. Throws `store_unavailable`. */
  static async take(store: Pick<Store, "lease">, name: string, ttlMs: number): Promise<HeldLease | null> {
    const lease = await store.lease(name, ttlMs);
    return lease === null ? null : new HeldLease(lease, ttlMs);
  }

  /** Aborts with `lease_lost` when the lease is lost, or could not be renewed in time. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Gives it back, as well as that can be done: without a store its time runs out. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#lease.release().catch(() => {});
  }

  async #renew(): Promise<void> {
    const askedMs = performance.now();
    try {
      await this.#lease.renew(this.#ttlMs);
      this.#heldUntilMs = askedMs + this.#ttlMs;
    } catch (error) {
      // A store that cannot be reached for a moment has not given the lease to another one.
      const isLost = error instanceof ProxyError && error.code === "lease_lost";
      if (!isLost && performance.now() < this.#heldUntilMs) return;
      clearInterval(this.#timer);
      this.#lost.abort(
        isLost ? error : new ProxyError("lease_lost", `the lease "${this.fence.name}" could not be renewed`, { cause: error }),
      );
    }
  }
}
