// The node that orders is killed while each of its orders is at another step; another one goes on, with the orders that there are.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { SqliteStore } from "../../../src/state/sqlite-store.ts";
import { noPebble, Pebble } from "../../support/pebble.ts";
import { ScratchDirectory } from "../fixtures.ts";
import { fileChallenges, leaseOf, openIssuer, publishers } from "./fixtures.ts";
import type { DoomedOrders } from "./orders-until-killed.ts";

const CHILD = fileURLToPath(new URL("orders-until-killed.ts", import.meta.url));
const LEASE_MS = 600_000;
/** More than an order has. */
const MOST_STEPS = 32;

test(
  "a node that is killed at any step of an order leaves it to be finished: one order, one certificate",
  { skip: noPebble, timeout: 180_000 },
  async () => {
    using scratch = new ScratchDirectory();
    const challenges = join(scratch.path, "challenges");
    mkdirSync(challenges);
    await using web = await serveFiles(challenges);
    await using pebble = await Pebble.start({ httpPort: web.port });
    const { directory, caFile } = pebble;
    const storePath = join(scratch.path, "state.db");
    // For this node the leases of the dead have run out.
    const store = new SqliteStore({ path: storePath, now: () => Date.now() + 2 * LEASE_MS });
    const issuer = await openIssuer({ directory, caFile, store, publishers: publishers(["http-01", fileChallenges(challenges)]) });

    async function finish(name: string): Promise<void> {
      const fence = await leaseOf(store, name, LEASE_MS);
      const { hostname } = await issuer.issue(name, { signal: AbortSignal.timeout(30_000), fence });
      assert.equal(hostname, name);
      await issuer.settle(name, fence);
    }

    /** Which of the orders ended before their step? */
    async function doom(orders: DoomedOrders["orders"]): Promise<Set<string>> {
      const doomed: DoomedOrders = { orders, storePath, directory, challenges, leaseMs: LEASE_MS };
      // Read once for all of them, not by every issuer.
      const env = { ...process.env, NODE_EXTRA_CA_CERTS: caFile };
      const child = spawn(process.execPath, [CHILD, JSON.stringify(doomed)], { env, stdio: ["ignore", "pipe", "inherit"] });
      const output = Buffer.concat(await Array.fromAsync(child.stdout as AsyncIterable<Buffer>)).toString();
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      assert.equal(child.signalCode, "SIGKILL");
      return new Set(output.split("\n").filter(Boolean));
    }

    // The account is made first, so that every order has the same steps.
    await finish("first.example.com");
    const orders = Array.from({ length: MOST_STEPS }, (_, index) => ({ name: `step-${index + 1}.example.com`, step: index + 1 }));
    const ended = await doom(orders);
    assert.ok(ended.size > 0, "an order comes to its end");
    assert.ok(orders.length - ended.size > 15, `an order has more than ${orders.length - ended.size} steps`);
    await Promise.all(orders.map(async ({ name }) => ended.has(name) || (await finish(name))));
    assert.equal(pebble.orders, orders.length + 1);
    assert.deepEqual(await store.list("certs/orders/"), []);
    await issuer.close();
    await store.close();
  },
);

async function serveFiles(directory: string): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((request, response) => {
    const file = join(directory, request.url!.split("/").at(-1)!);
    response.end(existsSync(file) ? readFileSync(file) : "");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
