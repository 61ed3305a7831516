// Machines that speak HTTP/2 without TLS, behind clients of either protocol; well-behaved ones here.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { startRawBackend, staticApp } from "../support/backend.ts";
import { get, head, HOST } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client } from "../support/http2-client.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { exchangeRaw, RawClient } from "../support/raw-client.ts";

const LARGE = Buffer.alloc(5 * 1024 * 1024, "0123456789abcdef");

const sessions = new Set<ServerHttp2Session>();
let connectionsOpened = 0;
const server = createServer();
server.on("connection", () => connectionsOpened++);
server.on("session", (session) => {
  sessions.add(session);
  session.on("close", () => sessions.delete(session));
});
server.on("stream", (stream: ServerHttp2Stream, headers) => {
  stream.on("error", () => {});
  const path = headers[":path"]!;
  if (path === "/echo") {
    stream.respond({ ":status": 200, "x-method": headers[":method"] });
    stream.pipe(stream);
  } else if (path === "/headers") {
    stream.respond({ ":status": 200, "content-type": "application/json" });
    stream.end(JSON.stringify(headers));
  } else if (path === "/trailers") {
    stream.respond({ ":status": 200, trailer: "x-sum" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "42" }));
    stream.end("with trailers");
  } else if (path === "/early") {
    stream.additionalHeaders({ ":status": 103, link: "</a.css>; rel=preload" });
    stream.respond({ ":status": 200, "content-length": 2 });
    stream.end("ok");
  } else if (path === "/large") {
    stream.respond({ ":status": 200, "content-length": LARGE.length });
    stream.end(LARGE);
  } else if (path === "/empty") stream.respond({ ":status": 204 }, { endStream: true });
  else if (path === "/sum") {
    const hash = createHash("sha256");
    stream.on("data", (part: Buffer) => hash.update(part));
    stream.on("end", () => {
      stream.respond({ ":status": 200 });
      stream.end(hash.digest("hex"));
    });
  } else {
    stream.respond({ ":status": 200, "content-length": 4 });
    stream.end(headers[":method"] === "HEAD" ? "" : "root");
  }
});
server.listen(0, "127.0.0.1");
await once(server, "listening");

const h2App = (port: number): string =>
  staticApp("hello", port).replace("internal_port", "http_options = { h2_backend = true }\ninternal_port");

async function start(port: number): Promise<TestNode> {
  const node = await startTestNode({ apps: { hello: h2App(port) } });
  await eventually(() => node.node.control.machines("hello").every(({ state }) => state === "started"), "the machine");
  return node;
}

const node = await start((server.address() as AddressInfo).port);
after(async () => {
  await node[Symbol.asyncDispose]();
  for (const session of sessions) session.destroy();
  server.close();
});

const untilReleased = (): Promise<void> =>
  eventually(() => node.node.control.inFlight("hello-1") === 0, "the machine's places to be given back");

test("an HTTP/1.1 client reaches the machine over HTTP/2, with the fields of the edge", async () => {
  using client = await RawClient.connect(node.httpPort);
  client.send(get("/headers", ["X-Own: 1", "Cookie: a=1", "Connection: keep-alive, x-hop", "X-Hop: gone", "TE: trailers"]));
  const response = await client.response();
  const seen = JSON.parse(response.body) as Record<string, string>;
  assert.equal(seen[":method"], "GET");
  assert.equal(seen[":path"], "/headers");
  assert.equal(seen[":authority"], HOST);
  assert.equal(seen[":scheme"], "http");
  assert.equal(seen["x-own"], "1");
  assert.equal(seen["cookie"], "a=1");
  assert.equal(seen["x-hop"], undefined);
  assert.equal(seen["connection"], undefined);
  assert.equal(seen["te"], "trailers");
  assert.equal(seen["x-forwarded-for"], "127.0.0.1, 127.0.0.1");
  assert.equal(seen["x-forwarded-proto"], "http");
  assert.equal(seen["via"], "1.1 kittiwake");
  assert.equal(seen["fly-region"], "ams");
  assert.match(seen["fly-request-id"]!, /^[0-9A-Z]{26}-ams$/);
  assert.equal(response.header("server"), "kittiwake");
  assert.equal(response.header("transfer-encoding"), "chunked");
});

