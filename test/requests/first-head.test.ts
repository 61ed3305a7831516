// One deadline over all that comes before the first request: a client that is slow in its handshake, in saying anything, and in its head
// gets no more time for the three than for one.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { get, HOST, rootOf, startEdge } from "../support/edge.ts";
import { RawClient } from "../support/raw-client.ts";

/** Nobody waits for these: the tests have the time pass (TestNode.passTime). */
const HEAD_MS = 60_000;
const SLOW_MS = 40_000;

const edge = await startEdge({ tables: `[timeouts]\ntls_handshake = "${HEAD_MS}ms"\nrequest_head = "${HEAD_MS}ms"` });
after(() => edge[Symbol.asyncDispose]());
const ca = rootOf(edge.test);

/** Sends a head byte by byte until the edge has had enough, which is to be when so much time has passed; resolves with all that it said. */
async function trickle(client: RawClient, ms: number): Promise<string> {
  const bytes = get("/", [`x-long: ${"x".repeat(1000)}`]);
  const ended = client.untilEnd();
  for (let i = 0; i < 10; i++) {
    client.send(bytes[i]!);
    await edge.test.passTime(ms / 20);
  }
  return await edge.test.endsAfter(ms / 2, ended);
}

describe("before the first request", () => {
  for (const scheme of ["http", "https"] as const) {
    test(`a client over ${scheme} that begins late and then trickles is cut off in time`, async () => {
      const raw = connect({ port: scheme === "http" ? edge.port : edge.test.httpsPort, host: "127.0.0.1", allowHalfOpen: true });
      await once(raw, "connect");
      await edge.test.passTime(SLOW_MS);
      const socket = scheme === "http" ? raw : connectTls({ socket: raw, servername: HOST, ca, ALPNProtocols: ["http/1.1"] });
      if (scheme === "https") await once(socket, "secureConnect");
      using client = RawClient.of(socket);
      const received = await trickle(client, HEAD_MS - SLOW_MS);
      assert.match(received, /^HTTP\/1\.1 408 .*\r\nkittiwake-error: request_timeout\r\n/s);
    });
  }

  test("a connection that says nothing at all is closed in the same time, without an answer", async () => {
    using client = await edge.connect();
    assert.equal(await edge.test.endsAfter(HEAD_MS, client.untilEnd()), "");
  });

  test("a later head has its time from its first byte", async () => {
    await edge.backend.answers(() => "HTTP/1.1 204 No Content\r\n\r\n");
    using client = await edge.connect();
    assert.equal((await client.send(get()).response()).status, 204);
    await edge.test.passTime(SLOW_MS);
    assert.match(await trickle(client, HEAD_MS), /HTTP\/1\.1 408 /);
  });
});
