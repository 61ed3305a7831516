// What a client meets that is refused. Everything that is malformed is in bytes/, row by row.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { get, startEdge } from "../support/edge.ts";
import { readMessage } from "../support/message.ts";

const edge = await startEdge();
after(() => edge[Symbol.asyncDispose]());

/** If it ever got through, the machine would see it as a request of its own. */
const BEHIND = get("/behind");

test("an unknown host gets 404, and the connection goes on", async () => {
  using client = await edge.connect();
  client.send("GET / HTTP/1.1\r\nhost: nobody.localhost\r\n\r\n");
  const answer = await client.response();
  assert.equal(answer.status, 404);
  assert.equal(answer.header("kittiwake-error"), "unknown_host");
  assert.equal(answer.header("connection"), null);
  await edge.backend.answers(() => "HTTP/1.1 204 No Content\r\n\r\n");
  assert.equal((await client.send(get()).response()).status, 204);
});

test("an unknown host gets 404 before its body is read, and the connection is closed", async () => {
  await edge.backend.answers(() => null);
  const received = await edge.exchange(`POST / HTTP/1.1\r\nhost: nobody.localhost\r\ncontent-length: ${BEHIND.length}\r\n\r\n${BEHIND}`);
  assertRefused(received, 404, "unknown_host");
  assert.equal(edge.backend.connections.length, 0);
});

test("a host name is known in any case and with a dot at its end", async () => {
  await edge.backend.answers((request) => `HTTP/1.1 204 ${request.header("host")}\r\n\r\n`);
  using client = await edge.connect();
  for (const name of ["HELLO.LocalHost", "hello.localhost.", "hello.localhost:80", "hello.localhost:"]) {
    const answer = await client.send(`GET / HTTP/1.1\r\nhost: ${name}\r\n\r\n`).response();
    assert.equal(answer.status, 204, name);
  }
});

test("one empty line before a request is forgiven", async () => {
  await edge.backend.answers(() => "HTTP/1.1 204 No Content\r\n\r\n");
  using client = await edge.connect();
  assert.equal((await client.send(`\r\n${get()}`).response()).status, 204);
  assert.equal((await client.send(`\r\n${get()}`).response()).status, 204);
});

test("a refusal of a HEAD request has no body", async () => {
  using client = await edge.connect();
  client.send("HEAD / HTTP/1.1\r\nhost: nobody.localhost\r\n\r\n");
  const answer = await client.response({ toHead: true });
  assert.equal(answer.status, 404);
  assert.notEqual(answer.header("content-length"), "0");
  client.send("GET / HTTP/1.1\r\nhost: nobody.localhost\r\n\r\n");
  assert.equal((await client.response()).status, 404);
});

/** One whole response with the code, then the end of the connection. */
function assertRefused(received: string, status: number, code: string): void {
  const answer = readMessage(received, { type: "response" });
  assert.ok(answer !== null, received);
  assert.equal(answer.status, status, received);
  assert.equal(answer.header("kittiwake-error"), code);
  assert.equal(answer.header("connection"), "close");
  assert.equal(answer.header("server"), "kittiwake");
  assert.match(answer.header("fly-request-id")!, /^[0-9A-HJKMNP-TV-Z]{26}-ams$/);
  assert.match(answer.body, new RegExp(`^${status} ${code}: `));
  assert.equal(received, answer.raw, "nothing comes behind it");
}
