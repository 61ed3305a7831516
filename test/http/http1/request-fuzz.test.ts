// Differential fuzz of the request decoder, with llhttp as the oracle: what we accept, it accepts, and both read it alike. However the
// bytes are cut, we read the same. A longer run: KITTIWAKE_FUZZ_RUNS=1000000 node --test test/http/http1/request-fuzz.test.ts
//
// Where we accept more than llhttp, on purpose (what is read otherwise is in disputes.ts):
//   - methods that it does not know: a method is any token (RFC 9110 section 9.1), and new ones must pass an edge;
//   - an upgrade that is not taken up changes nothing, so the next request follows; Node drops what follows such a request.

import assert from "node:assert/strict";
import { METHODS } from "node:http";
import { test } from "node:test";

import fc from "fast-check";
import { fuzzParameters } from "../seed.ts";
import { hasFramingTrailer, isPersistenceDisputed, keptTrailers } from "./disputes.ts";
import { cutBy, pieceSizes, requestBytes } from "./message-grammar.ts";
import { NodeOracle, type NodeRequest } from "./node-oracle.ts";
import { readRequests, type ReadRequest } from "./readers.ts";

const oracle = new NodeOracle();

test("what we accept, llhttp accepts, and both read it alike", async () => {
  let accepted = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(requestBytes, async (bytes) => {
      const ours = readRequests([bytes]);
      if (ours.error === null) accepted++;
      else refused++;
      const theirs = await oracle.readRequests(bytes);
      for (const [index, request] of ours.requests.entries()) {
        if (!METHODS.includes(request.method)) return;
        if (theirs[index]?.isComplete !== true && hasFramingTrailer(bytes)) return;
        assertAlike(request, theirs[index], ours.error !== null);
        if (isPersistenceDisputed(request) || request.fields.some(([name]) => name === "upgrade")) return;
      }
    }),
    fuzzParameters(4000),
  );
  console.log(`# ${accepted} accepted, ${refused} refused`);
  assert.ok(accepted > refused / 4 && refused > accepted / 4, "the generator has lost its balance");
});

test("however the bytes are cut, they are read alike", () => {
  fc.assert(
    fc.property(requestBytes, pieceSizes, (bytes, sizes) => {
      const whole = readRequests([bytes]);
      const cut = readRequests(cutBy(bytes, sizes));
      assert.equal(cut.error === null, whole.error === null, `${cut.error} is not ${whole.error}`);
      assert.deepEqual(cut.requests, whole.requests);
    }),
    fuzzParameters(10_000),
  );
});

function assertAlike(ours: ReadRequest, theirs: NodeRequest | undefined, isRefusedLater: boolean): void {
  assert.ok(theirs !== undefined, `llhttp does not accept ${ours.method} ${ours.target}`);
  assert.equal(ours.method, theirs.method);
  assert.equal(ours.target, originForm(theirs));
  assert.deepEqual(ours.fields, theirs.fields);
  if (!isPersistenceDisputed(ours)) assert.equal(ours.keepAlive, theirs.keepAlive, "keep-alive");
  if (ours.isComplete) {
    assert.equal(theirs.isComplete, true, "llhttp does not find it complete");
    assert.equal(ours.data, theirs.data);
    assert.deepEqual(ours.trailers, keptTrailers(theirs.trailers, ours.connectionNames));
  } else {
    // What we refuse in a body llhttp may accept, or refuse at another byte; what both gave out before that is the same.
    if (isRefusedLater) return assert.ok(ours.data.startsWith(theirs.data) || theirs.data.startsWith(ours.data));
    assert.equal(theirs.isComplete, false, "llhttp finds it complete");
    assert.equal(ours.data, theirs.data);
  }
}

/** The target that an origin server means by what the request line says (RFC 9112 section 3.2.2). */
function originForm({ url, method }: NodeRequest): string {
  const rest = /^https?:\/\/[^/?]*(.*)$/i.exec(url)?.[1];
  if (rest === undefined) return url;
  if (rest === "") return method === "OPTIONS" ? "*" : "/";
  return rest.startsWith("?") ? `/${rest}` : rest;
}
