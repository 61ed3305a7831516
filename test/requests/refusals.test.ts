// What is refused, byte by byte: whatever could be read in two ways never reaches a machine, and the connection that it came on is closed.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { get, head, HOST, startEdge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { readMessage } from "../support/message.ts";

const edge = await startEdge();
after(() => edge[Symbol.asyncDispose]());

const HOST_LINE = `Host: ${HOST}`;
/** If it ever got through, the machine would see it as a request of its own. */
const BEHIND = get("/behind");

type Case = readonly [title: string, bytes: string, status: number, code: string];

/** A request head from its lines, with CRLF where the case does not say otherwise. */
function lines(...all: readonly string[]): string {
  return `${all.join("\r\n")}\r\n\r\n`;
}

const REQUEST_LINES: readonly Case[] = [
  ["a request line without a target", lines("GET HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a request line without a version", lines("GET /", HOST_LINE), 400, "bad_request_line"],
  ["two spaces before the target", lines("GET  / HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["two spaces behind the target", lines("GET /  HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a space in the target", lines("GET /a b HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a tab for a space", lines("GET\t/ HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a space behind the version", lines("GET / HTTP/1.1 ", HOST_LINE), 400, "bad_request_line"],
  ["a space before the method", lines(" GET / HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a fragment in the target", lines("GET /#x HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a NUL in the target", lines("GET /\0 HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a byte above 127 in the target", lines("GET /\xe9 HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a DEL in the target", lines("GET /\x7f HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a target that is neither path nor URL", lines("GET example HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a URL of another scheme", lines(`GET ftp://${HOST}/ HTTP/1.1`, HOST_LINE), 400, "bad_request_line"],
  ["an asterisk for anything but OPTIONS", lines("GET * HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a method with a character that is none of a token", lines("GE(T / HTTP/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a version in lower case", lines("GET / http/1.1", HOST_LINE), 400, "bad_request_line"],
  ["a version of three digits", lines("GET / HTTP/1.10", HOST_LINE), 400, "bad_request_line"],
  ["a bare line feed behind the request line", `GET / HTTP/1.1\n${HOST_LINE}\r\n\r\n`, 400, "bad_request_line"],
  ["a bare carriage return behind the request line", `GET / HTTP/1.1\r${HOST_LINE}\r\n\r\n`, 400, "bad_request_line"],
  ["two empty lines before the request line", `\r\n\r\n${get()}`, 400, "bad_request_line"],
  ["a TLS handshake on the plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request_line"],
  ["HTTP/0.9", "GET /\r\n\r\n", 400, "bad_request_line"],
  ["HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version_not_supported"],
  ["HTTP/1.2", lines("GET / HTTP/1.2", HOST_LINE), 505, "version_not_supported"],
  ["CONNECT", lines(`CONNECT ${HOST}:443 HTTP/1.1`, HOST_LINE), 405, "method_not_allowed"],
  ["TRACE", lines("TRACE / HTTP/1.1", HOST_LINE), 405, "method_not_allowed"],
  ["a target that is too long", lines(`GET /${"x".repeat(16_384)} HTTP/1.1`, HOST_LINE), 414, "target_too_long"],
  ["a target that does not end", `GET /${"x".repeat(40_000)}`, 414, "target_too_long"],
];

const FIELD_LINES: readonly Case[] = [
  ["a space before the colon", lines("GET / HTTP/1.1", HOST_LINE, "Content-Length : 5"), 400, "bad_header"],
  ["a tab before the colon", lines("GET / HTTP/1.1", HOST_LINE, "X-A\t: 5"), 400, "bad_header"],
  ["a folded line", lines("GET / HTTP/1.1", HOST_LINE, "X-A: 1", " 2"), 400, "bad_header"],
  ["a folded first line", lines("GET / HTTP/1.1", ` ${HOST_LINE}`), 400, "bad_header"],
  ["a line without a colon", lines("GET / HTTP/1.1", HOST_LINE, "X-A"), 400, "bad_header"],
  ["an empty name", lines("GET / HTTP/1.1", HOST_LINE, ": 5"), 400, "bad_header"],
  ["a name with a space", lines("GET / HTTP/1.1", HOST_LINE, "X A: 5"), 400, "bad_header"],
  ["a name with a byte above 127", lines("GET / HTTP/1.1", HOST_LINE, "X-\xe9: 5"), 400, "bad_header"],
  ["a name with brackets", lines("GET / HTTP/1.1", HOST_LINE, "X(A): 5"), 400, "bad_header"],
  ["a NUL in a value", lines("GET / HTTP/1.1", HOST_LINE, "X-A: a\0b"), 400, "bad_header"],
  ["a control byte in a value", lines("GET / HTTP/1.1", HOST_LINE, "X-A: a\x01b"), 400, "bad_header"],
  ["a DEL in a value", lines("GET / HTTP/1.1", HOST_LINE, "X-A: a\x7fb"), 400, "bad_header"],
  ["a bare carriage return in a value", lines("GET / HTTP/1.1", HOST_LINE, "X-A: a\rb"), 400, "bad_header"],
  ["a bare line feed in a value", lines("GET / HTTP/1.1", HOST_LINE, "X-A: a\nX-B: b"), 400, "bad_header"],
  ["a head that ends with bare line feeds", `GET / HTTP/1.1\r\n${HOST_LINE}\n\n`, 400, "bad_header"],
  ["a header that is too large", lines("GET / HTTP/1.1", HOST_LINE, `X-A: ${"a".repeat(40_000)}`), 431, "head_too_large"],
  ["too many headers", lines("GET / HTTP/1.1", HOST_LINE, ...Array.from({ length: 101 }, (_, i) => `X-${i}: a`)), 431, "head_too_large"],
  ["an expectation that is not 100-continue", lines("GET / HTTP/1.1", HOST_LINE, "Expect: 200-ok"), 417, "expectation_failed"],
];

const HOSTS: readonly Case[] = [
  ["no Host", lines("GET / HTTP/1.1"), 400, "bad_host"],
  ["an empty Host", lines("GET / HTTP/1.1", "Host:"), 400, "bad_host"],
  ["two Hosts", lines("GET / HTTP/1.1", HOST_LINE, HOST_LINE), 400, "bad_host"],
  ["two different Hosts", lines("GET / HTTP/1.1", HOST_LINE, "Host: other.localhost"), 400, "bad_host"],
  ["a list in Host", lines("GET / HTTP/1.1", `${HOST_LINE}, other.localhost`), 400, "bad_host"],
  ["user information in Host", lines("GET / HTTP/1.1", `Host: user@${HOST}`), 400, "bad_host"],
  ["a path in Host", lines("GET / HTTP/1.1", `${HOST_LINE}/x`), 400, "bad_host"],
  ["a port that is no number in Host", lines("GET / HTTP/1.1", `${HOST_LINE}:http`), 400, "bad_host"],
  ["a port that is too high in Host", lines("GET / HTTP/1.1", `${HOST_LINE}:65536`), 400, "bad_host"],
  ["a NUL in Host", lines("GET / HTTP/1.1", `${HOST_LINE}\0`), 400, "bad_header"],
  ["an empty label in Host", lines("GET / HTTP/1.1", "Host: hello..localhost"), 400, "bad_host"],
  ["a broken IPv6 address in Host", lines("GET / HTTP/1.1", "Host: [::1"), 400, "bad_host"],
  ["a target that names another host", lines("GET http://other.localhost/ HTTP/1.1", HOST_LINE), 400, "bad_host"],
  ["a target that names another port", lines(`GET http://${HOST}:81/ HTTP/1.1`, HOST_LINE), 400, "bad_host"],
  ["a target that names no host", lines("GET http:///x HTTP/1.1", HOST_LINE), 400, "bad_host"],
  ["a target with user information", lines(`GET http://user@${HOST}/ HTTP/1.1`, HOST_LINE), 400, "bad_host"],
];

const POST = ["POST / HTTP/1.1", HOST_LINE] as const;
const FRAMINGS: readonly Case[] = [
  ["a length and chunked", lines(...POST, "Content-Length: 5", "Transfer-Encoding: chunked"), 400, "bad_framing"],
  ["chunked and a length", lines(...POST, "Transfer-Encoding: chunked", "Content-Length: 5"), 400, "bad_framing"],
  ["two different lengths", lines(...POST, "Content-Length: 5", "Content-Length: 6"), 400, "bad_framing"],
  ["the same length twice", lines(...POST, "Content-Length: 5", "Content-Length: 5"), 400, "bad_framing"],
  ["a list of lengths", lines(...POST, "Content-Length: 5, 5"), 400, "bad_framing"],
  ["an empty length", lines(...POST, "Content-Length:"), 400, "bad_framing"],
  ["a negative length", lines(...POST, "Content-Length: -5"), 400, "bad_framing"],
  ["a length with a sign", lines(...POST, "Content-Length: +5"), 400, "bad_framing"],
  ["a hexadecimal length", lines(...POST, "Content-Length: 0x5"), 400, "bad_framing"],
  ["a length with a fraction", lines(...POST, "Content-Length: 5.0"), 400, "bad_framing"],
  ["a length with a space in it", lines(...POST, "Content-Length: 1 2"), 400, "bad_framing"],
  ["a length beyond all numbers", lines(...POST, `Content-Length: ${"9".repeat(30)}`), 400, "bad_framing"],
  ["gzip before chunked", lines(...POST, "Transfer-Encoding: gzip, chunked"), 400, "bad_framing"],
  ["chunked before gzip", lines(...POST, "Transfer-Encoding: chunked, gzip"), 400, "bad_framing"],
  ["chunked twice", lines(...POST, "Transfer-Encoding: chunked, chunked"), 400, "bad_framing"],
  ["two fields with chunked", lines(...POST, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400, "bad_framing"],
  ["identity", lines(...POST, "Transfer-Encoding: identity"), 400, "bad_framing"],
  ["identity hidden behind chunked", lines(...POST, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"), 400, "bad_framing"],
  ["an unknown coding", lines(...POST, "Transfer-Encoding: xchunked"), 400, "bad_framing"],
  ["chunked with a parameter", lines(...POST, "Transfer-Encoding: chunked;a=b"), 400, "bad_framing"],
  ["chunked in quotes", lines(...POST, 'Transfer-Encoding: "chunked"'), 400, "bad_framing"],
  ["chunked behind a vertical tab", lines(...POST, "Transfer-Encoding: \x0bchunked"), 400, "bad_header"],
  ["an empty coding", lines(...POST, "Transfer-Encoding:"), 400, "bad_framing"],
  ["chunked in HTTP/1.0", lines("POST / HTTP/1.0", HOST_LINE, "Transfer-Encoding: chunked"), 400, "bad_framing"],
];

for (const [name, cases] of Object.entries({ REQUEST_LINES, FIELD_LINES, HOSTS, FRAMINGS })) {
  describe(`refused in a head, ${name.toLowerCase().replaceAll("_", " ")}:`, () => {
    for (const [title, bytes, status, code] of cases) {
      test(title, async () => {
        await edge.backend.answers(() => null);
        const received = await edge.exchange(bytes + BEHIND);
        assertRefused(received, status, code);
        assert.equal(edge.backend.connections.length, 0, "nothing reaches the machine");
        assert.equal(edge.inFlight, 0);
      });
    }
  });
}

const CHUNKS: readonly (readonly [title: string, body: string])[] = [
  ["a size that is no number", "x\r\nhello\r\n0\r\n\r\n"],
  ["no size", "\r\nhello\r\n0\r\n\r\n"],
  ["a size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n"],
  ["a negative size", "-5\r\nhello\r\n0\r\n\r\n"],
  ["a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"],
  ["a size with an underscore", "1_0\r\n0123456789abcdef\r\n0\r\n\r\n"],
  ["a size with a space behind it", "5 \r\nhello\r\n0\r\n\r\n"],
  ["a size with a space before it", " 5\r\nhello\r\n0\r\n\r\n"],
  ["a size beyond all numbers", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"],
  ["a size padded with many zeros", `${"0".repeat(40)}5\r\nhello\r\n0\r\n\r\n`],
  ["a size that ends with a bare line feed", "5\nhello\r\n0\r\n\r\n"],
  ["a size that ends with a bare carriage return", "5\rhello\r\n0\r\n\r\n"],
  ["a chunk that is longer than its size", "4\r\nhello\r\n0\r\n\r\n"],
  ["a chunk that ends with a bare line feed", "5\r\nhello\n0\r\n\r\n"],
  ["a chunk that ends with two carriage returns", "5\r\nhello\r\r0\r\n\r\n"],
  ["an extension with a bare line feed", "5;a\nb\r\nhello\r\n0\r\n\r\n"],
  ["an extension with a control byte", '5;a="\x01"\r\nhello\r\n0\r\n\r\n'],
  ["an extension without a name", "5;\r\nhello\r\n0\r\n\r\n"],
  ["extensions that do not end", `5;a=${"b".repeat(5000)}\r\nhello\r\n0\r\n\r\n`],
  ["a last chunk that ends with a bare line feed", "0\n\r\n"],
  ["a trailer with a space before the colon", "0\r\nx-a : 1\r\n\r\n"],
  ["a trailer that is folded", "0\r\nx-a: 1\r\n 2\r\n\r\n"],
  ["a trailer with a bare line feed", "0\r\nx-a: 1\nx-b: 2\r\n\r\n"],
  ["a trailer without a name", "0\r\n: 1\r\n\r\n"],
];

describe("refused in a chunked body:", () => {
  for (const [title, body] of CHUNKS) {
    test(title, async () => {
      await edge.backend.answers(() => null);
      const received = await edge.exchange(head("POST", "/", ["transfer-encoding: chunked"]) + body + BEHIND);
      assertRefused(received, 400, "bad_framing");
      await eventually(() => edge.backend.open === 0, "the machine's connection to be closed");
      assert.equal(edge.backend.requests.length, 0, "the machine never sees the end of the request, nor what is behind it");
      await edge.untilReleased();
    });
  }
});

test("an unknown host gets 404, and the connection goes on", async () => {
  using client = await edge.connect();
  client.send("GET / HTTP/1.1\r\nhost: nobody.localhost\r\n\r\n");
  const answer = await client.response();
  assert.equal(answer.status, 404);
  assert.equal(answer.header("kittiwake-error"), "unknown_host");
  assert.equal(answer.header("connection"), null);
  await edge.backend.answers(() => "HTTP/1.1 204 No Content\r\n\r\n");
  assert.equal((await client.send(get()).response()).status, 204);
});

test("an unknown host gets 404 before its body is read, and the connection is closed", async () => {
  await edge.backend.answers(() => null);
  const received = await edge.exchange(`POST / HTTP/1.1\r\nhost: nobody.localhost\r\ncontent-length: ${BEHIND.length}\r\n\r\n${BEHIND}`);
  assertRefused(received, 404, "unknown_host");
  assert.equal(edge.backend.connections.length, 0);
});

test("a host name is known in any case and with a dot at its end", async () => {
  await edge.backend.answers((request) => `HTTP/1.1 204 ${request.header("host")}\r\n\r\n`);
  using client = await edge.connect();
  for (const name of ["HELLO.LocalHost", "hello.localhost.", "hello.localhost:80", "hello.localhost:"]) {
    const answer = await client.send(`GET / HTTP/1.1\r\nhost: ${name}\r\n\r\n`).response();
    assert.equal(answer.status, 204, name);
  }
});

test("one empty line before a request is forgiven", async () => {
  await edge.backend.answers(() => "HTTP/1.1 204 No Content\r\n\r\n");
  using client = await edge.connect();
  assert.equal((await client.send(`\r\n${get()}`).response()).status, 204);
  assert.equal((await client.send(`\r\n${get()}`).response()).status, 204);
});

test("a refusal of a HEAD request has no body", async () => {
  using client = await edge.connect();
  client.send("HEAD / HTTP/1.1\r\nhost: nobody.localhost\r\n\r\n");
  const answer = await client.response({ toHead: true });
  assert.equal(answer.status, 404);
  assert.notEqual(answer.header("content-length"), "0");
  client.send("GET / HTTP/1.1\r\nhost: nobody.localhost\r\n\r\n");
  assert.equal((await client.response()).status, 404);
});

/** One whole response with the code, then the end of the connection. */
function assertRefused(received: string, status: number, code: string): void {
  const answer = readMessage(received, { type: "response" });
  assert.ok(answer !== null, received);
  assert.equal(answer.status, status, received);
  assert.equal(answer.header("kittiwake-error"), code);
  assert.equal(answer.header("connection"), "close");
  assert.equal(answer.header("server"), "kittiwake");
  assert.match(answer.header("fly-request-id")!, /^[0-9A-HJKMNP-TV-Z]{26}-ams$/);
  assert.match(answer.body, new RegExp(`^${status} ${code}: `));
  assert.equal(received, answer.raw, "nothing comes behind it");
}
