// Random requests, most of them almost valid, through a whole node: what the decoder takes of them arrives at a machine that reads strictly, just
// that and nothing else, trailers included. A longer run: KITTIWAKE_FUZZ_RUNS=100000 node --test test/requests/bytes/random.test.ts

import assert from "node:assert/strict";
import { after, test } from "node:test";

import fc from "fast-check";
import { requestBytes } from "../../http/http1/message-grammar.ts";
import { latin1, LIMITS, readRequests } from "../../http/http1/readers.ts";
import { fuzzParameters } from "../../http/seed.ts";
import { staticApp } from "../../support/backend.ts";
import { eventually } from "../../support/eventually.ts";
import { startTestNode } from "../../support/node.ts";
import { RawClient } from "../../support/raw-client.ts";
import { StrictMachine } from "../../support/strict-machine.ts";

const HOST = "example.com";
const machine = await StrictMachine.start();
const node = await startTestNode({
  apps: { hello: staticApp("hello", machine.port).replace("[kittiwake]", `[kittiwake]\nhostnames = ["${HOST}"]`) },
  tables: `[limits]\nunderscores = "pass"\nhead_bytes = ${LIMITS.headBytes}\ntarget_bytes = ${LIMITS.targetBytes}\nheaders = ${LIMITS.headers}`,
});
await eventually(() => node.node.control.machines("hello").every(({ state }) => state === "started"), "the machine");
after(async () => {
  await node[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
});

const LAST = latin1(`GET /last HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);

test("what is read of a client's bytes is what the machine gets", async () => {
  let arrived = 0;
  await fc.assert(
    fc.asyncProperty(requestBytes, async (bytes) => {
      const sent = Buffer.concat([bytes, LAST]);
      const expected = readRequests([sent])
        .requests.filter(({ isComplete, host }) => isComplete && host === HOST)
        .map(({ method, target, data, trailers }) => ({ method, target, data, trailers: trailers.map((trailer) => trailer.join(": ")) }));
      machine.requests.length = 0;
      using client = await RawClient.connect(node.httpPort);
      const received = await client.send(sent).end().untilEnd();
      assert.doesNotMatch(received, /HTTP\/1\.1 50[0-4] /);
      assert.deepEqual(machine.requests, expected);
      arrived += expected.length;
    }),
    fuzzParameters(600),
  );
  console.log(`# ${arrived} requests arrived`);
  assert.ok(arrived > 100, "the generator has lost its balance");
  await eventually(() => node.node.control.inFlight("hello-1") === 0, "the machine's places to be given back");
});
