// Differential fuzz against other proxies: a response that we accept reaches a client of HAProxy and nginx as the same one, with the same body,
// or not whole. They may refuse what we accept, and accept what we refuse. A longer run:
// KITTIWAKE_FUZZ_RUNS=100000 node --test test/http/http1/response-framing.proxies.test.ts

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import { fuzzParameters } from "../seed.ts";
import { responseBytes } from "./message-grammar.ts";
import { ProxyOracle, whyNot } from "./proxy-oracle.ts";
import { readResponse, type ReadResponse, type ReadResponseOptions } from "./readers.ts";

const method = fc.constantFrom("GET", "GET", "POST", "HEAD");
const LIMITS: NonNullable<ReadResponseOptions["limits"]> = {
  headBytes: 65_536,
  headers: 200,
  trailerBytes: 65_536,
  trailers: 200,
  chunkExtensionBytes: 65_536,
};

for (const name of ["haproxy", "nginx"] as const) {
  test(`what we accept, ${name} frames alike`, { skip: whyNot(name) }, async () => {
    await using proxy = await ProxyOracle.start(name);
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(responseBytes, method, async (bytes, asked) => {
        const isHead = asked === "HEAD";
        const { final, error, interim } = readResponse([bytes], { isHead, closes: true });
        if (final === null || error !== null || !final.isComplete || final.status === 101) return;
        // This nginx takes any status for the final one.
        if (name === "nginx" && interim.length > 0) return;
        const theirs = await proxy.readResponse(bytes, asked);
        const other = readResponse([theirs.bytes], { isHead, closes: theirs.hasEnded, limits: LIMITS });
        if (other.final?.isComplete !== true || (other.final.status === 502 && final.status !== 502)) return;
        compared++;
        assertAlike(final, other.final);
        assert.equal(other.leftover, "", "there is something behind it");
      }),
      fuzzParameters(1200),
    );
    console.log(`# ${compared} responses compared`);
    assert.ok(compared > 100, "the generator has lost its balance");
  });
}

function assertAlike(ours: ReadResponse, theirs: ReadResponse): void {
  assert.equal(theirs.status, ours.status);
  assert.equal(theirs.data, ours.data);
}