test("requests share one connection to the machine", async () => {
  using client = await Http2Client.connect(node);
  const bodies = await Promise.all(Array.from({ length: 60 }, async () => (await client.get("/")).body));
  assert.deepEqual([...new Set(bodies)], ["root"]);
  assert.equal(sessions.size, 1);
});

test("bodies of either length and framing come back as they went", async () => {
  using client = await RawClient.connect(node.httpPort);
  client.send(`${head("POST", "/echo", ["content-length: 5"])}hello`);
  const counted = await client.response();
  assert.equal(counted.header("x-method"), "POST");
  assert.equal(counted.body, "hello");
  client.send(`${head("DELETE", "/echo", ["transfer-encoding: chunked"])}3\r\nabc\r\n0\r\n\r\n`);
  const chunked = await client.response();
  assert.equal(chunked.header("x-method"), "DELETE");
  assert.equal(chunked.body, "abc");
  client.send(head("POST", "/echo", ["content-length: 0"]));
  assert.equal((await client.response()).body, "");
  await untilReleased();
});

test("a large body arrives whole in both directions, also with a client that reads slowly", async () => {
  using client = await Http2Client.connect(node);
  const up = await client.post("/sum", LARGE);
  assert.equal(up.body, createHash("sha256").update(LARGE).digest("hex"));
  const stream = client.open({ ":path": "/large" });
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const part of stream) {
    hash.update(part as Buffer);
    bytes += (part as Buffer).length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(bytes, LARGE.length);
  assert.equal(hash.digest("hex"), up.body);
  using old = await RawClient.connect(node.httpPort);
  old.send(get("/large"));
  assert.equal((await old.response()).body.length, LARGE.length);
  await untilReleased();
});

test("HEAD and 204 have no body, and the connection goes on", async () => {
  using client = await RawClient.connect(node.httpPort);
  client.send(head("HEAD", "/"));
  const bodyless = await client.response({ toHead: true });
  assert.equal(bodyless.header("content-length"), "4");
  client.send(get("/empty"));
  const empty = await client.response();
  assert.match(empty.startLine, /^HTTP\/1.1 204/);
  assert.equal(empty.header("content-length"), null);
  client.send(get("/"));
  assert.equal((await client.response()).body, "root");
});

test("trailers and interim responses pass", async () => {
  using client = await Http2Client.connect(node);
  const withTrailers = await client.get("/trailers");
  assert.equal(withTrailers.body, "with trailers");
  assert.equal(withTrailers.trailers["x-sum"], "42");
  using old = await RawClient.connect(node.httpPort);
  old.send(get("/early"));
  const interim = await old.response();
  assert.match(interim.startLine, /^HTTP\/1.1 103/);
  assert.equal((await old.response()).body, "ok");
});

test("a client that leaves in the middle resets its stream alone", async () => {
  using other = await Http2Client.connect(node);
  const leaving = await RawClient.connect(node.httpPort);
  leaving.send(get("/large"));
  await eventually(() => leaving.received.length > 0, "the first bytes");
  leaving.socket.destroy();
  assert.equal((await other.get("/")).body, "root");
  await untilReleased();
  assert.equal(sessions.size, 1);
});

test("a machine that says goodbye gets no more on that connection, and the next request is served", async () => {
  using client = await Http2Client.connect(node);
  assert.equal((await client.get("/")).body, "root");
  const opened = connectionsOpened;
  for (const session of sessions) session.goaway();
  // What is on its way when the goodbye comes is served on the old connection; none fails.
  do assert.equal((await client.get("/")).body, "root");
  while (connectionsOpened === opened);
  for (let i = 0; i < 20; i++) assert.equal((await client.get("/")).body, "root");
  assert.equal(connectionsOpened, opened + 1);
});

test("a machine that ends its connections between requests costs nobody an answer", async () => {
  using client = await Http2Client.connect(node);
  for (let i = 0; i < 10; i++) {
    assert.equal((await client.get("/")).body, "root");
    for (const session of sessions) session.destroy();
  }
});

test("a machine that does not speak HTTP/2 is a bad gateway", async () => {
  await using backend = await startRawBackend((socket) =>
    socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")),
  );
  await using wrong = await start(backend.port);
  const answer = await exchangeRaw(wrong.httpPort, get("/", ["connection: close"]));
  assert.match(answer, /^HTTP\/1.1 502 /);
  assert.match(answer, /kittiwake-error: bad_response/);
});
