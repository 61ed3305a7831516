// Requests that a client sends before it has its responses: answered one after the other, in order, whatever they are.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { get, head, startEdge } from "../support/edge.ts";
import { response } from "../support/scripted-backend.ts";

const edge = await startEdge({ apps: { secure: staticApp("secure", 1).replace("internal_port", "force_https = true\ninternal_port") } });
after(() => edge[Symbol.asyncDispose]());

const REDIRECTED = "GET /old HTTP/1.1\r\nhost: secure.localhost\r\n\r\n";
const UNKNOWN = "GET / HTTP/1.1\r\nhost: nobody.localhost\r\n\r\n";

test("requests of every kind in one packet are answered in their order", async () => {
  await edge.backend.answers((request) => {
    if (request.target === "/chunked") return "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    if (request.target === "/none") return "HTTP/1.1 204 No Content\r\n\r\n";
    return response(request.method === "HEAD" ? "" : `${request.method} ${request.target} ${request.body}`);
  });
  using client = await edge.connect();
  client.send(
    get("/1") +
      REDIRECTED +
      `${head("POST", "/2", ["content-length: 5"])}hello` +
      UNKNOWN +
      `${head("PUT", "/3", ["transfer-encoding: chunked"])}3\r\nabc\r\n0\r\n\r\n` +
      get("/chunked") +
      head("HEAD", "/4") +
      get("/none") +
      get("/5"),
  );
  const kinds: string[] = [];
  for (let i = 0; i < 9; i++) {
    const { status, body } = await client.response({ toHead: i === 6 });
    kinds.push(`${status} ${body.split("\n")[0]}`);
  }
  assert.deepEqual(kinds, [
    "200 GET /1 ",
    "301 ",
    "200 POST /2 hello",
    "404 404 unknown_host: no app declares this host name",
    "200 PUT /3 abc",
    "200 abc",
    "200 ",
    "204 ",
    "200 GET /5 ",
  ]);
});

test("the second request waits until the first has its response", async () => {
  await edge.backend.answers((request) => (request.target === "/slow" ? null : response("fast")));
  using client = await edge.connect();
  client.send(get("/slow") + get("/fast"));
  const machine = await edge.backend.connection();
  await edge.backend.request();
  assert.equal(edge.backend.requests.length, 1);
  machine.send(response("slow"));
  assert.equal((await client.response()).body, "slow");
  // The script has left that connection to the test.
  const next = await machine.request();
  assert.equal(next.target, "/fast");
  machine.send(response("fast"));
  assert.equal((await client.response()).body, "fast");
});

for (const [kind, bytes, status] of [
  ["redirects", REDIRECTED, 301],
  ["unknown hosts", UNKNOWN, 404],
] as const) {
  test(`a thousand ${kind} in a row are answered, and so is what comes behind them`, async () => {
    await edge.backend.answers(() => response("behind"));
    using client = await edge.connect();
    client.send(bytes.repeat(1000) + get());
    for (let i = 0; i < 1000; i++) assert.equal((await client.response()).status, status);
    assert.equal((await client.response()).body, "behind");
  });
}

test("a thousand requests to a machine in a row are answered in their order", async () => {
  await edge.backend.answers((request) => response(request.target));
  using client = await edge.connect();
  client.send(Array.from({ length: 1000 }, (_, i) => get(`/${i}`)).join(""));
  for (let i = 0; i < 1000; i++) assert.equal((await client.response()).body, `/${i}`);
});

test("more pipelined bytes than the edge keeps are taken as room comes", async () => {
  await edge.backend.answers((request) => response(String(request.header("x-long")!.length)));
  using client = await edge.connect();
  const long = "a".repeat(20_000);
  client.send(Array.from({ length: 50 }, (_, i) => get(`/${i}`, [`x-long: ${long}`])).join(""));
  for (let i = 0; i < 50; i++) assert.equal((await client.response()).body, "20000");
});

test("a request behind a body is one of its own, wherever the packets are cut", async () => {
  await edge.backend.answers((request) => response(`${request.target} ${request.body}`));
  const both = `${head("POST", "/1", ["content-length: 5"])}hello${head("POST", "/2", ["transfer-encoding: chunked"])}2\r\nab\r\n0\r\n\r\n${get("/3")}`;
  for (let cut = both.indexOf("hello") - 2; cut < both.length; cut += 7) {
    using client = await edge.connect();
    client.send(both.slice(0, cut));
    await new Promise((resolve) => setImmediate(resolve));
    client.send(both.slice(cut));
    const bodies = [await client.response(), await client.response(), await client.response()].map(({ body }) => body);
    assert.deepEqual(bodies, ["/1 hello", "/2 ab", "/3 "], `cut at ${cut}`);
  }
});

test("what comes behind a request that closes the connection is not answered", async () => {
  await edge.backend.answers((request) => response(request.target));
  const received = await edge.exchange(get("/last", ["connection: close"]) + get("/never"));
  assert.ok(received.endsWith("/last"));
  assert.deepEqual(
    edge.backend.requests.map(({ target }) => target),
    ["/last"],
  );
});

test("what comes behind a malformed request is not answered, and what came before it is", async () => {
  await edge.backend.answers((request) => response(request.target));
  const received = await edge.exchange(`${get("/first")}GET /bad\r\n\r\n${get("/never")}`);
  assert.match(received, /\/firstHTTP\/1\.1 400 Bad Request\r\n/);
  assert.equal(edge.backend.requests.length, 1);
});

test("a client that closes its sending side behind several requests gets all responses", async () => {
  await edge.backend.answers((request) => response(request.target));
  using client = await edge.connect();
  client.send(get("/1") + UNKNOWN + get("/2") + get("/3")).end();
  const received = await client.untilEnd();
  assert.deepEqual(received.match(/\r\n\r\n(\/\d)/g), ["\r\n\r\n/1", "\r\n\r\n/2", "\r\n\r\n/3"]);
});
