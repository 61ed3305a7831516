// What the edge adds to requests and responses, and what it takes from them (reference sections 5.1 and 5.2).

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { get, HOST, rootOf, startEdge } from "../support/edge.ts";
import { RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";
import type { Message } from "../support/message.ts";

const edge = await startEdge({ region: "nrt" });
after(() => edge[Symbol.asyncDispose]());

const REQUEST_ID = /^[0-9A-HJKMNP-TV-Z]{26}-nrt$/;

/** Sends a request with these lines; resolves with what the machine got. */
async function seen(lines: readonly string[] = []): Promise<Message> {
  await edge.backend.answers(() => response(""));
  using client = await edge.connect();
  await client.send(get("/", lines)).response();
  return edge.backend.requests[0]!;
}

test("the machine is told who asks, over what, and where", async () => {
  const beforeUs = Date.now() * 1000 - 1_000_000;
  const request = await seen();
  const told = Object.fromEntries(request.fields);
  assert.match(told["fly-request-id"]!, REQUEST_ID);
  assert.match(told["fly-traceparent"]!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  assert.match(told["x-request-start"]!, /^t=\d{16}$/);
  const startUs = Number(told["x-request-start"]!.slice(2));
  assert.ok(startUs > beforeUs && startUs < beforeUs + 10_000_000, "it is now, in microseconds");
  for (const name of ["fly-request-id", "fly-traceparent", "x-request-start"]) delete told[name];
  assert.deepEqual(told, {
    host: HOST,
    "fly-client-ip": "127.0.0.1",
    "fly-forwarded-port": "80",
    "fly-forwarded-proto": "http",
    "fly-forwarded-ssl": "off",
    "fly-region": "nrt",
    "x-forwarded-for": "127.0.0.1, 127.0.0.1",
    "x-forwarded-port": "80",
    "x-forwarded-proto": "http",
    "x-forwarded-ssl": "off",
    via: "1.1 kittiwake",
  });
  assert.equal(request.fields.length, 14, "nothing comes twice");
});

test("over TLS the machine is told so", async () => {
  await edge.backend.answers(() => response(""));
  using client = await RawClient.connectTls(edge.test.httpsPort, { ca: rootOf(edge.test), servername: HOST });
  await client.send(get()).response();
  const [request] = edge.backend.requests;
  const names = [
    "fly-forwarded-port",
    "fly-forwarded-proto",
    "fly-forwarded-ssl",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-ssl",
  ];
  assert.deepEqual(
    names.map((name) => request!.header(name)),
    ["443", "https", "on", "443", "https", "on"],
  );
});

test("what only the edge may say is not taken from the client", async () => {
  const names = [
    "Fly-Client-IP",
    "Fly-Forwarded-Port",
    "Fly-Forwarded-Proto",
    "Fly-Forwarded-Ssl",
    "Fly-Region",
    "Fly-Request-Id",
    "Fly-Traceparent",
    "Fly-Tracestate",
    "X-Forwarded-Proto",
    "X-Forwarded-Ssl",
    "X-Request-Start",
    "Fly-Replay-Src",
    "Fly-Replay-Failed",
    "Fly-Replay-Cache-Status",
    "Fly-Preferred-Instance-Unavailable",
    "Fly-Src",
    "Fly-Src-Signature",
    "Fly-Dispatch-Start",
  ];
  // In every spelling, and more than once.
  const request = await seen(names.flatMap((name) => [`${name}: forged`, `${name.toUpperCase()}: forged`]));
  assert.equal(request.raw.includes("forged"), false, request.raw);
  assert.equal(request.header("fly-client-ip"), "127.0.0.1");
  assert.equal(request.header("x-forwarded-proto"), "http");
});

test("lists are appended to, with all that the client said in front", async () => {
  const request = await seen(["X-Forwarded-For: 1.1.1.1, 2.2.2.2", "x-forwarded-for: 3.3.3.3", "Via: 1.0 first", "Via: 1.1 second"]);
  assert.equal(request.header("x-forwarded-for"), "1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1, 127.0.0.1");
  assert.equal(request.header("via"), "1.0 first, 1.1 second, 1.1 kittiwake");
});

test("the client's own X-Forwarded-Port is kept", async () => {
  assert.equal((await seen(["X-Forwarded-Port: 8443"])).header("x-forwarded-port"), "8443");
});

test("hop-by-hop fields stay behind, and those that Connection names", async () => {
  const request = await seen([
    "Connection: keep-alive, X-Secret",
    "Connection: x-other",
    "X-Secret: hidden",
    "X-Other: hidden",
    "Keep-Alive: timeout=hidden",
    "Proxy-Connection: hidden",
    "Proxy-Authorization: hidden",
    "TE: hidden, hidden;q=0.5",
    "Trailer: hidden",
    "Upgrade: hidden",
    "HTTP2-Settings: hidden",
    "X-Kept: yes",
  ]);
  assert.equal(request.raw.includes("hidden"), false, request.raw);
  assert.equal(request.header("connection"), null);
  assert.equal(request.header("x-kept"), "yes");
});

test("Connection cannot take away what a request is made of, or what the edge says", async () => {
  await edge.backend.answers(() => response(""));
  using client = await edge.connect();
  const kept = [
    "host",
    "content-length",
    "transfer-encoding",
    "cookie",
    "authorization",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "fly-client-ip",
  ];
  client.send(
    `POST / HTTP/1.1\r\nhost: ${HOST}\r\nconnection: ${kept.join(", ")}, close\r\ncontent-length: 5\r\ncookie: a=b\r\nauthorization: x\r\nx-forwarded-for: 9.9.9.9\r\n\r\nhello`,
  );
  assert.equal((await client.response()).status, 200);
  const [request] = edge.backend.requests;
  assert.equal(request!.body, "hello");
  assert.equal(request!.header("host"), HOST);
  assert.equal(request!.header("content-length"), "5");
  assert.equal(request!.header("cookie"), "a=b");
  assert.equal(request!.header("authorization"), "x");
  assert.equal(request!.header("via"), "1.1 kittiwake");
  assert.equal(request!.header("x-forwarded-for"), "9.9.9.9, 127.0.0.1, 127.0.0.1");
  assert.equal(request!.header("fly-client-ip"), "127.0.0.1");
});

test("other fields arrive as they were sent: case, order, repetition and odd bytes", async () => {
  const lines = [
    "X-MiXeD: Case",
    "Cookie: a=1",
    "cookie: b=2",
    "X-Bytes: \xe4\xf6\xfc \t!",
    "X-Empty:",
    "prototype: x",
    "constructor: y",
    `X-Long: ${"z".repeat(20_000)}`,
  ];
  const request = await seen(lines);
  const sent = lines.map((line) => (line === "X-Empty:" ? "X-Empty: " : line));
  assert.ok(request.raw.includes(`\r\n${sent.join("\r\n")}\r\n`), request.raw.slice(0, 600));
});

test("the Host that the client sent is the Host that the machine gets, port included", async () => {
  await edge.backend.answers(() => response(""));
  using client = await edge.connect();
  await client.send("GET / HTTP/1.1\r\nHOST:   Hello.Localhost:1234  \r\n\r\n").response();
  assert.deepEqual(edge.backend.requests[0]!.all("host"), ["hello.localhost:1234"]);
});

test("a response carries the edge's name, its hop and the id of its request", async () => {
  await edge.backend.answers(() =>
    response("", ["Server: nginx/9", "Via: 1.1 varnish", "Via: 1.0 other", "Fly-Request-Id: forged", "X-App: yes"]),
  );
  using client = await edge.connect();
  const answer = await client.send(get()).response();
  assert.equal(answer.header("server"), "kittiwake");
  assert.equal(answer.header("via"), "1.1 varnish, 1.0 other, 1.1 kittiwake");
  assert.equal(answer.header("fly-request-id"), edge.backend.requests[0]!.header("fly-request-id"));
  assert.equal(answer.header("x-app"), "yes");
  const next = await client.send(get()).response();
  assert.notEqual(next.header("fly-request-id"), answer.header("fly-request-id"));
});

test("hop-by-hop fields of a response stay behind, and those that its Connection names", async () => {
  await edge.backend.answers(() =>
    response("", [
      "Connection: keep-alive, X-Secret",
      "X-Secret: hidden",
      "Keep-Alive: timeout=hidden",
      "Proxy-Authenticate: hidden",
      "Proxy-Connection: hidden",
      "Trailer: hidden",
      "TE: hidden",
      "Upgrade: hidden",
      "Set-Cookie: a=1",
      "Set-Cookie: b=2",
    ]),
  );
  using client = await edge.connect();
  const answer = await client.send(get()).response();
  assert.equal(answer.raw.includes("hidden"), false, answer.raw);
  assert.deepEqual(answer.all("set-cookie"), ["a=1", "b=2"]);
  assert.equal(answer.header("connection"), null);
});

test("a response without a Date gets one, and one that has a Date keeps it", async () => {
  await edge.backend.answers(({ target }) => response("", target === "/dated" ? ["Date: Sun, 06 Nov 1994 08:49:37 GMT"] : []));
  using client = await edge.connect();
  assert.equal((await client.send(get("/dated")).response()).header("date"), "Sun, 06 Nov 1994 08:49:37 GMT");
  const added = Date.parse((await client.send(get("/")).response()).header("date") ?? "");
  assert.ok(Math.abs(added - Date.now()) < 5000);
});
