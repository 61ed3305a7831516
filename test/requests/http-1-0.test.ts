// Clients of HTTP/1.0, and machines that speak it.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { get, HOST, startEdge } from "../support/edge.ts";
import { response } from "../support/scripted-backend.ts";

const edge = await startEdge();
after(() => edge[Symbol.asyncDispose]());

const OLD = `GET / HTTP/1.0\r\nhost: ${HOST}\r\n\r\n`;
const OLD_KEEP_ALIVE = `GET / HTTP/1.0\r\nhost: ${HOST}\r\nconnection: keep-alive\r\n\r\n`;

test("a client of HTTP/1.0 gets its response, and its connection is closed", async () => {
  await edge.backend.answers(() => response("hello"));
  const received = await edge.exchange(OLD);
  assert.match(received, /\r\nconnection: close\r\n/);
  assert.match(received, /\r\ncontent-length: 5\r\n/);
  assert.ok(received.endsWith("\r\n\r\nhello"));
});

test("the machine gets a request of HTTP/1.1, with the client's version in Via", async () => {
  await edge.backend.answers(() => response(""));
  await edge.exchange(OLD);
  const [request] = edge.backend.requests;
  assert.equal(request!.startLine, "GET / HTTP/1.1");
  assert.equal(request!.header("via"), "1.0 kittiwake");
  assert.equal(request!.header("host"), HOST);
});

test("a client of HTTP/1.0 that asks for it keeps its connection", async () => {
  await edge.backend.answers(() => response("hello"));
  using client = await edge.connect();
  for (let i = 0; i < 3; i++) {
    const answer = await client.send(OLD_KEEP_ALIVE).response();
    assert.equal(answer.header("connection"), "keep-alive");
    assert.equal(answer.body, "hello");
  }
});

for (const [title, bytes] of [
  ["chunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
  ["without a length", "HTTP/1.1 200 OK\r\n\r\nhello"],
] as const) {
  test(`a response ${title} reaches a client of HTTP/1.0 unframed, and ends with the connection`, async () => {
    await edge.backend.answers((_, machine) => {
      machine.send(bytes);
      if (!bytes.includes("chunked")) machine.end();
      return null;
    });
    const received = await edge.exchange(OLD_KEEP_ALIVE);
    assert.equal(received.includes("transfer-encoding"), false);
    assert.match(received, /\r\nconnection: close\r\n/);
    assert.ok(received.endsWith("\r\n\r\nhello"));
  });
}

test("a response that is cut short does not end for a client of HTTP/1.0 as a whole one would", async () => {
  await edge.backend.answers((_, machine) => {
    machine.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").end();
    return null;
  });
  using client = await edge.connect();
  await client.send(OLD).untilEnd();
  assert.ok(client.wasReset, client.received);
});

test("a client of HTTP/1.0 needs no Host, and gets 404 without one", async () => {
  const received = await edge.exchange("GET / HTTP/1.0\r\n\r\n");
  assert.match(received, /^HTTP\/1\.1 404 Not Found\r\n/);
  assert.match(received, /\r\nkittiwake-error: unknown_host\r\n/);
});

test("a client of HTTP/1.0 cannot upgrade", async () => {
  await edge.backend.answers(() => response("plain"));
  await edge.exchange(`GET / HTTP/1.0\r\nhost: ${HOST}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`);
  assert.equal(edge.backend.requests[0]!.header("upgrade"), null);
});

test("a machine of HTTP/1.0 answers clients of HTTP/1.1, one connection a request unless it says otherwise", async () => {
  await edge.backend.answers((request, machine) => {
    if (request.target === "/keep") return response("hello", ["connection: keep-alive"]).replace("HTTP/1.1", "HTTP/1.0");
    machine.send(response("hello").replace("HTTP/1.1", "HTTP/1.0")).end();
    return null;
  });
  using client = await edge.connect();
  for (const target of ["/", "/", "/keep", "/keep"]) {
    const answer = await client.send(get(target)).response();
    assert.equal(answer.startLine, "HTTP/1.1 200 OK");
    assert.equal(answer.body, "hello");
    assert.equal(answer.header("connection"), null);
  }
  assert.equal(edge.backend.connections.length, 3);
});

test("a chunked response of HTTP/1.0 is none", async () => {
  await edge.backend.answers(() => "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  using client = await edge.connect();
  const answer = await client.send(get()).response();
  assert.equal(answer.status, 502);
  assert.equal(answer.header("kittiwake-error"), "bad_response");
});
