// force_https: plain requests are sent to the same URL over HTTPS, on the port by which the client knows it.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { rootOf } from "../support/edge.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const machine = await ScriptedBackend.start();
const app = staticApp("hello", machine.port).replace("internal_port", "force_https = true\ninternal_port");
const node = await startTestNode({ apps: { hello: app } });
after(async () => {
  await machine[Symbol.asyncDispose]();
  await node[Symbol.asyncDispose]();
});

for (const [title, host, wanted] of [
  [
    "the port bound here, which is another one for HTTPS",
    `hello.localhost:${node.httpPort}`,
    `https://hello.localhost:${node.httpsPort}/x?y=1`,
  ],
  ["no port, as behind a port mapping", "hello.localhost", "https://hello.localhost/x?y=1"],
  ["the usual port", "hello.localhost:80", "https://hello.localhost/x?y=1"],
  ["some other port", "hello.localhost:4711", "https://hello.localhost/x?y=1"],
  ["capitals and a dot at its end", "HELLO.localhost.", "https://hello.localhost/x?y=1"],
] as const) {
  test(`a client that names ${title} is sent to ${wanted.replace(String(node.httpsPort), "<bound port>")}`, async () => {
    using client = await RawClient.connect(node.httpPort);
    const answer = await client.send(`GET /x?y=1 HTTP/1.1\r\nhost: ${host}\r\n\r\n`).response();
    assert.equal(answer.status, 301);
    assert.equal(answer.header("location"), wanted);
    assert.equal(answer.header("server"), "kittiwake");
    assert.ok(answer.header("fly-request-id"));
    assert.equal(answer.header("connection"), null, "the connection goes on");
    assert.equal(answer.body, "");
    assert.equal(machine.connections.length, 0);
  });
}

test("every method is redirected, and a body that nobody will read ends the connection", async () => {
  using client = await RawClient.connect(node.httpPort);
  for (const method of ["HEAD", "POST", "DELETE", "OPTIONS"]) {
    client.send(`${method} /x HTTP/1.1\r\nhost: hello.localhost\r\ncontent-length: 0\r\n\r\n`);
    assert.equal((await client.response({ toHead: method === "HEAD" })).header("location"), "https://hello.localhost/x");
  }
  client.send("POST /x HTTP/1.1\r\nhost: hello.localhost\r\ncontent-length: 5\r\n\r\nhello");
  const last = await client.response();
  assert.equal(last.status, 301);
  assert.equal(last.header("connection"), "close");
  await client.untilEnd();
});

test("a target that is a URL, or an asterisk, becomes part of the location", async () => {
  using client = await RawClient.connect(node.httpPort);
  client.send("GET http://hello.localhost/a%0d%0ab?c HTTP/1.1\r\nhost: hello.localhost\r\n\r\n");
  assert.equal((await client.response()).header("location"), "https://hello.localhost/a%0d%0ab?c");
  client.send("OPTIONS * HTTP/1.1\r\nhost: hello.localhost\r\n\r\n");
  assert.equal((await client.response()).header("location"), "https://hello.localhost/");
  client.send("GET //evil.example/x HTTP/1.1\r\nhost: hello.localhost\r\n\r\n");
  assert.equal((await client.response()).header("location"), "https://hello.localhost//evil.example/x");
});

test("over HTTPS the same request reaches the machine", async () => {
  await machine.answers(({ target }) => response(target));
  using client = await RawClient.connectTls(node.httpsPort, { ca: rootOf(node), servername: "hello.localhost" });
  const answer = await client.send("GET /x?y=1 HTTP/1.1\r\nhost: hello.localhost\r\n\r\n").response();
  assert.equal(answer.body, "/x?y=1");
});
