// A short body is taken whole before a machine is looked for: a slow client occupies none, and a failed attempt can be made again with it.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { get, head, HOST, rootOf, startEdge } from "../support/edge.ts";
import { FrameClient } from "../support/frame-client.ts";
import { block, data, FLAG, headers } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const HELD_BYTES = 1000;
const CLIENT_MS = 20_000;

const near = await ScriptedBackend.start();
const far = await ScriptedBackend.start();
const edge = await startEdge({
  apps: {
    pair: staticApp("pair", near.port, `[[kittiwake.machines]]\nid = "pair-2"\nregion = "nrt"\naddress = "127.0.0.1:${far.port}"`),
  },
  tables: `[timeouts]\nclient_idle = "${CLIENT_MS}ms"\n[limits]\nheld_body_bytes = ${HELD_BYTES}`,
});
after(async () => {
  await edge[Symbol.asyncDispose]();
  await Promise.all([near[Symbol.asyncDispose](), far[Symbol.asyncDispose]()]);
});

const BODY = "b".repeat(HELD_BYTES);

function post(bytes: number, more: readonly string[] = []): string {
  return head("POST", "/", [`content-length: ${bytes}`, ...more]);
}

function toPair(method: string, body: string): string {
  return `${method} / HTTP/1.1\r\nhost: pair.localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

test("the machine hears of the request when its body is whole, and gets all of it at once", async () => {
  await edge.backend.answers(({ body }) => response(body));
  using client = await edge.connect();
  client.send(post(BODY.length));
  for (const piece of [BODY.slice(0, 1), BODY.slice(1, 500)]) {
    client.send(piece);
    await edge.test.settle();
    assert.deepEqual([edge.backend.connections.length, edge.inFlight], [0, 0]);
  }
  client.send(BODY.slice(500) + get("/next"));
  assert.equal((await client.response()).body, BODY);
  assert.equal((await client.response()).status, 200);
  assert.equal(edge.backend.requests[0]!.body, BODY);
});

for (const [title, request, sent] of [
  ["longer than that", post(BODY.length + 1), "b"],
  ["without a length", head("POST", "/", ["transfer-encoding: chunked"]), "1\r\nb\r\n"],
  ["whose client waits for a 100", post(BODY.length, ["expect: 100-continue"]), ""],
] as const) {
  test(`a body ${title} goes on as it comes`, async () => {
    await edge.backend.answers(() => null);
    using client = await edge.connect();
    client.send(request + sent);
    const machine = await edge.backend.connection();
    await machine.until((text) => text.endsWith(`\r\n\r\n${sent}`));
  });
}

test("a client that takes too long over it gets 408, and no machine hears of it", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(`${post(10)}hello`);
  await edge.test.settle();
  const answer = await edge.test.endsAfter(CLIENT_MS, client.response());
  assert.deepEqual([answer.status, answer.header("connection")], [408, "close"]);
  assert.equal(edge.backend.connections.length, 0);
});

test("nor when it leaves", async () => {
  await edge.backend.answers(({ body }) => response(body));
  const client = await edge.connect();
  client.send(`${post(10)}hello`);
  await edge.test.settle();
  client.reset();
  using other = await edge.connect();
  assert.equal((await other.send(`${post(5)}other`).response()).body, "other");
  assert.deepEqual(
    edge.backend.requests.map(({ body }) => body),
    ["other"],
  );
});

test("a PUT that a machine broke off goes to the next one with its body", async () => {
  await near.answers((_, connection) => {
    connection.reset();
    return null;
  });
  await far.answers(({ body }) => response(body));
  using client = await RawClient.connect(edge.port);
  assert.equal((await client.send(toPair("PUT", BODY)).response()).body, BODY);
  assert.equal(near.requests[0]!.body, BODY);
});

test("a POST that a machine broke off does not: it may have been done", async () => {
  await near.answers((_, connection) => {
    connection.reset();
    return null;
  });
  await far.answers(({ body }) => response(body));
  using client = await RawClient.connect(edge.port);
  assert.equal((await client.send(toPair("POST", BODY)).response()).status, 502);
  assert.equal(far.requests.length, 0);
});

test("over HTTP/2 too", async () => {
  await edge.backend.answers(({ body }) => response(body));
  using client = await FrameClient.open(edge.test.httpsPort, { ca: rootOf(edge.test), servername: HOST });
  const fields = [
    [":method", "POST"],
    [":scheme", "https"],
    [":path", "/"],
    [":authority", HOST],
    ["content-length", "10"],
  ] as const;
  client.send(headers(1, block(fields), FLAG.endHeaders), data(1, "hello", 0));
  await client.barrier();
  await edge.test.settle();
  assert.equal(edge.backend.connections.length, 0);
  client.send(data(1, "world"));
  assert.equal((await client.untilOver(1)).body.toString(), "helloworld");
  await edge.untilReleased();
});
