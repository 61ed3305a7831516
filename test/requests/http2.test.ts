// Requests over HTTP/2: what the machine gets, what the client gets, many at once, with trailers, and with windows that are full.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { constants } from "node:http2";
import { after, test } from "node:test";
import { startBackend, staticApp } from "../support/backend.ts";
import { HOST, startEdge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client, responseOf } from "../support/http2-client.ts";
import { startTestNode } from "../support/node.ts";
import { response } from "../support/scripted-backend.ts";

const LARGE_BYTES = 8 * 1024 * 1024;

const echo = await startBackend((request, answer) => {
  answer.writeHead(200, { "content-type": "application/octet-stream", "x-method": request.method ?? "" });
  request.pipe(answer);
});
const edge = await startEdge();
const echoNode = await startTestNode({ apps: { hello: staticApp("hello", echo.port) } });
after(async () => {
  await edge[Symbol.asyncDispose]();
  await echoNode[Symbol.asyncDispose]();
  await echo[Symbol.asyncDispose]();
});

test("a request reaches the machine in HTTP/1.1, with its authority as Host and cookies in one field", async () => {
  await edge.backend.answers(() => response("hi", ["x-app: yes"]));
  using client = await Http2Client.connect(edge.test);
  const { status, headers, body } = await client.get("/path?q=1", { "x-own": "1", cookie: ["a=1", "b=2", "c=3"] });
  assert.equal(status, 200);
  assert.equal(body, "hi");
  assert.equal(headers["x-app"], "yes");
  assert.equal(headers.server, "kittiwake");
  assert.equal(headers.via, "1.1 kittiwake");
  assert.match(String(headers["fly-request-id"]), /^[0-9A-Z]{26}-ams$/);
  assert.equal(headers["content-length"], "2");
  const request = await edge.backend.request();
  assert.equal(request.startLine, "GET /path?q=1 HTTP/1.1");
  assert.equal(request.header("host"), HOST);
  assert.equal(request.header("x-own"), "1");
  assert.equal(request.header("cookie"), "a=1; b=2; c=3");
  assert.equal(request.header("x-forwarded-proto"), "https");
  assert.equal(request.header("via"), "2 kittiwake");
  assert.equal(request.framing, "none");
});

test("many requests at once on one connection get each their own response", async () => {
  await edge.backend.answers(({ target }) => response(target));
  using client = await Http2Client.connect(edge.test);
  const targets = Array.from({ length: 100 }, (_, i) => `/${i}`);
  const bodies = await Promise.all(targets.map(async (target) => (await client.get(target)).body));
  assert.deepEqual(bodies, targets);
  await edge.untilReleased();
});

for (const method of ["POST", "PUT", "GET", "DELETE", "OPTIONS"]) {
  for (const hasLength of [true, false]) {
    test(`a ${method} body ${hasLength ? "with" : "without"} a length leaves framed`, async () => {
      using client = await Http2Client.connect(echoNode);
      const body = "x".repeat(10_000);
      const length = hasLength ? { "content-length": body.length } : {};
      const got = await client.post("/", body, { ":method": method, ...length });
      assert.equal(got.headers["x-method"], method);
      assert.equal(got.body, body);
    });
  }
}

test("large bodies pass unchanged both ways, on several streams at the same time", async () => {
  using client = await Http2Client.connect(echoNode);
  const bodies = Array.from({ length: 4 }, () => randomBytes(LARGE_BYTES / 4));
  const got = await Promise.all(bodies.map((body) => client.post("/", body)));
  for (const [i, { body }] of got.entries()) assert.equal(sum(Buffer.from(body, "latin1")), sum(bodies[i]!));
});

test("a body arrives whole through a window of one byte more than nothing", async () => {
  using client = await Http2Client.connect(echoNode, { initialWindowSize: 1 });
  assert.equal((await client.post("/", "a body in many pieces")).body, "a body in many pieces");
});

test("trailers pass both ways", async () => {
  await edge.backend.answers(
    () => "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n",
  );
  using client = await Http2Client.connect(edge.test);
  const stream = client.session.request({ ":authority": HOST, ":method": "POST", ":path": "/" }, {
    endStream: false,
    waitForTrailers: true,
  } as never);
  stream.on("wantTrailers", () => stream.sendTrailers({ "x-checksum": "abc" }));
  stream.end("request");
  const { trailers, body } = await responseOf(stream);
  assert.equal(body, "body");
  assert.equal(trailers["x-sum"], "42");
  const request = await edge.backend.request();
  assert.match(request.raw, /\r\n0\r\nx-checksum: abc\r\n\r\n$/i);
});

