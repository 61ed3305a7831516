// Ports for machines: free ones, each to one owner only.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { suite, test } from "node:test";

import { PortAllocator } from "../../../src/wake/drivers/port-allocator.ts";

/** A range of its own for each run, since others on this computer may probe the same ports at the same time. */
function openAllocator(size: number): PortAllocator {
  const first = 20_000 + (createHash("sha256").update(`${process.pid} ${performance.now()}`).digest().readUInt16BE(0) % 12_000);
  return new PortAllocator({ first, last: first + size - 1, seed: "test" });
}

suite("the port allocator", { timeout: 10_000 }, () => {
  test("gives an owner the same ports again once it gave them back", async () => {
    const allocator = openAllocator(500);
    const before = await allocator.allocate("m1", 2);
    allocator.release("m1");
    assert.deepEqual(await allocator.allocate("m1", 2), before);
  });

  test("gives nobody what another has, also when both ask at once", async () => {
    const allocator = openAllocator(100);
    const given = await Promise.all(Array.from({ length: 10 }, (_, index) => allocator.allocate(`m${index}`, 3)));
    assert.equal(new Set(given.flat()).size, 30);
  });

  for (const host of ["127.0.0.1", "0.0.0.0", "::", "::1"]) {
    test(`skips a port that something listens on at ${host}`, async (context) => {
      const allocator = openAllocator(500);
      const [port = 0] = await allocator.allocate("m1", 1);
      allocator.release("m1");
      const server = createServer().listen({ host, port });
      try {
        await once(server, "listening");
      } catch {
        context.skip(`cannot listen at ${host}`);
        return;
      }
      const [other] = await allocator.allocate("m1", 1);
      server.close();
      assert.notEqual(other, port);
    });
  }

  test("respects ports of adopted machines", async () => {
    const allocator = openAllocator(500);
    const [port = 0] = await allocator.allocate("m1", 1);
    allocator.release("m1");
    allocator.reserve("m2", [port]);
    assert.notEqual((await allocator.allocate("m1", 1))[0], port);
  });

  test("throws spawn_failed when none is left, and keeps nothing of the attempt", async () => {
    const allocator = openAllocator(10);
    await assert.rejects(allocator.allocate("m1", 11), { code: "spawn_failed", message: /no free port left for machine "m1"/ });
    const given = await allocator.allocate("m2", 1);
    assert.equal(given.length, 1);
  });
});
