// max_body_size: a body that is larger is refused before it costs anything where its length is known, and cut off where it grows.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { processApp } from "../support/apps.ts";
import { get, head, HOST, startEdge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { response } from "../support/scripted-backend.ts";

const edge = await startEdge({
  edit: (text) => text.replace("[kittiwake]", '[kittiwake]\nmax_body_size = "1kB"'),
  apps: { asleep: processApp("asleep", { more: "max_body_size = 5" }) },
});
after(() => edge[Symbol.asyncDispose]());

const CHUNKED = ["transfer-encoding: chunked"];
const chunk = (bytes: number): string => `${bytes.toString(16)}\r\n${"x".repeat(bytes)}\r\n`;

test("a body of as many bytes as allowed passes, by its length and in chunks, and each counts for itself", async () => {
  await edge.backend.answers((request) => response(String(request.body.length)));
  using client = await edge.connect();
  for (let i = 0; i < 2; i++) {
    assert.equal((await client.send(head("POST", "/", ["content-length: 1000"]) + "x".repeat(1000)).response()).body, "1000");
    client.send(`${head("POST", "/", CHUNKED)}${chunk(400)}${chunk(600)}0\r\n\r\n`);
    assert.equal((await client.response()).body, "1000");
  }
});

test("one byte more by its length is refused before the machine hears of it, and the connection is closed", async () => {
  await edge.backend.answers(() => null);
  const received = await edge.exchange(head("POST", "/", ["content-length: 1001", "expect: 100-continue"]) + get("/behind"));
  assert.match(received, /^HTTP\/1\.1 413 .*\r\nkittiwake-error: body_too_large\r\n/s);
  assert.match(received, /\r\nconnection: close\r\n/);
  assert.equal(received.split("HTTP/1.1").length, 2);
  assert.equal(edge.backend.connections.length, 0);
});

test("one byte more in chunks is refused as soon as it comes, and the machine never gets it", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(head("POST", "/", CHUNKED) + chunk(1000));
  const machine = await edge.backend.connection();
  await machine.until((text) => text.includes("x".repeat(1000)));
  client.send(chunk(1) + get("/behind"));
  const answer = await client.response();
  assert.equal(answer.status, 413);
  assert.equal(answer.header("connection"), "close");
  await Promise.all([client.untilEnd(), machine.untilEnd()]);
  assert.equal(client.rest, "");
  assert.ok(machine.received.endsWith("x".repeat(1000) + "\r\n"), "neither the byte, nor the end of the body, nor what was behind it");
  await edge.untilReleased();
});

test("a body that grows too large under a response cuts that off", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(head("POST", "/", CHUNKED) + chunk(1));
  const machine = await edge.backend.connection();
  await machine.until((text) => text.includes("\r\n\r\n"));
  machine.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
  await client.until((text) => text.endsWith("hello"));
  client.send(chunk(1000));
  await Promise.all([client.untilEnd(), machine.untilEnd()]);
  assert.ok(client.wasReset, "nobody can take it for the end");
  await edge.untilReleased();
});

test("a body that is too large wakes nobody", async () => {
  const machines = (): string[] => edge.test.node.control.machines("asleep").map(({ state }) => state);
  await eventually(() => machines().length === 1, "the machine");
  const before = machines();
  const received = await edge.exchange(`POST / HTTP/1.1\r\nhost: asleep.localhost\r\ncontent-length: 6\r\n\r\n`);
  assert.match(received, /^HTTP\/1\.1 413 /);
  assert.deepEqual(machines(), before);
  assert.ok(!before.includes("started"));
});

test("a request without a body is not concerned", async () => {
  await edge.backend.answers(() => response("ok"));
  const received = await edge.exchange(`GET / HTTP/1.1\r\nhost: ${HOST}\r\nconnection: close\r\n\r\n`);
  assert.match(received, /^HTTP\/1\.1 200 /);
});
