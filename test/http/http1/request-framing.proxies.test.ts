// Differential fuzz against other proxies: of the requests that we accept, HAProxy and nginx send on the same ones, with the same bodies, or
// none. Where they saw another end of one, bytes of it would be a request for somebody. They may refuse what we accept, and accept what we
// refuse. A longer run: KITTIWAKE_FUZZ_RUNS=100000 node --test test/http/http1/request-framing.proxies.test.ts

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import { fuzzParameters } from "../seed.ts";
import { requestBytes } from "./message-grammar.ts";
import type { ArrivedRequest } from "../../support/strict-machine.ts";
import { ProxyOracle, whyNot, type ProxyName } from "./proxy-oracle.ts";
import { latin1, readRequests, type Requests } from "./readers.ts";

/** If bytes before it were taken for more or less than they are, it would not come as itself. */
const LAST = latin1("GET /last HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n");

for (const name of ["haproxy", "nginx"] as const) {
  test(`what we accept, ${name} frames alike`, { skip: whyNot(name) }, async () => {
    await using proxy = await ProxyOracle.start(name);
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(requestBytes, async (bytes) => {
        const sent = Buffer.concat([bytes, LAST]);
        // Who else goes on behind a request that ends the connection for us must go on at the same byte.
        const ours = readRequests([sent], undefined, { readsOn: true });
        if (!ours.requests.some(({ isComplete }) => isComplete)) return;
        compared += assertAlike(name, ours, await proxy.read(sent));
      }),
      fuzzParameters(1200),
    );
    console.log(`# ${compared} requests compared`);
    assert.ok(compared > 100, "the generator has lost its balance");
  });
}

/** @returns how many requests both sent on */
function assertAlike(name: ProxyName, ours: Requests, theirs: readonly ArrivedRequest[]): number {
  for (const [index, request] of ours.requests.entries()) {
    const other = theirs[index];
    if (other === undefined) return index;
    // What we refuse in the middle of its body never reaches a machine as a whole one.
    if (!request.isComplete && ours.error !== null) return index;
    assert.ok(request.isComplete, `${name} finds the end of ${request.method} ${request.target}`);
    assert.deepEqual(meaningOf(other), meaningOf(request));
  }
  return ours.requests.length;
}

/** For a URL without a path, OPTIONS means the server as a whole (RFC 9112 section 3.2.4), which nginx takes for its root. */
function meaningOf({ method, target, data }: Pick<ArrivedRequest, "method" | "target" | "data">): object {
  return { method, target: method === "OPTIONS" && target === "*" ? "/" : target, data };
}
