// One deadline over all that comes before the first request: a client that is slow in its handshake, in saying anything, and in its head
// gets no more time for the three than for one.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { setTimeout as delay } from "node:timers/promises";
import { get, HOST, rootOf, startEdge } from "../support/edge.ts";
import { RawClient } from "../support/raw-client.ts";

const HEAD_MS = 2000;
/** Almost all of the time there is. */
const SLOW_MS = 1700;
/** Less than both one after the other, more than the clock's ticks and a busy machine take. */
const LATEST_MS = HEAD_MS + 1200;

const edge = await startEdge({ tables: `[timeouts]\nrequest_head = "${HEAD_MS}ms"` });
after(() => edge[Symbol.asyncDispose]());
const ca = rootOf(edge.test);

/** Sends a head byte by byte until the edge has had enough; resolves with all that it said. */
async function trickle(client: RawClient): Promise<string> {
  const bytes = get("/", [`x-long: ${"x".repeat(1000)}`]);
  let sent = 0;
  const timer = setInterval(() => client.send(bytes[sent++]!), 50);
  return await client.untilEnd().finally(() => clearInterval(timer));
}

describe("before the first request", { concurrency: true }, () => {
  for (const scheme of ["http", "https"] as const) {
    test(`a client over ${scheme} that begins late and then trickles is cut off in time`, async () => {
      const startedMs = performance.now();
      const raw = connect({ port: scheme === "http" ? edge.port : edge.test.httpsPort, host: "127.0.0.1", allowHalfOpen: true });
      await once(raw, "connect");
      await delay(SLOW_MS);
      const socket = scheme === "http" ? raw : connectTls({ socket: raw, servername: HOST, ca, ALPNProtocols: ["http/1.1"] });
      if (scheme === "https") await once(socket, "secureConnect");
      using client = RawClient.of(socket);
      const received = await trickle(client);
      const tookMs = performance.now() - startedMs;
      assert.match(received, /^HTTP\/1\.1 408 .*\r\nkittiwake-error: request_timeout\r\n/s);
      assert.ok(tookMs > HEAD_MS - 100 && tookMs < LATEST_MS, `${tookMs} ms`);
    });
  }

  test("a connection that says nothing at all is closed in the same time, without an answer", async () => {
    const startedMs = performance.now();
    using client = await edge.connect();
    assert.equal(await client.untilEnd(), "");
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs > HEAD_MS - 100 && tookMs < LATEST_MS, `${tookMs} ms`);
  });

  test("a later head has its time from its first byte", async () => {
    await edge.backend.answers(() => "HTTP/1.1 204 No Content\r\n\r\n");
    using client = await edge.connect();
    assert.equal((await client.send(get()).response()).status, 204);
    await delay(SLOW_MS);
    const startedMs = performance.now();
    assert.match(await trickle(client), /HTTP\/1\.1 408 /);
    assert.ok(performance.now() - startedMs > HEAD_MS - 100);
  });
});
