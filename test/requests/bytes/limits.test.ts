// Each limit of [limits] at its edge: what is exactly as large as allowed passes, one more is refused. docs/http.md has them all.

import { after } from "node:test";
import { HOST, startEdge } from "../../support/edge.ts";
import { answered, error, head, ok, refused, request, seen, testExchanges, type ByteExchange } from "../../support/byte-exchanges.ts";

const edge = await startEdge({
  tables: `[limits]
head_bytes = 1024
target_bytes = 256
headers = 16
trailer_bytes = 64
trailers = 2
chunk_extension_bytes = 16`,
  edit: (text) => text.replace("[kittiwake]", "[kittiwake]\nmax_body_size = 100"),
});
after(() => edge[Symbol.asyncDispose]());

const CHUNKED = "transfer-encoding: chunked";

/** The value that makes a head have so many bytes. */
const filled = (bytes: number, without: string): string => "a".repeat(bytes - without.length);

const NEAR = request("GET /", "x-a: ");
const RESPONSE = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-a: \r\n\r\n";
const fields = (count: number): string[] => Array.from({ length: count }, (_, i) => `x-${i}: a`);
const chunk = (bytes: number): string => `${bytes.toString(16)}\r\n${"x".repeat(bytes)}\r\n`;

const passes = (title: string, lines: readonly string[]): ByteExchange => ({
  title,
  send: request("GET /", ...lines),
  backendGets: seen("GET /", ...lines),
  clientGets: ok("GET /"),
});

const target = `/${"t".repeat(255)}`;
testExchanges(edge, "as much as allowed passes:", [
  passes("a head", [`x-a: ${filled(1024, NEAR)}`]),
  passes("fields", fields(15)),
  { title: "a target", send: request(`GET ${target}`), backendGets: seen(`GET ${target}`), clientGets: ok(`GET ${target}`) },
  {
    title: "trailers",
    send: `${request("POST /", CHUNKED)}0\r\na: b\r\nc: ${"d".repeat(53)}\r\n\r\n`,
    backendGets: `${seen("POST /", CHUNKED)}0\r\na: b\r\nc: ${"d".repeat(53)}\r\n\r\n`,
    clientGets: ok("POST /"),
  },
  {
    title: "chunk extensions",
    send: `${request("POST /", CHUNKED)}1;${"e".repeat(8)}\r\nx\r\n0;${"e".repeat(8)}\r\n\r\n`,
    backendGets: `${seen("POST /", CHUNKED)}1\r\nx\r\n0\r\n\r\n`,
    clientGets: ok("POST /"),
  },
  {
    title: "a body by its length",
    send: request("POST /", "content-length: 100") + "x".repeat(100),
    backendGets: seen("POST /", "content-length: 100") + "x".repeat(100),
    clientGets: ok("POST /"),
  },
  {
    title: "a body in chunks",
    send: `${request("POST /", CHUNKED)}${chunk(60)}${chunk(40)}0\r\n\r\n`,
    backendGets: `${seen("POST /", CHUNKED)}${chunk(60)}${chunk(40)}0\r\n\r\n`,
    clientGets: ok("POST /"),
  },
  {
    title: "the head of a response",
    send: request("GET /"),
    answers: [RESPONSE.replace("x-a: ", `x-a: ${filled(1024, RESPONSE)}`)],
    backendGets: seen("GET /"),
    clientGets: answered("200 OK", [`x-a: ${filled(1024, RESPONSE)}`], ["content-length: 0"]),
  },
]);

const cut = (title: string, code: "bad_framing" | "head_too_large" | "body_too_large", body: string): ByteExchange => ({
  title,
  send: request("POST /", CHUNKED) + body,
  backendGets: null,
  clientGets: error(code),
  afterwards: "closed",
});

testExchanges(edge, "one more is refused:", [
  ...refused("head_too_large", [
    ["a byte in the head", request("GET /", `x-a: ${filled(1025, NEAR)}`)],
    ["a byte in the head, in pieces", [...request("GET /", `x-a: ${filled(1025, NEAR)}`)]],
    ["a field", request("GET /", ...fields(16))],
  ]),
  ...refused("target_too_long", [
    ["a byte in the target", request(`GET ${target}t`)],
    ["a byte in the path of a URL", head(`GET http://${HOST}/${"t".repeat(256)} HTTP/1.1`, `host: ${HOST}`)],
  ]),
  ...refused("body_too_large", [
    ["a byte in a length", request("POST /", "content-length: 101")],
    ["a length beyond all bodies", request("POST /", "content-length: 999999999999999")],
  ]),
  cut("a byte in the trailers", "head_too_large", `0\r\na: b\r\nc: ${"d".repeat(54)}\r\n\r\n`),
  cut("a trailer", "head_too_large", "0\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n"),
  cut("a trailer that would be dropped", "head_too_large", "0\r\nhost: 1\r\nhost: 2\r\nhost: 3\r\n\r\n"),
  cut("a byte in the chunk extensions", "bad_framing", `1;${"e".repeat(8)}\r\nx\r\n0;${"e".repeat(9)}\r\n\r\n`),
  cut("a byte in a chunk", "body_too_large", `${chunk(101)}0\r\n\r\n`),
  cut("a byte in all chunks", "body_too_large", `${chunk(60)}${chunk(41)}0\r\n\r\n`),
  {
    title: "a byte in the head of a response",
    send: request("GET /"),
    answers: [RESPONSE.replace("x-a: ", `x-a: ${filled(1025, RESPONSE)}`)],
    backendGets: seen("GET /"),
    clientGets: "<502 bad_response>",
    machineKept: false,
  },
  {
    title: "a field of a response",
    send: request("GET /"),
    answers: [head("HTTP/1.1 200 OK", "content-length: 0", ...fields(16))],
    backendGets: seen("GET /"),
    clientGets: "<502 bad_response>",
    machineKept: false,
  },
]);
