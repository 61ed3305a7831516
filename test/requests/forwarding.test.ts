// Bodies through the edge, both ways and in every framing: what goes in comes out, and leaves framed.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { after, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { startBackend, staticApp } from "../support/backend.ts";
import { get, head, HOST, rootOf, startEdge } from "../support/edge.ts";
import { response } from "../support/scripted-backend.ts";
import { startTestNode } from "../support/node.ts";

const edge = await startEdge();
after(() => edge[Symbol.asyncDispose]());

const LARGE_BYTES = 5 * 1024 * 1024;

test("a body with a length arrives with that length, and so does the response", async () => {
  await edge.backend.answers((request) => response(request.body.toUpperCase()));
  using client = await edge.connect();
  client.send(`${head("POST", "/form", ["content-length: 11"])}hello there`);
  const answer = await client.response();
  const [request] = edge.backend.requests;
  assert.equal(request!.startLine, "POST /form HTTP/1.1");
  assert.equal(request!.header("content-length"), "11");
  assert.equal(request!.header("transfer-encoding"), null);
  assert.equal(request!.body, "hello there");
  assert.equal(answer.header("content-length"), "11");
  assert.equal(answer.body, "HELLO THERE");
});

test("a chunked body arrives chunked, without its extensions", async () => {
  await edge.backend.answers((request) => response(request.body));
  using client = await edge.connect();
  client.send(`${head("POST", "/", ["transfer-encoding: chunked"])}5;a=b\r\nhello\r\n6\r\n there\r\n0\r\n\r\n`);
  assert.equal((await client.response()).body, "hello there");
  const [request] = edge.backend.requests;
  assert.equal(request!.framing, "chunked");
  assert.equal(request!.header("content-length"), null);
  assert.equal(request!.raw.includes("a=b"), false);
});

for (const method of ["GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH", "QUERY"]) {
  test(`a body sent with ${method} leaves framed, so that the machine cannot take it for a request`, async () => {
    await edge.backend.answers(() => response(""));
    using client = await edge.connect();
    const inner = get("/smuggled");
    client.send(`${head(method, "/", [`content-length: ${inner.length}`])}${inner}`);
    await client.response({ toHead: method === "HEAD" });
    client.send(`${head(method, "/", ["transfer-encoding: chunked"])}${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`);
    await client.response({ toHead: method === "HEAD" });
    assert.deepEqual(
      edge.backend.requests.map(({ target, framing, body }) => ({ target, framing, body })),
      [
        { target: "/", framing: "length", body: inner },
        { target: "/", framing: "chunked", body: inner },
      ],
    );
  });
}

test("an empty body with a length of 0 is announced as such", async () => {
  await edge.backend.answers(() => response(""));
  using client = await edge.connect();
  client.send(head("POST", "/", ["content-length: 0"]));
  await client.response();
  assert.equal(edge.backend.requests[0]!.header("content-length"), "0");
});

test("a chunked body that is empty ends the request at the machine", async () => {
  await edge.backend.answers((request) => response(`${request.framing} ${request.body.length}`));
  using client = await edge.connect();
  client.send(`${head("POST", "/", ["transfer-encoding: chunked"])}0\r\n\r\n`);
  assert.equal((await client.response()).body, "chunked 0");
});

