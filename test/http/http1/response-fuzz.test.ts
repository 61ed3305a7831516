// Differential fuzz of the response decoder, with llhttp as the oracle: what we accept, it accepts, and both read it alike. However the
// bytes are cut, we read the same. A longer run: KITTIWAKE_FUZZ_RUNS=1000000 node --test test/http/http1/response-fuzz.test.ts
//
// Where we read otherwise, on purpose, besides what is in disputes.ts:
//   - the answer to HEAD leaves the connection open also without a length, since it has no body (RFC 9112 section 6.3); Node closes it.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import { fuzzParameters } from "../seed.ts";
import { hasFramingTrailer, isPersistenceDisputed, keptTrailers } from "./disputes.ts";
import { cutBy, pieceSizes, responseBytes } from "./message-grammar.ts";
import { NodeOracle, type NodeResponses } from "./node-oracle.ts";
import { readResponse, type ReadResponse, type Responses } from "./readers.ts";

const oracle = new NodeOracle();
const method = fc.constantFrom("GET", "GET", "GET", "POST", "HEAD");

test("what we accept, llhttp accepts, and both read it alike", async () => {
  let accepted = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(responseBytes, method, async (bytes, asked) => {
      const ours = readResponse([bytes], { isHead: asked === "HEAD", closes: true });
      if (ours.error === null) accepted++;
      else refused++;
      if (hasFramingTrailer(bytes)) return;
      assertAlike(ours, await oracle.readResponse(bytes, asked), asked === "HEAD");
    }),
    fuzzParameters(3000),
  );
  console.log(`# ${accepted} accepted, ${refused} refused`);
  assert.ok(accepted > refused / 4 && refused > accepted / 4, "the generator has lost its balance");
});

test("however the bytes are cut, they are read alike", () => {
  fc.assert(
    fc.property(responseBytes, pieceSizes, method, (bytes, sizes, asked) => {
      const options = { isHead: asked === "HEAD", closes: true };
      assert.deepEqual(readResponse(cutBy(bytes, sizes), options), readResponse([bytes], options));
    }),
    fuzzParameters(10_000),
  );
});

function assertAlike(ours: Responses, theirs: NodeResponses, isHead: boolean): void {
  for (const [index, { status, fields }] of ours.interim.entries()) {
    assert.deepEqual({ status, fields }, theirs.interim[index], "an interim response");
  }
  if (ours.final === null) return;
  const { final } = theirs;
  assert.ok(final !== null, "llhttp does not accept it");
  assert.equal(ours.final.status, final.status);
  assert.equal(ours.final.reason, final.reason);
  assert.deepEqual(ours.final.fields, final.fields);
  if (!ours.final.isComplete) return assertTruncated(ours.final, final.data);
  assert.equal(final.isComplete, true, "llhttp does not find it complete");
  assert.equal(ours.final.data, final.data);
  assert.deepEqual(ours.final.trailers, keptTrailers(final.trailers, ours.final.connectionNames));
  // After a 101 there is no HTTP that could go on.
  if (ours.final.status === 101 || isPersistenceDisputed(ours.final) || (isHead && !ours.final.hasContentLength)) return;
  assert.equal(ours.final.keepAlive, final.keepAlive, "keep-alive");
}

/** What we refuse in a body llhttp may accept, or refuse at another byte; what both gave out before that is the same. */
function assertTruncated(ours: ReadResponse, theirs: string): void {
  assert.ok(ours.data.startsWith(theirs) || theirs.startsWith(ours.data));
}
