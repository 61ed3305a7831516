// Errors in the shape that the client asks for, and the app's own pages for browsers.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { get, startEdge } from "../support/edge.ts";
import { Http2Client } from "../support/http2-client.ts";
import type { Message } from "../support/message.ts";

const BROWSER = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const API = "Accept: application/json";
const PAGE = `<!doctype html><meta charset="utf-8"><title>{{status}}</title>\u00dcberlast \u2603 {{ code }} {{request_id}} {{other}} {{code}}`;

const dir = mkdtempSync(join(tmpdir(), "kittiwake-pages-"));
mkdirSync(join(dir, "apps"));
writePage("502.html", PAGE);
writePage("server.html", "class {{status}}");
const edge = await startEdge({
  dir,
  tables: "[limits]\nattempts = 1",
  apps: {
    paged: `${staticApp("paged", 1)}
[kittiwake.error_pages]
502 = "502.html"
5xx = "server.html"
`,
    // Nobody starts a machine of it.
    empty: `app = "empty"
[processes]
app = "true"
[http_service]
auto_start_machines = false
auto_stop_machines = "stop"
[kittiwake.error_pages]
502 = "502.html"
5xx = "server.html"
`,
  },
});
after(async () => {
  await edge[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

function writePage(name: string, text: string): void {
  writeFileSync(join(dir, "apps", name), text);
}

/** The edge's answer for a host, over a connection of its own. */
async function refused(host: string, lines: readonly string[], method = "GET"): Promise<Message> {
  using client = await edge.connect();
  client.send(`${method} / HTTP/1.1\r\nhost: ${host}.localhost\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`);
  return await client.response({ toHead: method === "HEAD" });
}

/** Bodies come as one character a byte. */
function utf8(body: string): string {
  return Buffer.from(body, "latin1").toString();
}

test("whoever says nothing gets plain text with status, code, what to do and the request id", async () => {
  const answer = await refused("nobody", []);
  assert.equal(answer.header("content-type"), "text/plain; charset=utf-8");
  const id = answer.header("fly-request-id");
  assert.equal(answer.body, `404 unknown_host: no app declares this host name\nCheck the address for a typing error.\nrequest id: ${id}\n`);
});

test("an API client gets JSON", async () => {
  const answer = await refused("nobody", [API]);
  assert.equal(answer.header("content-type"), "application/json");
  assert.deepEqual(JSON.parse(answer.body), {
    error: "no app declares this host name",
    code: "unknown_host",
    status: 404,
    advice: "Check the address for a typing error.",
    request_id: answer.header("fly-request-id"),
  });
});

test("a browser gets a page that loads nothing and lets nothing run", async () => {
  const answer = await refused("nobody", [BROWSER]);
  assert.equal(answer.header("content-type"), "text/html; charset=utf-8");
  assert.match(answer.body, /^<!doctype html>/);
  for (const part of ["404 Not Found", "unknown_host", "Check the address for a typing error.", answer.header("fly-request-id")!]) {
    assert.ok(answer.body.includes(part), part);
  }
  assert.doesNotMatch(answer.body, /src=|href=|url\(|<script|https?:/i);
  assert.match(
    answer.header("content-security-policy")!,
    /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
  );
});

test("every shape has the code, the id and the rules for caches and guessers in its head", async () => {
  for (const accept of [[], [API], [BROWSER]]) {
    const answer = await refused("nobody", accept);
    assert.equal(answer.header("kittiwake-error"), "unknown_host");
    assert.match(answer.header("fly-request-id")!, /^[0-9A-Z]{26}-ams$/);
    assert.equal(answer.header("cache-control"), "no-store");
    assert.equal(answer.header("x-content-type-options"), "nosniff");
    assert.equal(answer.framing, "length");
  }
});

test("HEAD gets the head of what GET would get, length and all, and no body", async () => {
  for (const [host, accept] of [
    ["nobody", []],
    ["nobody", [API]],
    ["nobody", [BROWSER]],
    ["paged", [BROWSER]],
  ] as const) {
    const [toGet, toHead] = [await refused(host, accept), await refused(host, accept, "HEAD")];
    assert.equal(toHead.body, "");
    for (const name of ["content-length", "content-type", "kittiwake-error"]) assert.equal(toHead.header(name), toGet.header(name));
  }
});

test("what the client sent is in no shape", async () => {
  for (const accept of [[], [API], [BROWSER]]) {
    using client = await edge.connect();
    client.send(`GET /<script>alert(1)</script> HTTP/1.1\r\nhost: nobody.localhost\r\nuser-agent: <b>\r\n${accept.join("")}\r\n\r\n`);
    // Without an Accept there is an empty line too many, which is forgiven before the next request.
    const answer = await client.response();
    assert.equal(answer.status, 404);
    assert.doesNotMatch(answer.body, /alert|<b>/);
  }
});

test("a request that could not be read gets plain text, whatever it wanted", async () => {
  const received = await edge.exchange(`GET / HTTP/1.1\r\nhost: hello.localhost\r\n${BROWSER}\r\nbad header: x\r\n\r\n`);
  assert.match(received, /^HTTP\/1\.1 400 [^]*\r\ncontent-type: text\/plain; charset=utf-8\r\n/);
});

test("retry-after is in every shape", async () => {
  for (const accept of [[], [API], [BROWSER]]) {
    const answer = await refused("empty", accept);
    assert.deepEqual([answer.status, answer.header("retry-after")], [503, "5"]);
  }
});

test("an app's own page is for its status, filled in, as the bytes that it was written in", async () => {
  const answer = await refused("paged", [BROWSER]);
  assert.equal(answer.status, 502);
  assert.equal(answer.header("content-type"), "text/html; charset=utf-8");
  assert.equal(answer.header("kittiwake-error"), "connect_refused");
  assert.equal(answer.header("content-security-policy"), null);
  const id = answer.header("fly-request-id")!;
  const expected = PAGE.replace("{{status}}", "502")
    .replaceAll(/\{\{ ?code ?\}\}/g, "connect_refused")
    .replace("{{request_id}}", id);
  assert.equal(utf8(answer.body), expected);
});

test("the page of a class is for its other statuses", async () => {
  assert.equal((await refused("empty", [BROWSER])).body, "class 503");
});

test("programs get no pages", async () => {
  assert.equal(JSON.parse((await refused("paged", [API])).body).code, "connect_refused");
  assert.match((await refused("paged", [])).body, /^502 connect_refused: /);
});

test("an app without pages has the edge's own, and one that answers with an error itself is left alone", async () => {
  await edge.backend.answers(({ target }) => (target === "/" ? "x\r\n\r\n" : "HTTP/1.1 502 Own\r\ncontent-length: 3\r\n\r\nown"));
  using client = await edge.connect();
  assert.match((await client.send(get("/", [BROWSER])).response()).body, /bad_response/);
  assert.equal((await client.send(get("/own", [BROWSER])).response()).body, "own");
});

test("over HTTP/2 the shapes are the same, and HEAD has the length without the body", async () => {
  await edge.backend.answers(() => "x\r\n\r\n");
  using client = await Http2Client.connect(edge.test);
  for (const [accept, type] of [
    ["text/html", "text/html; charset=utf-8"],
    ["application/json", "application/json"],
    ["*/*", "text/plain; charset=utf-8"],
  ] as const) {
    const { status, headers, body } = await client.get("/", { accept });
    assert.deepEqual([status, headers["content-type"], headers["kittiwake-error"]], [502, type, "bad_response"]);
    assert.ok(body.includes("bad_response") && body.includes(String(headers["fly-request-id"])));
    const toHead = await client.get("/", { accept, ":method": "HEAD" });
    assert.deepEqual([toHead.body, toHead.headers["content-length"]], ["", headers["content-length"]]);
  }
});

test("a reload brings a changed page into force, and one with a broken page leaves all as it was", async () => {
  const { control } = edge.test.node;
  writePage("502.html", "changed {{status}}");
  assert.deepEqual((await control.reload()).changed.toSorted(), ["empty", "paged"]);
  const body = async (): Promise<string> => (await refused("paged", [BROWSER])).body;
  await eventually(async () => (await body()) === "changed 502", "the new page");
  writePage("502.html", "x".repeat(65_537));
  const { applied, messages } = await control.reload();
  assert.equal(applied, false);
  assert.ok(
    messages.some((message) => message.endsWith('kittiwake.error_pages.502: expected at most 65536 bytes, got 65537: "502.html"')),
    messages.join("\n"),
  );
  assert.equal(await body(), "changed 502");
});
