// The node that orders is killed at each step of its order in turn; another one goes on, with the order that there is.

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
import type { DoomedOrder } from "./order-until-killed.ts";

const CHILD = fileURLToPath(new URL("order-until-killed.ts", import.meta.url));
const LEASE_MS = 600_000;
/** Each is a process that loads the program. */
const AT_ONCE = 3;
const MOST_STEPS = 80;

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

    /** Does the order end before that step? */
    async function doom(step: number): Promise<boolean> {
      const name = `step-${step}.example.com`;
      const order: DoomedOrder = { name, step, storePath, directory, caFile, challenges, leaseMs: LEASE_MS };
      const child = spawn(process.execPath, [CHILD, JSON.stringify(order)], { stdio: ["ignore", "pipe", "inherit"] });
      const output = Buffer.concat(await Array.fromAsync(child.stdout as AsyncIterable<Buffer>)).toString();
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      if (child.exitCode === 0) return output.includes("done");
      assert.equal(child.signalCode, "SIGKILL", `at step ${step}`);
      await finish(name);
      return false;
    }

    // The account is made first, so that every order has the same steps.
    await finish("first.example.com");
    let steps = 0;
    for (let isOver = false; !isOver; steps += AT_ONCE) {
      assert.ok(steps < MOST_STEPS, "an order comes to its end");
      const ended = await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => doom(steps + index + 1)));
      isOver = ended.every(Boolean);
    }
    assert.ok(steps > 15, `an order has more than ${steps} steps`);
    assert.equal(pebble.orders, steps + 1);
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
