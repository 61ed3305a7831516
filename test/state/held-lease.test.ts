// A lease that is kept while work goes on.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";

import { HeldLease } from "../../src/state/held-lease.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import type { Lease } from "../../src/state/store.ts";
import { eventually } from "../support/eventually.ts";

const NAME = "certs/a.example.com";
/** Renewed at a third of it. */
const TTL_MS = 60;

describe("a held lease", () => {
  test("outlasts its time, is nobody else's meanwhile, and free at the end", async () => {
    let nowMs = 0;
    const store = new MemoryStore({ now: () => nowMs });
    let renewals = 0;
    const take = async (name: string, ttlMs: number): Promise<Lease | null> => {
      const lease = await store.lease(name, ttlMs);
      const renew = async (renewedMs: number): Promise<void> => {
        await lease?.renew(renewedMs);
        renewals++;
      };
      return lease && { ...lease, renew };
    };
    {
      await using held = await HeldLease.take({ lease: take }, NAME, TTL_MS);
      for (let count = 0; count < 3; count++) {
        nowMs += 0.9 * TTL_MS;
        const before = renewals;
        await eventually(() => renewals > before, "a renewal");
        assert.equal(await store.lease(NAME, TTL_MS), null);
        await store.put("certs/x", "1", { fence: held!.fence });
      }
      assert.equal(held!.lost.aborted, false);
    }
    assert.notEqual(await store.lease(NAME, TTL_MS), null);
    await store.close();
  });

  test("that another one holds is not to be had", async () => {
    const store = new MemoryStore();
    await store.lease(NAME, 60_000);
    assert.equal(await HeldLease.take(store, NAME, TTL_MS), null);
    await store.close();
  });

  test("says that it is lost when another one took it", async () => {
    let aheadMs = 0;
    const store = new MemoryStore({ now: () => Date.now() + aheadMs });
    await using held = await HeldLease.take(store, NAME, TTL_MS);
    // As if this process had stood still.
    aheadMs = 10 * TTL_MS;
    assert.notEqual(await store.lease(NAME, 60_000), null);
    if (!held!.lost.aborted) await once(held!.lost, "abort");
    assert.equal(held!.lost.reason.code, "lease_lost");
    await store.close();
  });

  test("says so when the store was away for as long as it lasts", async () => {
    const store = new MemoryStore();
    await using held = await HeldLease.take(store, NAME, TTL_MS);
    const takenMs = performance.now();
    await store.close();
    await once(held!.lost, "abort");
    assert.equal(held!.lost.reason.code, "lease_lost");
    assert.ok(performance.now() - takenMs >= TTL_MS);
  });
});
