// Connections to machines: kept and used again, or one for each request, as the service asks for.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { get, head, startEdge, type Edge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

/** Nobody waits for it. */
const IDLE_MS = 60_000;
const single = await ScriptedBackend.start();
const edge: Edge = await startEdge({
  apps: { single: staticApp("single", single.port).replace('type = "requests"', 'type = "connections"') },
  tables: `[timeouts]\nupstream_idle = "${IDLE_MS}ms"`,
});
after(async () => {
  await single[Symbol.asyncDispose]();
  await edge[Symbol.asyncDispose]();
});

test("one connection to the machine carries the requests of many clients, one after the other", async () => {
  await edge.backend.answers(({ target }) => response(target));
  for (let i = 0; i < 5; i++) {
    using client = await edge.connect();
    for (let j = 0; j < 3; j++) assert.equal((await client.send(get(`/${i}${j}`)).response()).body, `/${i}${j}`);
  }
  assert.equal(edge.backend.requests.length, 15);
  assert.equal(edge.backend.connections.length, 1);
  assert.equal(edge.backend.requests[0]!.header("connection"), null);
});

test("requests at the same time have a connection each, which all are used again", async () => {
  await edge.backend.answers(() => null);
  const clients = await Promise.all(Array.from({ length: 8 }, () => edge.connect()));
  for (const client of clients) client.send(get("/first"));
  await edge.backend.request(7);
  assert.equal(edge.backend.connections.length, 8);
  for (const machine of edge.backend.connections) machine.send(response("first"));
  for (const client of clients) assert.equal((await client.response()).body, "first");
  for (const client of clients) client.send(get("/second"));
  for (const machine of edge.backend.connections) {
    await machine.request();
    machine.send(response("second"));
  }
  for (const client of clients) {
    assert.equal((await client.response()).body, "second");
    client.socket.destroy();
  }
  assert.equal(edge.backend.connections.length, 8);
});

test("a connection that rests is closed after its time", async () => {
  await edge.backend.answers(() => response(""));
  using client = await edge.connect();
  await client.send(get()).response();
  assert.equal(edge.backend.open, 1);
  await edge.test.endsAfter(IDLE_MS, edge.backend.connections[0]!.untilEnd());
  assert.equal((await client.send(get()).response()).status, 200, "and the next request opens another one");
  assert.equal(edge.backend.connections.length, 2);
});

test("a connection that the machine wants closed is not used again", async () => {
  await edge.backend.answers(() => response("", ["connection: close"]));
  using client = await edge.connect();
  for (let i = 0; i < 3; i++) {
    const answer = await client.send(get()).response();
    assert.equal(answer.header("connection"), null, "that is between the edge and the machine");
  }
  assert.equal(edge.backend.connections.length, 3);
  await eventually(() => edge.backend.open === 0, "the connections to be closed");
});

test("a client that wants its connection closed leaves the machine's open", async () => {
  await edge.backend.answers(() => response(""));
  for (let i = 0; i < 3; i++) await edge.exchange(get("/", ["connection: close"]));
  assert.equal(edge.backend.connections.length, 1);
});

test('type = "connections" opens one connection a request, and says so to the machine', async () => {
  await single.answers(({ target }) => response(target));
  using client = await edge.connect();
  for (let i = 0; i < 3; i++) {
    client.send(`GET /${i} HTTP/1.1\r\nhost: single.localhost\r\n\r\n`);
    const answer = await client.response();
    assert.equal(answer.body, `/${i}`);
    assert.equal(answer.header("connection"), null);
  }
  assert.equal(single.connections.length, 3);
  for (const request of single.requests) assert.equal(request.header("connection"), "close");
  await eventually(() => single.open === 0, "the connections to be closed");
});

test("a client's connection goes on over requests to several apps", async () => {
  await single.answers(() => response("single"));
  await edge.backend.answers(() => response("hello"));
  using client = await edge.connect();
  for (const app of ["hello", "single", "hello", "single"]) {
    client.send(`GET / HTTP/1.1\r\nhost: ${app}.localhost\r\n\r\n`);
    assert.equal((await client.response()).body, app);
  }
});

test("a connection is used again after a body in each direction, however it was framed", async () => {
  await edge.backend.answers((request) =>
    request.target === "/chunked"
      ? `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${request.body.length.toString(16)}\r\n${request.body}\r\n0\r\n\r\n`
      : response(request.body),
  );
  using client = await edge.connect();
  for (const target of ["/chunked", "/length"]) {
    client.send(`${head("POST", target, ["content-length: 5"])}hello`);
    assert.equal((await client.response()).body, "hello");
    client.send(`${head("POST", target, ["transfer-encoding: chunked"])}5\r\nhello\r\n0\r\n\r\n`);
    assert.equal((await client.response()).body, "hello");
  }
  assert.equal(edge.backend.connections.length, 1);
});

test("many clients at once are served over few connections", async () => {
  await edge.backend.answers(({ target }) => response(target));
  const clients = await Promise.all(Array.from({ length: 200 }, () => RawClient.connect(edge.port)));
  for (const [i, client] of clients.entries()) client.send(get(`/${i}`));
  for (const [i, client] of clients.entries()) {
    assert.equal((await client.response()).body, `/${i}`);
    client.socket.destroy();
  }
  await edge.untilReleased();
});

test("a request that waited for a place goes out at once over a connection that rests, whichever worker gave the place back", async () => {
  const limits = 'type = "requests"\nsoft_limit = 1\nhard_limit = 1';
  await using machine = await ScriptedBackend.start();
  await using two = await startTestNode({
    workers: 2,
    apps: { hello: staticApp("hello", machine.port).replace('type = "requests"', limits) },
  });
  // Enough of them for each worker to have some, and a connection to the machine.
  const clients = await Promise.all(Array.from({ length: 6 }, () => RawClient.connect(two.httpPort)));
  for (const client of clients) assert.equal((await client.send(get()).response()).status, 200);
  for (const first of clients) {
    const answer = Promise.withResolvers<void>();
    machine.continuesWith((request, connection) => {
      if (request.target !== "/first") return response("second");
      void answer.promise.then(() => connection.send(response("first")));
      return "";
    });
    first.send(get("/first"));
    await eventually(() => two.node.control.inFlight("hello-1") === 1, "the first request");
    const others = clients.filter((client) => client !== first);
    for (const client of others) client.send(get("/second"));
    answer.resolve();
    assert.equal((await first.response()).body, "first");
    // One that nobody tells of the free place is refused in the end.
    for (const client of others) assert.equal((await client.response()).body, "second");
  }
  for (const client of clients) client.socket.destroy();
});