test("a chunked response reaches the client chunked, without its extensions", async () => {
  await edge.backend.answers(() => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  using client = await edge.connect();
  const answer = await client.send(get()).response();
  assert.equal(answer.framing, "chunked");
  assert.equal(answer.body, "abcde");
  assert.equal(answer.raw.includes("x=y"), false);
});

test("a response that ends with the machine's connection is chunked for the client, whose connection goes on", async () => {
  await edge.backend.answers((_, connection) => {
    connection.send("HTTP/1.1 200 OK\r\n\r\nall of it").end();
    return null;
  });
  using client = await edge.connect();
  for (let i = 0; i < 2; i++) {
    const answer = await client.send(get()).response();
    assert.equal(answer.framing, "chunked");
    assert.equal(answer.body, "all of it");
  }
});

test("a response to HEAD has the length of the body that it does not have, and none where the machine gave none", async () => {
  using client = await edge.connect();
  const answers = ["content-length: 1000\r\n", "transfer-encoding: chunked\r\n", "", "content-length: 0\r\n"];
  await edge.backend.answers((request) => `HTTP/1.1 200 OK\r\n${answers[Number(request.target.slice(1))]!}\r\n`);
  const lengths: (string | null)[] = [];
  for (const i of answers.keys()) {
    const answer = await client.send(head("HEAD", `/${i}`)).response({ toHead: true });
    lengths.push(answer.header("content-length"));
    assert.equal(answer.status, 200);
  }
  assert.deepEqual(lengths, ["1000", null, null, "0"]);
  assert.equal(edge.backend.connections.length, 1, "no body was waited for");
});

test("204 and 304 have no body, and the client's next request is answered right behind them", async () => {
  using client = await edge.connect();
  const answers = [
    "HTTP/1.1 204 No Content\r\n\r\n",
    'HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\netag: "x"\r\n\r\n',
    'HTTP/1.1 304 Not Modified\r\netag: "x"\r\n\r\n',
    "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
    response("body"),
  ];
  await edge.backend.answers((request) => answers[Number(request.target.slice(1))]!);
  const got: string[] = [];
  for (const i of answers.keys()) {
    const answer = await client.send(get(`/${i}`)).response();
    got.push(`${answer.status} ${answer.header("content-length")} ${answer.header("transfer-encoding")} ${answer.body}`);
  }
  // A 204 never has a length (RFC 9110 section 8.6); a 304 has that of the response it stands for.
  assert.deepEqual(got, ["204 null null ", "304 1000 null ", "304 null null ", "204 null null ", "200 4 null body"]);
});

test("status and reason are passed on as they are", async () => {
  using client = await edge.connect();
  await edge.backend.answers((request) => response("", [], decodeURIComponent(request.target.slice(1))));
  for (const status of ["299 Quite Fine", "404 Nicht da", "500 ", "599 x"]) {
    const answer = await client.send(get(`/${encodeURIComponent(status)}`)).response();
    assert.equal(answer.startLine, `HTTP/1.1 ${status}`);
  }
});

test("a request and a response that come byte by byte are put together", async () => {
  await edge.backend.answers((request, connection) => {
    void trickle(connection.socket, response(`got ${request.body}`, ["x-slow: yes"]));
    return null;
  });
  using client = await edge.connect();
  await trickle(client.socket, `${head("POST", "/", ["transfer-encoding: chunked"])}3\r\nabc\r\n0\r\n\r\n`);
  const answer = await client.response();
  assert.equal(answer.body, "got abc");
  assert.equal(answer.header("x-slow"), "yes");
});

test("the target in absolute form reaches the machine as a path, and OPTIONS * as it is", async () => {
  await edge.backend.answers((request) => response(`${request.target} ${request.header("host")}`));
  using client = await edge.connect();
  client.send("GET http://hello.localhost/a?b=c HTTP/1.1\r\nhost: hello.localhost\r\n\r\n");
  assert.equal((await client.response()).body, "/a?b=c hello.localhost");
  client.send(head("OPTIONS", "*"));
  assert.equal((await client.response()).body, "* hello.localhost");
});

for (const scheme of ["http", "https"] as const) {
  for (const framing of ["content-length", "chunked"] as const) {
    test(`5 MB pass unchanged both ways with ${framing} over ${scheme}`, async () => {
      await using backend = await startBackend((request, answer) => {
        const parts: Buffer[] = [];
        request.on("data", (chunk: Buffer) => parts.push(chunk));
        request.on("end", () => {
          answer.setHeader("x-request-sum", sum(parts));
          if (framing === "content-length") answer.setHeader("content-length", LARGE_BYTES);
          for (const part of parts) answer.write(part);
          answer.end();
        });
      });
      await using node = await startTestNode({ apps: { hello: staticApp("hello", backend.port) } });
      const options = { method: "POST", headers: { host: HOST } };
      const request =
        scheme === "http"
          ? httpRequest({ port: node.httpPort, ...options })
          : httpsRequest({ port: node.httpsPort, ca: rootOf(node), servername: HOST, ...options });
      if (framing === "content-length") request.setHeader("content-length", LARGE_BYTES);
      const sent = randomBytes(LARGE_BYTES);
      for (let at = 0; at < LARGE_BYTES; at += 100_000) request.write(sent.subarray(at, at + 100_000));
      request.end();
      const [answer] = (await once(request, "response")) as [IncomingMessage];
      const parts = (await answer.toArray()) as Buffer[];
      assert.equal(answer.headers["x-request-sum"], sum([sent]));
      assert.equal(sum(parts), sum([sent]));
      assert.equal(answer.headers["content-length"], framing === "chunked" ? undefined : String(LARGE_BYTES));
    });
  }
}

function sum(parts: readonly Buffer[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

async function trickle(socket: { write(text: string, encoding: "latin1"): boolean }, text: string): Promise<void> {
  for (const character of text) {
    socket.write(character, "latin1");
    await nextTurn();
  }
}
