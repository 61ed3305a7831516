// What `http_options.response` makes of an app's responses (reference section 2.6), on a port of its own each.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { get, head, HOST, startEdge, type Edge } from "../support/edge.ts";
import { Http2Client } from "../support/http2-client.ts";
import type { Message } from "../support/message.ts";
import { response } from "../support/scripted-backend.ts";

const edited = await startEdge({
  edit: (text) => `${text}
[http_service.http_options.response.headers]
X-Set = "by the edge"
X-Several = ["one", "two"]
X-Gone = false
X-Latin = "\u00e4"
Server = "mine"
Fly-Request-Id = false
`,
});
const pristine = await startEdge({ edit: (text) => `${text}\n[http_service.http_options.response]\npristine = true\n` });
after(() => Promise.all([edited[Symbol.asyncDispose](), pristine[Symbol.asyncDispose]()]));

/** What the client gets when the machine answers with these lines. */
async function passed(edge: Edge, lines: readonly string[], status = "200 OK"): Promise<Message> {
  await edge.backend.answers(() => response("body", lines, status));
  using client = await edge.connect();
  return await client.send(get()).response();
}

test("a header is set, whether or not the machine sent it, in whichever spelling", async () => {
  for (const lines of [[], ["X-Set: by the machine"], ["x-set: one", "X-SET: two"]]) {
    assert.deepEqual((await passed(edited, lines)).all("x-set"), ["by the edge"]);
  }
});

test("a header with several values comes several times, and in place of the machine's", async () => {
  assert.deepEqual((await passed(edited, ["x-several: three"])).all("x-several"), ["one", "two"]);
});

test("a header that is false is removed, also one that is the edge's own", async () => {
  const answer = await passed(edited, ["X-Gone: 1", "x-gone: 2", "Fly-Request-Id: forged", "X-Kept: yes"]);
  assert.deepEqual(answer.all("x-gone"), []);
  assert.deepEqual(answer.all("fly-request-id"), []);
  assert.equal(answer.header("x-kept"), "yes");
});

test("a header of the edge's own can be set", async () => {
  assert.equal((await passed(edited, ["Server: nginx"])).header("server"), "mine");
});

test("bytes above ASCII leave as they are in the file", async () => {
  assert.equal((await passed(edited, [])).header("x-latin"), "\u00e4");
});

test("all else is as without options: the hop, a Date, cookies, and nothing that Connection names", async () => {
  const lines = ["Via: 1.1 varnish", "Via: 1.0 other", "Set-Cookie: a=1", "Set-Cookie: b=2", "Connection: X-Secret", "X-Secret: hidden"];
  const answer = await passed(edited, lines, "404 Nothing Here");
  assert.equal(answer.startLine, "HTTP/1.1 404 Nothing Here");
  assert.equal(answer.header("via"), "1.1 varnish, 1.0 other, 1.1 kittiwake");
  assert.deepEqual(answer.all("set-cookie"), ["a=1", "b=2"]);
  assert.equal(answer.header("content-length"), "4");
  assert.ok(Math.abs(Date.parse(answer.header("date") ?? "") - Date.now()) < 5000);
  assert.equal(answer.raw.includes("hidden"), false);
});

test("a header that Connection names is set all the same", async () => {
  assert.equal((await passed(edited, ["Connection: x-set", "X-Set: by the machine"])).header("x-set"), "by the edge");
});

test("a response without a body keeps its framing: HEAD, 204 and 304", async () => {
  await edited.backend.answers(({ method, target }) =>
    method === "HEAD" ? "HTTP/1.1 200 OK\r\ncontent-length: 123\r\n\r\n" : `HTTP/1.1 ${target.slice(1)} Empty\r\n\r\n`,
  );
  using client = await edited.connect();
  const toHead = await client.send(head("HEAD")).response({ toHead: true });
  assert.equal(toHead.header("content-length"), "123");
  assert.equal(toHead.header("x-set"), "by the edge");
  for (const status of ["204", "304"]) {
    const answer = await client.send(get(`/${status}`)).response();
    assert.equal(answer.raw.includes("content-length"), false, answer.raw);
    assert.equal(answer.header("x-set"), "by the edge");
  }
});