test("a response to HEAD has the length of a GET and no body", async () => {
  await edge.backend.answers(() => "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n");
  using client = await Http2Client.connect(edge.test);
  const { headers, body } = await client.get("/", { ":method": "HEAD" });
  assert.equal(headers["content-length"], "1234");
  assert.equal(body, "");
});

for (const [status, lines] of [
  ["204 No Content", ""],
  ["304 Not Modified", "content-length: 77\r\n"],
] as const) {
  test(`a response ${status} has no body`, async () => {
    await edge.backend.answers(() => `HTTP/1.1 ${status}\r\n${lines}etag: "x"\r\n\r\n`);
    using client = await Http2Client.connect(edge.test);
    const got = await client.get("/");
    assert.equal(got.status, Number.parseInt(status, 10));
    assert.equal(got.headers["content-length"], lines === "" ? undefined : "77");
    assert.equal(got.body, "");
  });
}

test("interim responses are passed on", async () => {
  await edge.backend.answers(() => `HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n${response("done")}`);
  using client = await Http2Client.connect(edge.test);
  const stream = client.open({ ":path": "/" });
  const interim = once(stream, "headers") as Promise<[Record<string, unknown>]>;
  const { body } = await responseOf(stream);
  const [headers] = await interim;
  assert.equal(headers[":status"], 103);
  assert.equal(headers["link"], "</a.css>");
  assert.equal(body, "done");
});

test("a client that expects 100 gets the machine's, and then sends its body", async () => {
  await edge.backend.answers(() => null);
  using client = await Http2Client.connect(edge.test);
  const stream = client.open({ ":method": "POST", ":path": "/", "content-length": 4, expect: "100-continue" }, false);
  const continued = once(stream, "continue");
  const machine = await edge.backend.connection();
  await machine.until((received) => received.includes("expect: 100-continue") && received.endsWith("\r\n\r\n"));
  machine.send("HTTP/1.1 100 Continue\r\n\r\n");
  await continued;
  stream.end("body");
  await machine.until((received) => received.endsWith("body"));
  machine.send(response("thanks"));
  assert.equal((await responseOf(stream)).body, "thanks");
});

test("a refusal of the edge's own is a whole response, and the connection goes on", async () => {
  await edge.backend.answers(() => response("fine"));
  using client = await Http2Client.connect(edge.test);
  const refused = await client.get("/", { ":authority": "nobody.localhost" });
  assert.equal(refused.status, 404);
  assert.equal(refused.headers["kittiwake-error"], "unknown_host");
  assert.equal((await client.get("/")).body, "fine");
});

test("a response that the machine cuts short resets the stream, and the connection goes on", async () => {
  await edge.backend.answers((request, connection) => {
    if (request.target === "/whole") return response("whole");
    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart");
    connection.socket.end();
    return null;
  });
  using client = await Http2Client.connect(edge.test);
  await assert.rejects(client.get("/cut"), /INTERNAL_ERROR|reset with code 2/);
  assert.equal((await client.get("/whole")).body, "whole");
  await edge.untilReleased();
});

test("a client that cancels a request takes it away from the machine", async () => {
  await edge.backend.answers(() => null);
  using client = await Http2Client.connect(edge.test);
  const stream = client.open({ ":path": "/slow" });
  await edge.backend.request();
  assert.equal(edge.inFlight, 1);
  stream.close(constants.NGHTTP2_CANCEL);
  await edge.untilReleased();
  const machine = await edge.backend.connection();
  await eventually(() => machine.ended, "the machine's connection to end");
});

test("a response before the end of the body is passed on, and the rest of the body is not waited for", async () => {
  await edge.backend.answers(() => null);
  using client = await Http2Client.connect(edge.test);
  const stream = client.open({ ":method": "POST", ":path": "/", "content-length": 1_000_000 }, false);
  stream.write("begin");
  const machine = await edge.backend.connection();
  await machine.until((received) => received.endsWith("begin"));
  machine.send(response("enough", [], "413 Content Too Large"));
  const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
  assert.equal(headers[":status"], 413);
  stream.resume();
  await once(stream, "close");
  assert.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR);
  await edge.untilReleased();
});

function sum(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
