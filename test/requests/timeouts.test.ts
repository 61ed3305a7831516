// How long the edge waits: for a client's head, for its next request, for a machine to accept and to answer.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { openBlackhole } from "../support/blackhole.ts";
import { get, head, HOST, rootOf, startEdge } from "../support/edge.ts";
import { eventually, untilStill } from "../support/eventually.ts";
import { readMessage } from "../support/message.ts";
import { pour, RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";

/** Nobody waits for these: the tests have the time pass (TestNode.passTime). */
const HEAD_MS = 60_000;
const KEEP_ALIVE_MS = 70_000;
const CONNECT_MS = 30_000;
const ANSWER_MS = 40_000;

const blackhole = await openBlackhole();
const edge = await startEdge({
  apps: { hole: staticApp("hole", blackhole.port).replace("[kittiwake]", '[kittiwake]\nwake_timeout = "1ms"') },
  tables: `
[timeouts]
request_head = "${HEAD_MS}ms"
keep_alive_idle = "${KEEP_ALIVE_MS}ms"
upstream_connect = "${CONNECT_MS}ms"
upstream_head = "${ANSWER_MS}ms"
upstream_silence = "1h"
client_idle = "1h"
`,
});
after(async () => {
  await blackhole[Symbol.asyncDispose]();
  await edge[Symbol.asyncDispose]();
});

describe("a client without a request", () => {
  test("a head that does not end is a 408, and the connection is closed", async () => {
    using client = await edge.connect();
    client.send("GET / HTTP/1.1\r\nhost: he");
    const received = await edge.test.endsAfter(HEAD_MS, client.untilEnd());
    const answer = readMessage(received, { type: "response" });
    assert.equal(answer?.status, 408);
    assert.equal(answer.header("kittiwake-error"), "request_timeout");
    assert.equal(answer.header("connection"), "close");
  });

  test("a head that trickles in byte by byte has no more time than one that does not", async () => {
    using client = await edge.connect();
    const text = `${head("GET", "/", ["x-long: "]).slice(0, -4)}${"a".repeat(1000)}`;
    const ended = client.untilEnd();
    for (let sent = 0; sent < 50; sent++) {
      client.send(text[sent]!);
      await edge.test.passTime(HEAD_MS / 100);
    }
    const received = await edge.test.endsAfter(HEAD_MS / 2, ended);
    assert.match(received, /^HTTP\/1\.1 408 /);
  });

  for (const scheme of ["http", "https"] as const) {
    test(`a client that connects over ${scheme} and says nothing is let go without a word`, async () => {
      using client =
        scheme === "http"
          ? await edge.connect()
          : await RawClient.connectTls(edge.test.httpsPort, { ca: rootOf(edge.test), servername: HOST });
      assert.equal(await edge.test.endsAfter(HEAD_MS, client.untilEnd()), "");
    });
  }
});

for (const scheme of ["http", "https"] as const) {
  test(`a connection over ${scheme} that rests between requests is closed after its time`, async () => {
    await edge.backend.answers(() => response("well"));
    using client =
      scheme === "http"
        ? await edge.connect()
        : await RawClient.connectTls(edge.test.httpsPort, { ca: rootOf(edge.test), servername: HOST });
    await client.send(get()).response();
    await edge.test.passTime(KEEP_ALIVE_MS * 0.9);
    // Its time begins anew with every request.
    await client.send(get()).response();
    await edge.test.endsAfter(KEEP_ALIVE_MS, client.untilEnd());
    assert.equal(client.rest, "", "without a word");
  });
}

test("the second head on a connection has its time from its first byte, not from the end of the first request", async () => {
  await edge.backend.answers(() => response("well"));
  using client = await edge.connect();
  await client.send(get()).response();
  await edge.test.passTime(KEEP_ALIVE_MS * 0.9);
  client.send("GET / HT");
  await edge.test.passTime(HEAD_MS * 0.9);
  client.send(`TP/1.1\r\nhost: ${HOST}\r\n\r\n`);
  assert.equal((await client.response()).body, "well");
});

test("a machine that does not accept is a 502 after the connect time-out", async () => {
  using client = await edge.connect();
  client.send("GET / HTTP/1.1\r\nhost: hole.localhost\r\n\r\n");
  const answer = await edge.test.endsAfter(CONNECT_MS, client.response());
  assert.equal(answer.status, 502);
  assert.equal(answer.header("kittiwake-error"), "connect_timeout");
  await eventually(() => edge.test.node.control.inFlight("hole-1") === 0, "the place to be given back");
  await edge.backend.answers(() => response("well"));
  assert.equal((await client.send(get()).response()).body, "well", "the client's connection goes on");
});

test("a machine that does not answer is a 504, and its connection is closed", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(get());
  await edge.backend.request();
  const answer = await edge.test.endsAfter(ANSWER_MS, client.response());
  assert.equal(answer.status, 504);
  assert.equal(answer.header("kittiwake-error"), "upstream_timeout");
  await eventually(() => edge.backend.open === 0, "the machine's connection to be closed");
  await edge.untilReleased();
});

