// Who holds which lease, and whether a fenced write may happen: the rules of store.ts over a table of rows that the engine
// keeps. The engine brings atomicity; the clock is the only other thing that counts.
//
//     (no row) ──take──► held ──time──► run out ──take──► held, higher token
//        ▲                │  ▲            │  │
//        └────release─────┘  └───renew────┘  └──release──► (no row)

import { ProxyError } from "../core/errors.ts";
import { assertKey, assertTtl } from "./grammar.ts";
import type { Fence, Lease } from "./store.ts";

export interface LeaseRow {
  readonly name: string;
  readonly token: number;
  /** Milliseconds since the epoch; from here on it has run out. */
  readonly expiresAtMs: number;
}

/** What an engine provides. */
export interface LeaseTable {
  /** Runs `work` so that no other process reads or writes leases meanwhile; what it wrote is undone when it throws. */
  atomically<Result>(work: () => Result): Result;
  find(name: string): LeaseRow | null;
  save(row: LeaseRow): void;
  remove(name: string): void;
  /** A number above all it has returned before. One counter for all names, so that a released lease needs no row to remember it. */
  nextToken(): number;
}

export class Leases {
  readonly #table: LeaseTable;
  readonly #now: () => number;

  constructor(table: LeaseTable, now: () => number) {
    this.#table = table;
    this.#now = now;
  }

  /** `Store.lease`. */
  take(name: string, ttlMs: number): Lease | null {
    assertKey(name);
    assertTtl(name, ttlMs);
    const token = this.#table.atomically(() => {
      const row = this.#table.find(name);
      const nowMs = this.#now();
      if (row !== null && nowMs < row.expiresAtMs) return null;
      const next = this.#table.nextToken();
      this.#table.save({ name, token: next, expiresAtMs: nowMs + ttlMs });
      return next;
    });
    if (token === null) return null;
    return {
      name,
      token,
      renew: async (renewedTtlMs) => this.#renew({ name, token }, renewedTtlMs),
      release: async () => this.#release({ name, token }),
    };
  }

  /** Throws `lease_lost` unless the lease is held under this token now. To be called in the transaction of the write it guards. */
  assertHeld(fence: Fence): void {
    const row = this.#findOwn(fence);
    if (this.#now() < row.expiresAtMs) return;
    throw lost(fence, "its time ran out; renew it first");
  }

  #renew(fence: Fence, ttlMs: number): void {
    assertTtl(fence.name, ttlMs);
    this.#table.atomically(() => {
      this.#findOwn(fence);
      this.#table.save({ name: fence.name, token: fence.token, expiresAtMs: this.#now() + ttlMs });
    });
  }

  #release(fence: Fence): void {
    this.#table.atomically(() => {
      if (this.#table.find(fence.name)?.token === fence.token) this.#table.remove(fence.name);
    });
  }

  #findOwn(fence: Fence): LeaseRow {
    const row = this.#table.find(fence.name);
    if (row?.token === fence.token) return row;
    throw lost(fence, row === null ? "it was released" : `another took it, with token ${row.token}`);
  }
}

function lost(fence: Fence, reason: string): ProxyError {
  return new ProxyError("lease_lost", `the lease "${fence.name}" with token ${fence.token} is lost: ${reason}`);
}