test("a chunked response and a tunnel have the headers too", async () => {
  await edited.backend.answers(({ target }, machine) => {
    if (target === "/chunked") return "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    machine.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello");
    return null;
  });
  using client = await edited.connect();
  const chunked = await client.send(get("/chunked")).response();
  assert.deepEqual([chunked.body, chunked.framing, chunked.header("x-set")], ["hello", "chunked", "by the edge"]);
  client.send(get("/tunnel", ["connection: upgrade", "upgrade: echo"]));
  const received = await client.until((text) => text.endsWith("\r\n\r\nhello"));
  assert.match(received, /\r\nx-set: by the edge\r\n/);
  assert.match(received, /\r\nconnection: upgrade\r\nupgrade: echo\r\n/);
});

test("what the edge answers by itself has its own headers", async () => {
  await edited.backend.answers(() => "nonsense\r\n\r\n");
  using client = await edited.connect();
  const answer = await client.send(get()).response();
  assert.deepEqual([answer.status, answer.header("server"), answer.header("x-set")], [502, "kittiwake", null]);
  assert.notEqual(answer.header("fly-request-id"), null);
});

test("a pristine response keeps the machine's Server, Via, Fly-Request-Id and Fly-Cache-Status, and gets none", async () => {
  const own = ["Server: nginx/9", "Via: 1.1 varnish", "Via: 1.0 other", "Fly-Request-Id: theirs", "Fly-Cache-Status: HIT"];
  const kept = await passed(pristine, own);
  assert.equal(kept.header("server"), "nginx/9");
  assert.deepEqual(kept.all("via"), ["1.1 varnish", "1.0 other"]);
  assert.equal(kept.header("fly-request-id"), "theirs");
  assert.equal(kept.header("fly-cache-status"), "HIT");
  const bare = await passed(pristine, []);
  assert.deepEqual(
    bare.fields.map(([name]) => name),
    ["content-length", "date"],
  );
});

test("a pristine response loses its hop-by-hop fields all the same", async () => {
  const answer = await passed(pristine, [
    "Connection: keep-alive",
    "Keep-Alive: timeout=hidden",
    "Proxy-Authenticate: hidden",
    "TE: hidden",
  ]);
  assert.equal(answer.raw.includes("hidden"), false, answer.raw);
});

test("the machine still gets the request's id of a pristine service", async () => {
  await passed(pristine, []);
  assert.match(pristine.backend.requests[0]!.header("fly-request-id") ?? "", /^[0-9A-Z]{26}-ams$/);
  assert.equal(pristine.backend.requests[0]!.header("host"), HOST);
});

test("over HTTP/2 the headers are the same", async () => {
  const own = [
    "Server: nginx/9",
    "Via: 1.1 varnish",
    "Fly-Request-Id: theirs",
    "X-Gone: 1",
    "X-Set: 2",
    "Connection: X-Secret",
    "X-Secret: 3",
  ];
  for (const { backend } of [edited, pristine]) await backend.answers(() => response("body", own));
  using toEdited = await Http2Client.connect(edited.test);
  const { headers } = await toEdited.get("/");
  assert.deepEqual(
    ["x-set", "x-several", "x-gone", "server", "via", "fly-request-id", "x-secret", "content-length"].map((name) => headers[name]),
    ["by the edge", "one, two", undefined, "mine", "1.1 varnish, 1.1 kittiwake", undefined, undefined, "4"],
  );
  using toPristine = await Http2Client.connect(pristine.test);
  const { headers: kept } = await toPristine.get("/");
  assert.deepEqual(
    ["server", "via", "fly-request-id", "x-secret"].map((name) => kept[name]),
    ["nginx/9", "1.1 varnish", "theirs", undefined],
  );
});

test("a reload brings other headers into force, also for a connection that stands", async () => {
  using client = await pristine.connect();
  await pristine.backend.answers(() => response(""));
  assert.equal((await client.send(get()).response()).header("server"), null);
  const { test: node, backend } = pristine;
  const text = staticApp("hello", backend.port);
  node.writeApp("hello", `${text}\n[http_service.http_options.response]\nheaders = { server = "other" }\n`);
  assert.deepEqual((await node.node.control.reload()).changed, ["hello"]);
  const server = async (): Promise<string | null> => (await client.send(get()).response()).header("server");
  await eventually(async () => (await server()) === "other", "the new header");
});
