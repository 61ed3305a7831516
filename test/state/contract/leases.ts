// Leases and fences: one holder at a time, time by the store's clock, tokens that only rise, and writes that only a holder makes.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProxyError } from "../../../src/core/errors.ts";
import type { Lease, Store } from "../../../src/state/store.ts";
import { rejectsWith, seeded, type OpenSubject } from "./subject.ts";

export function leasesContract(open: OpenSubject): void {
  test("a lease has one holder at a time, and names do not touch each other", async (t) => {
    const { store } = open(t);
    const attempts = await Promise.all(Array.from({ length: 20 }, () => store.lease("order/example.com", 1000)));
    assert.equal(attempts.filter((lease) => lease !== null).length, 1);
    assert.notEqual(await store.lease("order/example.org", 1000), null);
  });

  test("leases are neither entries nor changes", async (t) => {
    const { store } = open(t);
    const lease = await held(store, "a");
    await lease.renew(5);
    await lease.release();
    assert.equal(await store.get("a"), null);
    assert.equal(await store.revision(), 0);
  });

  test("a lease can be taken from the moment its time is up, with a higher token", async (t) => {
    const clock = { now: 5000 };
    const { store } = open(t, { now: () => clock.now });
    const first = await held(store, "a", 1000);
    clock.now = 5999;
    assert.equal(await store.lease("a", 1000), null);
    clock.now = 6000;
    const second = await held(store, "a", 1000);
    assert.ok(second.token > first.token);
  });

  test("renewing counts from now, and keeps the token", async (t) => {
    const clock = { now: 0 };
    const { store } = open(t, { now: () => clock.now });
    const lease = await held(store, "a", 1000);
    const { token } = lease;
    clock.now = 900;
    await lease.renew(1000);
    assert.equal(lease.token, token);
    clock.now = 1899;
    assert.equal(await store.lease("a", 1000), null);
    clock.now = 1900;
    await held(store, "a", 1000);
  });

  test("a lease that ran out comes back by renewal, unless another took it", async (t) => {
    const clock = { now: 0 };
    const { store } = open(t, { now: () => clock.now });
    const lease = await held(store, "a", 1000);
    clock.now = 3000;
    await lease.renew(1000);
    await store.put("x", "1", { fence: lease });
    clock.now = 4000;
    const successor = await held(store, "a", 1000);
    await rejectsWith("lease_lost", lease.renew(1000), /another took it, with token/);
    await successor.release();
    await rejectsWith("lease_lost", lease.renew(1000), /it was released/);
  });

  test("a released lease is free at once, with a higher token for the next", async (t) => {
    const { store } = open(t);
    const first = await held(store, "a");
    await first.release();
    await first.release();
    await rejectsWith("lease_lost", first.renew(1000));
    const second = await held(store, "a");
    assert.ok(second.token > first.token);
  });

  test("releasing what was lost leaves the successor's lease alone", async (t) => {
    const clock = { now: 0 };
    const { store } = open(t, { now: () => clock.now });
    const first = await held(store, "a", 10);
    clock.now = 10;
    const second = await held(store, "a", 1000);
    await first.release();
    assert.equal(await store.lease("a", 1000), null);
    await store.put("x", "1", { fence: second });
  });

  test("every kind of write passes with the fence of a held lease", async (t) => {
    const { store } = open(t);
    const fence = await held(store, "a");
    await store.create("x", "1", { fence });
    await store.update("x", "2", 1, { fence });
    await store.put("x", "3", { fence });
    await store.delete("x", { fence, revision: 3 });
    assert.equal(await store.revision(), 4);
  });

  test("no kind of write passes when another took the lease, and nothing is changed", async (t) => {
    const clock = { now: 0 };
    const { store } = open(t, { now: () => clock.now });
    const fence = await held(store, "a", 10);
    await store.put("x", "1");
    clock.now = 10;
    await held(store, "a", 1000);
    await assertRefused(store, fence);
  });

  test("a stale fence stays refused after the successor released the lease, or ran out of time itself", async (t) => {
    const clock = { now: 0 };
    const { store } = open(t, { now: () => clock.now });
    const fence = await held(store, "a", 10);
    await store.put("x", "1");
    clock.now = 10;
    const successor = await held(store, "a", 10);
    await successor.release();
    await assertRefused(store, fence);
    await held(store, "a", 10);
    clock.now = 20;
    await assertRefused(store, fence);
  });

  test("a holder cannot write after its own release, nor after its time until it renews", async (t) => {
    const clock = { now: 0 };
    const { store } = open(t, { now: () => clock.now });
    const fence = await held(store, "a", 10);
    await store.put("x", "1");
    clock.now = 10;
    await assertRefused(store, fence, /its time ran out; renew it first/);
    await fence.renew(10);
    await store.put("x", "2", { fence });
    await fence.release();
    await assertRefused(store, fence, /it was released/);
  });

  test("a fence of a lease that never was is refused", async (t) => {
    const { store } = open(t);
    await rejectsWith("lease_lost", store.put("x", "1", { fence: { name: "never", token: 1 } }));
    const lease = await held(store, "a");
    await rejectsWith("lease_lost", store.put("x", "1", { fence: { name: "a", token: lease.token + 1 } }));
    await rejectsWith("lease_lost", store.put("x", "1", { fence: { name: "b", token: lease.token } }));
  });

  test("at no moment can a holder write while another can take the lease, and tokens only rise", async (t) => {
    const action = fc.record({
      kind: fc.constantFrom("take", "renew", "release", "wait"),
      index: fc.nat(5),
      ms: fc.integer({ min: 1, max: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        const clock = { now: 0 };
        const { store } = open(t, { now: () => clock.now });
        const leases: Lease[] = [];
        for (const { kind, index, ms } of actions) {
          const writers = (await Promise.all(leases.map((lease) => isHeld(store, lease)))).filter(Boolean).length;
          assert.ok(writers <= 1);
          if (kind === "wait") clock.now += ms;
          if (kind === "release") await leases[index]?.release();
          if (kind === "renew") await leases[index]?.renew(ms).catch(assertLost);
          if (kind === "take") {
            const lease = await store.lease("a", ms);
            assert.equal(lease === null, writers === 1);
            if (lease !== null) assert.ok(lease.token > (leases.at(-1)?.token ?? 0));
            if (lease !== null) leases.push(lease);
          }
        }
        await store.close();
      }),
      seeded(t, 40),
    );
  });
}

async function held(store: Store, name: string, ttlMs = 60_000): Promise<Lease> {
  const lease = await store.lease(name, ttlMs);
  assert.ok(lease !== null, `the lease ${name} is not free`);
  return lease;
}

/** `x` must exist. */
async function assertRefused(store: Store, fence: Lease, message = /./): Promise<void> {
  const before = await store.get("x");
  assert.ok(before !== null);
  const revision = await store.revision();
  await rejectsWith("lease_lost", store.put("x", "late", { fence }), message);
  await rejectsWith("lease_lost", store.create("y", "late", { fence }), message);
  await rejectsWith("lease_lost", store.create("x", "late and in conflict", { fence }), message);
  await rejectsWith("lease_lost", store.update("x", "late", before.revision, { fence }), message);
  await rejectsWith("lease_lost", store.delete("x", { fence }), message);
  await rejectsWith("lease_lost", store.delete("not-there", { fence }), message);
  assert.deepEqual(await store.get("x"), before);
  assert.equal(await store.revision(), revision);
}

async function isHeld(store: Store, fence: Lease): Promise<boolean> {
  try {
    await store.put("x", "1", { fence });
    return true;
  } catch (error) {
    assertLost(error);
    return false;
  }
}

function assertLost(error: unknown): void {
  assert.ok(error instanceof ProxyError && error.code === "lease_lost", String(error));
}
