// 1xx on the way: asked for by the client or not, before the response or instead of the body.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { get, head, HOST, startEdge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { response } from "../support/scripted-backend.ts";

const edge = await startEdge();
after(() => edge[Symbol.asyncDispose]());

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

test("100-continue goes end to end: the machine asks for the body, and the client sends it then", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(head("POST", "/", ["content-length: 5", "expect: 100-continue"]));
  const machine = await edge.backend.connection();
  const sent = await machine.until((text) => text.endsWith("\r\n\r\n"));
  assert.match(sent, /\r\nexpect: 100-continue\r\n/);
  assert.equal(client.received, "", "the edge promises nothing by itself");
  machine.send(CONTINUE);
  assert.equal((await client.response()).status, 100);
  client.send("hello");
  assert.equal((await edge.backend.request()).body, "hello");
  machine.send(response("thanks"));
  const answer = await client.response();
  assert.equal(answer.body, "thanks");
  assert.equal(answer.header("connection"), null, "the connection goes on");
});

test("a client that expects to be asked may get its response at once, and is told that the connection ends", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(head("POST", "/", ["content-length: 5", "expect: 100-continue"]));
  const machine = await edge.backend.connection();
  await machine.until((text) => text.endsWith("\r\n\r\n"));
  machine.send(response("no", [], "413 Too Large"));
  const answer = await client.response();
  assert.equal(answer.status, 413);
  // What the client sends next could be the body or another request.
  assert.equal(answer.header("connection"), "close");
  client.send(get("/never"));
  await client.untilEnd();
  await machine.untilEnd();
  assert.equal(machine.received.includes("/never"), false);
});

test("a client that expects to be asked may send its body without waiting", async () => {
  await edge.backend.answers((request) => CONTINUE + response(request.body));
  using client = await edge.connect();
  client.send(`${head("POST", "/", ["content-length: 5", "expect: 100-continue"])}hello`);
  assert.equal((await client.response()).status, 100);
  assert.equal((await client.response()).body, "hello");
});

test("103 is passed on with its fields, as often as it comes", async () => {
  const hint = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
  await edge.backend.answers(() => hint + hint + response("page"));
  using client = await edge.connect();
  client.send(get());
  for (let i = 0; i < 2; i++) {
    const early = await client.response();
    assert.equal(early.status, 103);
    assert.equal(early.header("link"), "</a.css>; rel=preload");
  }
  assert.equal((await client.response()).body, "page");
});

test("102 that comes long before the response is passed on at once", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(get());
  const machine = await edge.backend.connection();
  machine.send("HTTP/1.1 102 Processing\r\n\r\n");
  assert.equal((await client.response()).status, 102);
  machine.send(response("done"));
  assert.equal((await client.response()).body, "done");
});

test("a client of HTTP/1.0 sees nothing of interim responses", async () => {
  await edge.backend.answers(() => `${CONTINUE}HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${response("page")}`);
  const received = await edge.exchange(`GET / HTTP/1.0\r\nhost: ${HOST}\r\n\r\n`);
  assert.match(received, /^HTTP\/1\.1 200 OK\r\n/);
  assert.equal(received.split("HTTP/1.1").length, 2);
});

test("an interim response may not frame a body, and what would frame one is taken from it", async () => {
  await edge.backend.answers(() => `HTTP/1.1 103 Early Hints\r\ncontent-length: 5\r\n\r\n${response("page")}`);
  using client = await edge.connect();
  client.send(get());
  assert.equal((await client.response()).header("content-length"), null);
  assert.equal((await client.response()).body, "page");
});

test("a machine that sends interim responses without end is given up", async () => {
  let sent = 0;
  await edge.backend.answers((_, machine) => {
    const flood = setInterval(() => {
      if (machine.ended) clearInterval(flood);
      else machine.send(CONTINUE.repeat(10));
      sent += 10;
    }, 1);
    return null;
  });
  using client = await edge.connect();
  client.send(get());
  let answer = await client.response();
  let interim = 0;
  while (answer.status === 100) {
    interim++;
    answer = await client.response();
  }
  assert.equal(answer.status, 502);
  assert.equal(answer.header("kittiwake-error"), "bad_response");
  assert.ok(interim < 20, `${interim} were passed on`);
  await eventually(() => edge.backend.open === 0, "the machine's connection to be closed");
  assert.ok(sent > 0);
});