test("half a head, or an interim response, is no answer", async () => {
  for (const bytes of ["HTTP/1.1 200 OK\r\nx-a: ", "HTTP/1.1 103 Early Hints\r\n\r\n"]) {
    await edge.backend.answers(() => bytes);
    using client = await edge.connect();
    client.send(get());
    await edge.backend.request();
    const refused = client.until((text) => text.includes("HTTP/1.1 504"));
    const received = await edge.test.endsAfter(ANSWER_MS, refused);
    assert.match(received, /kittiwake-error: upstream_timeout\r\n/);
    await edge.untilReleased();
  }
});

test("a machine has its time from the end of the request, however long that took", async () => {
  await edge.backend.answers(() => response("well"));
  using client = await edge.connect();
  client.send(head("POST", "/", ["content-length: 12"]));
  for (let i = 0; i < 12; i++) {
    await edge.test.passTime(ANSWER_MS / 8);
    client.send("x");
  }
  assert.equal((await client.response()).body, "well");
});

test("a response that begins before the request has ended may take its time, too", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(head("POST", "/", ["transfer-encoding: chunked"]));
  const machine = await edge.backend.connection();
  await machine.until((text) => text.includes("\r\n\r\n"));
  machine.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  await client.until((text) => text.includes("\r\n\r\n"));
  client.send("1\r\nx\r\n0\r\n\r\n");
  await machine.until((text) => text.endsWith("0\r\n\r\n"));
  await edge.test.passTime(ANSWER_MS * 2.5);
  machine.send("4\r\ndone\r\n0\r\n\r\n");
  assert.equal((await client.response()).body, "done");
});

describe("a client that waits for a 100", () => {
  const asks = head("POST", "/", ["content-length: 5", "expect: 100-continue"]);

  test("gets 504 from a machine that says nothing, and is not blamed itself", async () => {
    await edge.backend.answers(() => null);
    using client = await edge.connect();
    client.send(asks);
    await (await edge.backend.connection()).until((text) => text.includes("\r\n\r\n"));
    const answer = await edge.test.endsAfter(ANSWER_MS, client.response());
    assert.equal(answer.header("kittiwake-error"), "upstream_timeout");
    await edge.untilReleased();
  });

  test("has its own time once it was asked", async () => {
    await edge.backend.answers(() => null);
    using client = await edge.connect();
    client.send(asks);
    const machine = await edge.backend.connection();
    await machine.until((text) => text.includes("\r\n\r\n"));
    machine.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert.equal((await client.response()).status, 100);
    await edge.test.passTime(ANSWER_MS * 2.5);
    client.send("hello");
    assert.equal((await edge.backend.request()).body, "hello");
    machine.send(response("thanks"));
    assert.equal((await client.response()).body, "thanks");
  });

  test("need not wait: the machine has its time from the end of the request then", async () => {
    await edge.backend.answers(() => response("well"));
    using client = await edge.connect();
    client.send(asks);
    for (const character of "hello") {
      await edge.test.passTime(ANSWER_MS / 3);
      client.send(character);
    }
    assert.equal((await client.response()).body, "well");
  });
});

test("a response that has begun may take its time", async () => {
  await edge.backend.answers((_, machine) => {
    machine.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
    return null;
  });
  using client = await edge.connect();
  await client.send(get()).until((text) => text.includes("\r\n\r\n"));
  const machine = await edge.backend.connection();
  for (const character of "slow") {
    await edge.test.passTime(ANSWER_MS * 0.9);
    machine.send(character);
  }
  assert.equal((await client.response()).body, "slow");
});

test("a machine that takes nothing more of a body is a 504, also when its client has left meanwhile", async () => {
  for (const leaves of [false, true]) {
    await edge.backend.answers(() => null);
    using client = await edge.connect();
    client.send(head("POST", "/", ["content-length: 100000000"]));
    const machine = await edge.backend.connection();
    machine.socket.pause();
    await untilStill(pour(client));
    if (leaves) client.reset();
    await edge.test.endsAfter(ANSWER_MS, edge.untilReleased());
    if (!leaves) assert.equal((await client.response()).header("kittiwake-error"), "upstream_timeout");
    machine.socket.destroy();
  }
});
