// What a response decoder accepts and how it reads it, and what it refuses: as strict as for requests, so that a machine cannot split a
// response or leave bytes for the next client. One message a case, in one piece and cut at every position.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { cuts, latin1, readResponse, type ReadResponse, type ReadResponseOptions, type Responses } from "./readers.ts";

interface Case extends ReadResponseOptions {
  readonly title: string;
  readonly bytes: string;
  /** What matters of the final response, which must be complete unless said otherwise. */
  readonly final?: Partial<ReadResponse>;
  readonly interim?: readonly Partial<ReadResponse>[];
  readonly leftover?: string;
}

const ok = (...lines: string[]): string => `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
const status = (line: string, ...lines: string[]): string => `${line}\r\n${lines.map((one) => `${one}\r\n`).join("")}\r\n`;
const chunked = (body: string): string => ok("Transfer-Encoding: chunked") + body;
const EMPTY = "Content-Length: 0";

const statusLines: Case[] = [
  {
    title: "version, status and reason (RFC 9112 4)",
    bytes: ok(EMPTY),
    final: { version: 11, status: 200, reason: "OK", keepAlive: true },
  },
  { title: "a reason of several words", bytes: status("HTTP/1.1 404 Not Found", EMPTY), final: { status: 404, reason: "Not Found" } },
  { title: "a reason may be empty (RFC 9112 4)", bytes: status("HTTP/1.1 200 ", EMPTY), final: { reason: "" } },
  { title: "the space before an empty reason is often left out", bytes: status("HTTP/1.1 200", EMPTY), final: { status: 200, reason: "" } },
  { title: "a reason may hold bytes above ASCII", bytes: status("HTTP/1.1 200 \xe9\t!", EMPTY), final: { reason: "\xe9\t!" } },
  { title: "the highest status", bytes: status("HTTP/1.1 599 x", EMPTY), final: { status: 599 } },
  { title: "HTTP/1.0", bytes: status("HTTP/1.0 200 OK", EMPTY), final: { version: 10, keepAlive: false } },
  { title: "HTTP/1.0 with keep-alive", bytes: status("HTTP/1.0 200 OK", "Connection: keep-alive", EMPTY), final: { keepAlive: true } },
  { title: "close", bytes: ok("Connection: close", EMPTY), final: { keepAlive: false } },
  { title: "names in Connection are told", bytes: ok("Connection: X-Hop", EMPTY), final: { connectionNames: ["x-hop"] } },
];

const bodies: Case[] = [
  {
    title: "a length (RFC 9112 6.3)",
    bytes: `${ok("Content-Length: 5")}hello`,
    final: { body: "length", data: "hello", hasContentLength: true },
  },
  { title: "no byte of what follows a length", bytes: `${ok("Content-Length: 2")}hello`, final: { data: "he" }, leftover: "llo" },
  { title: "a length of nothing", bytes: `${ok(EMPTY)}x`, final: { body: "none", hasContentLength: true }, leftover: "x" },
  {
    title: "chunks",
    bytes: `${chunked("5;a=b\r\nhello\r\n0\r\nT: v\r\n\r\n")}HTTP`,
    final: { body: "chunked", data: "hello" },
    leftover: "HTTP",
  },
  {
    title: "until the connection closes",
    bytes: `${ok()}hello\r\n`,
    closes: true,
    final: { body: "until_close", data: "hello\r\n", keepAlive: false },
  },
  { title: "nothing until the connection closes", bytes: ok(), closes: true, final: { body: "until_close", data: "" } },
  {
    title: "until the connection closes, in HTTP/1.0",
    bytes: `${status("HTTP/1.0 200 OK")}x`,
    closes: true,
    final: { body: "until_close", data: "x" },
  },
  { title: "a body without an end goes on", bytes: `${ok()}hello`, final: { data: "hello", isComplete: false } },
  {
    title: "HEAD has a length but no body (RFC 9110 9.3.2)",
    bytes: `${ok("Content-Length: 5")}x`,
    isHead: true,
    final: { body: "none", contentLength: 5, hasContentLength: true },
    leftover: "x",
  },
  {
    title: "HEAD has a coding but no body",
    bytes: `${ok("Transfer-Encoding: chunked")}x`,
    isHead: true,
    final: { body: "none" },
    leftover: "x",
  },
  {
    title: "HEAD without a length leaves the connection open",
    bytes: ok(),
    isHead: true,
    final: { body: "none", keepAlive: true, hasContentLength: false },
  },
  {
    title: "204 has no body (RFC 9110 15.3.5)",
    bytes: `${status("HTTP/1.1 204 No Content", "Content-Length: 5")}x`,
    final: { body: "none", keepAlive: true },
    leftover: "x",
  },
  {
    title: "204 has no chunks either",
    bytes: `${status("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked")}0`,
    final: { body: "none" },
    leftover: "0",
  },
  {
    title: "304 has the length of what it stands for (RFC 9110 15.4.5)",
    bytes: `${status("HTTP/1.1 304 Not Modified", "Content-Length: 5")}x`,
    final: { body: "none", contentLength: 5 },
    leftover: "x",
  },
  { title: "a second response belongs to nobody", bytes: ok(EMPTY) + ok(EMPTY), final: {}, leftover: ok(EMPTY) },
];

const interims: Case[] = [
  {
    title: "100 comes before the response (RFC 9110 15.2)",
    bytes: status("HTTP/1.1 100 Continue") + ok(EMPTY),
    interim: [{ status: 100 }],
    final: { status: 200 },
  },
  {
    title: "several, with fields",
    bytes: status("HTTP/1.1 103 Early Hints", "Link: </a>") + status("HTTP/1.1 102 x", "A: b") + ok(EMPTY),
    interim: [
      { status: 103, fields: [["link", "</a>"]] },
      { status: 102, fields: [["a", "b"]] },
    ],
    final: { status: 200, fields: [["content-length", "0"]] },
  },
  {
    title: "an interim response has no body whatever it says",
    bytes: status("HTTP/1.1 103 x", "Content-Length: 5") + ok(EMPTY),
    interim: [{ status: 103, body: "none" }],
    final: { contentLength: 0 },
  },
  {
    title: "sixteen of them",
    bytes: status("HTTP/1.1 150 x").repeat(16) + ok(EMPTY),
    interim: Array.from({ length: 16 }, () => ({ status: 150 })),
    final: {},
  },
  {
    title: "101 ends HTTP (RFC 9110 15.2.2)",
    bytes: `${status("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: WebSocket")}\x81\0`,
    final: { status: 101, upgrade: "websocket", body: "none" },
    leftover: "\x81\0",
  },
  {
    title: "101 may come behind 100",
    bytes: status("HTTP/1.1 100 x") + status("HTTP/1.1 101 x", "connection: upgrade", "upgrade: a"),
    interim: [{ status: 100 }],
    final: { status: 101, upgrade: "a" },
  },
];

for (const [group, cases] of Object.entries({ statusLines, bodies, interims })) {
  describe(`accepted: ${group}`, () => {
    for (const { title, bytes, final = null, interim = [], leftover = "", ...options } of cases) {
      test(title, () => {
        const whole = readResponse([latin1(bytes)], options);
        assert.equal(whole.error, null);
        assert.equal(whole.leftover, leftover);
        assertMatches(whole.final, final === null ? null : { isComplete: true, ...final });
        assert.equal(whole.interim.length, interim.length);
        for (const [index, expected] of interim.entries()) assertMatches(whole.interim[index]!, expected);
        for (const pieces of cuts(latin1(bytes))) assert.deepEqual(readResponse(pieces, options), whole);
      });
    }
  });
}

const malformed: readonly (readonly [title: string, bytes: string])[] = [
  ["an empty line before the response (RFC 9112 2.2)", `\r\n${ok(EMPTY)}`],
  ["junk", "SSH-2.0-OpenSSH\r\n\r\n"],
  ["HTTP/2.0", status("HTTP/2.0 200 OK", EMPTY)],
  ["HTTP/1.2", status("HTTP/1.2 200 OK", EMPTY)],
  ["http in lower case", status("http/1.1 200 OK", EMPTY)],
  ["ICY", status("ICY 200 OK", EMPTY)],
  ["two spaces before the status (RFC 9112 4)", status("HTTP/1.1  200 OK", EMPTY)],
  ["a tab before the status", status("HTTP/1.1\t200 OK", EMPTY)],
  ["no status", status("HTTP/1.1 OK", EMPTY)],
  ["a status of two digits", status("HTTP/1.1 20 OK", EMPTY)],
  ["a status of four digits", status("HTTP/1.1 2000 OK", EMPTY)],
  ["a status that is no number", status("HTTP/1.1 2x0 OK", EMPTY)],
  ["a status with a sign", status("HTTP/1.1 +20 OK", EMPTY)],
  ["a status below 100", status("HTTP/1.1 099 OK", EMPTY)],
  ["a status above 599 (RFC 9110 15)", status("HTTP/1.1 600 OK", EMPTY)],
  ["a tab behind the status", status("HTTP/1.1 200\tOK", EMPTY)],
  ["NUL in the reason", status("HTTP/1.1 200 O\0K", EMPTY)],
  ["a bare carriage return in the reason", status("HTTP/1.1 200 O\rK", EMPTY)],
  ["a bare line feed behind the status line", `HTTP/1.1 200 OK\n${EMPTY}\r\n\r\n`],
  ["only bare line feeds", `HTTP/1.1 200 OK\n${EMPTY}\n\n`],
  ["white space before a colon (RFC 9112 5.1)", ok("A : b", EMPTY)],
  ["a folded line (RFC 9112 5.2)", ok("A: b", " c", EMPTY)],
  ["an empty name", ok(": b", EMPTY)],
  ["NUL in a value", ok("A: \0", EMPTY)],
  ["a bare carriage return in a value", ok("A: b\rc", EMPTY)],
  ["a bare line feed in a field", ok("A: b\nC: d", EMPTY)],
  ["a coding and a length (RFC 9112 6.3)", `${ok("Transfer-Encoding: chunked", "Content-Length: 5")}0\r\n\r\n`],
  ["two lengths that differ", `${ok("Content-Length: 5", "Content-Length: 6")}hello`],
  ["two lengths that agree", `${ok("Content-Length: 5", "Content-Length: 5")}hello`],
  ["a list of lengths", `${ok("Content-Length: 5,5")}hello`],
  ["a length that is no number", `${ok("Content-Length: 5x")}hello`],
  ["an empty length", ok("Content-Length: ")],
  ["another coding", `${ok("Transfer-Encoding: gzip")}x`],
  ["a coding of two", `${ok("Transfer-Encoding: gzip, chunked")}0\r\n\r\n`],
  ["a coding in HTTP/1.0", `${status("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")}0\r\n\r\n`],
  ["a coding and a length on HEAD's behalf, whose body nobody reads", status("HTTP/1.1 204 x", "Transfer-Encoding: chunked", EMPTY)],
  ["a coding other than chunked in an interim response", status("HTTP/1.1 103 x", "Transfer-Encoding: gzip")],
  ["seventeen interim responses", status("HTTP/1.1 100 x").repeat(17) + ok(EMPTY)],
  ["33 names in Connection", ok(`Connection: ${"a,".repeat(33)}`, EMPTY)],
  ["an interim response in HTTP/1.0 (RFC 9110 15.2)", status("HTTP/1.0 100 Continue") + ok(EMPTY)],
  ["101 in HTTP/1.0", status("HTTP/1.0 101 x", "Connection: upgrade", "Upgrade: a")],
  ["a bad chunk size", chunked("x\r\n")],
  ["a bad chunk end", chunked("1\r\nxy")],
  ["a bad trailer", chunked("0\r\nA : b\r\n\r\n")],
];

describe("refused with bad_response", () => {
  for (const [title, bytes] of malformed) {
    test(title, () => {
      const whole = readResponse([latin1(bytes)]);
      assert.equal(whole.error, "bad_response");
      assert.notEqual(whole.final?.isComplete, true);
      for (const pieces of cuts(latin1(bytes))) assert.deepEqual(readResponse(pieces), whole);
    });
  }

  const limits = { headBytes: 256, headers: 8, trailerBytes: 8192, trailers: 32, chunkExtensionBytes: 4096 };
  const sized = (bytes: number): string => ok(`A: ${"a".repeat(bytes - ok("A: ", EMPTY).length)}`, EMPTY);
  const counted = (fields: number): string => ok(...Array.from({ length: fields - 1 }, (_, index) => `N${index}: v`), EMPTY);
  const errorOf = (bytes: string): (string | null)[] =>
    [[latin1(bytes)], ...cuts(latin1(bytes))].map((pieces) => readResponse(pieces, { limits }).error);

  test("a head of more bytes than allowed", () => {
    assert.deepEqual(new Set(errorOf(sized(256))), new Set([null]));
    assert.deepEqual(new Set(errorOf(sized(257))), new Set(["bad_response"]));
  });

  test("more fields than allowed", () => {
    assert.deepEqual(new Set(errorOf(counted(8))), new Set([null]));
    assert.deepEqual(new Set(errorOf(counted(9))), new Set(["bad_response"]));
  });
});

describe("a connection that closes too early", () => {
  const early: readonly (readonly [title: string, bytes: string, code: string])[] = [
    ["before the response", "", "upstream_closed"],
    ["in the status line", "HTTP/1.1 2", "upstream_closed"],
    ["behind the head's last line", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "upstream_closed"],
    ["behind an interim response", status("HTTP/1.1 100 Continue"), "upstream_closed"],
    ["before a body of known length", ok("Content-Length: 5"), "response_truncated"],
    ["one byte short of a known length", `${ok("Content-Length: 5")}hell`, "response_truncated"],
    ["before the first chunk", chunked(""), "response_truncated"],
    ["in a chunk", chunked("5\r\nhell"), "response_truncated"],
    ["between chunks", chunked("5\r\nhello\r\n"), "response_truncated"],
    ["in the last chunk", chunked("5\r\nhello\r\n0\r\n"), "response_truncated"],
    ["in the trailers", chunked("5\r\nhello\r\n0\r\nA: b\r\n"), "response_truncated"],
    ["one byte short of the end of the trailers", chunked("5\r\nhello\r\n0\r\n\r"), "response_truncated"],
  ];
  for (const [title, bytes, code] of early) {
    test(`${title}: ${code}`, () => {
      const closes = true;
      const whole = readResponse([latin1(bytes)], { closes });
      assert.equal(whole.error, code);
      assert.notEqual(whole.final?.isComplete, true);
      for (const pieces of cuts(latin1(bytes))) assert.deepEqual(readResponse(pieces, { closes }), whole);
    });
  }

  test("is no failure when the response is complete", () => {
    const { error, final }: Responses = readResponse([latin1(ok(EMPTY))], { closes: true });
    assert.equal(error, null);
    assert.equal(final?.isComplete, true);
  });
});

function assertMatches(actual: ReadResponse | null, expected: Partial<ReadResponse> | null): void {
  if (expected === null || actual === null) return assert.equal(actual, expected);
  for (const key of Object.keys(expected) as (keyof ReadResponse)[]) assert.deepEqual(actual[key], expected[key], key);
}
