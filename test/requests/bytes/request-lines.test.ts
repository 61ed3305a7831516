// Request lines: methods, targets, versions, and what stands before them. RFC 9112 sections 2.2, 3 and 9110 section 9.

import { after } from "node:test";
import { get, HOST, startEdge } from "../../support/edge.ts";
import { error, head, ok, refused, request, seen, testExchanges, type ByteExchange } from "../../support/byte-exchanges.ts";

const edge = await startEdge();
after(() => edge[Symbol.asyncDispose]());

const LINE = `host: ${HOST}`;

/** A request line that passes, and what the machine sees of it. */
function passes(title: string, sent: string, start: string): ByteExchange {
  return { title, send: head(`${sent} HTTP/1.1`, LINE), backendGets: seen(start), clientGets: ok(start) };
}

testExchanges(edge, "methods that pass:", [
  ...["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND", "M-SEARCH", "get", "Get"].map((method) =>
    passes(method, `${method} /`, `${method} /`),
  ),
  passes("any token", "a!#$%&'*+-.^_`|~0 /", "a!#$%&'*+-.^_`|~0 /"),
  passes("a long one", `${"M".repeat(1000)} /`, `${"M".repeat(1000)} /`),
  { title: "HEAD, which has no body in its answer", send: request("HEAD /"), backendGets: seen("HEAD /"), clientGets: ok("HEAD /") },
]);

testExchanges(edge, "targets that pass as they are:", [
  ...[
    "/",
    "/?",
    "/a/../b/./c",
    "//other.example/x",
    "///",
    "/a%00b%0d%0a%2e%2E",
    "/%",
    "/%zz",
    "/a?b=c&d[]=e?f/g",
    "/?__proto__[x]=1",
    "/a;b=c,d@e!$'()*+",
    '/"<>\\^`{|}[]',
    "/http://other.example/",
    "/*",
    `/${"x".repeat(16_000)}`,
  ].map((target) => passes(target.slice(0, 40), `GET ${target}`, `GET ${target}`)),
  passes("the asterisk of OPTIONS", "OPTIONS *", "OPTIONS *"),
]);

testExchanges(edge, "targets in absolute-form are sent on in origin-form (RFC 9112 3.2.2):", [
  passes("with a path", `GET http://${HOST}/a/b`, "GET /a/b"),
  passes("with a path and a query", `GET http://${HOST}/a?b=http://c/`, "GET /a?b=http://c/"),
  passes("without a path", `GET http://${HOST}`, "GET /"),
  passes("without a path, with a query", `GET http://${HOST}?a=b`, "GET /?a=b"),
  passes("with another scheme that is HTTP", `GET https://${HOST}/`, "GET /"),
  passes("with a scheme in capitals", `GET HTTP://${HOST}/`, "GET /"),
  passes("with a host in capitals", `GET http://HELLO.Localhost/`, "GET /"),
  passes("OPTIONS without a path, which means the asterisk", `OPTIONS http://${HOST}`, "OPTIONS *"),
  passes("OPTIONS with a path", `OPTIONS http://${HOST}/`, "OPTIONS /"),
  passes("with two slashes in the path", `GET http://${HOST}//x`, "GET //x"),
]);

testExchanges(edge, "before a request line:", [
  { title: "one empty line is forgiven", send: `\r\n${request("GET /")}`, backendGets: seen("GET /"), clientGets: ok("GET /") },
  {
    title: "one empty line between requests is forgiven, in pieces too",
    send: [request("GET /1"), "\r", "\n", request("GET /2")],
    backendGets: seen("GET /1") + seen("GET /2"),
    clientGets: ok("GET /1") + ok("GET /2"),
  },
  {
    title: "one empty line behind a body is forgiven",
    send: `${request("POST /", "content-length: 1")}x\r\n`,
    backendGets: `${seen("POST /", "content-length: 1")}x`,
    clientGets: ok("POST /"),
  },
  {
    title: "more than one is not, and what came before is answered",
    send: `${request("GET /1")}\r\n\r\n`,
    backendGets: seen("GET /1"),
    clientGets: ok("GET /1") + error("bad_request_line"),
    afterwards: "closed",
  },
]);

testExchanges(edge, "a request line that arrives byte by byte", [
  { title: "is the same", send: [...request("GET /a/b?c")], backendGets: seen("GET /a/b?c"), clientGets: ok("GET /a/b?c") },
]);

testExchanges(
  edge,
  "refused as bad_request_line:",
  refused("bad_request_line", [
    ["no target", head("GET HTTP/1.1", LINE)],
    ["no version", head("GET /", LINE)],
    ["no method", head("/ HTTP/1.1", LINE)],
    ["a method alone", head("GET", LINE)],
    ["an empty method", head(" / HTTP/1.1", LINE)],
    ["two spaces before the target", head("GET  / HTTP/1.1", LINE)],
    ["two spaces behind the target", head("GET /  HTTP/1.1", LINE)],
    ["a space in the target", head("GET /a b HTTP/1.1", LINE)],
    ["a tab for a space", head("GET\t/ HTTP/1.1", LINE)],
    ["a tab behind the target", head("GET /\tHTTP/1.1", LINE)],
    ["a vertical tab for a space", head("GET\x0b/ HTTP/1.1", LINE)],
    ["a form feed for a space", head("GET /\x0cHTTP/1.1", LINE)],
    ["a space behind the version", head("GET / HTTP/1.1 ", LINE)],
    ["something behind the version", head("GET / HTTP/1.1 x", LINE)],
    ["a space before the method", head(" GET / HTTP/1.1", LINE)],
    ["a tab before the method", head("\tGET / HTTP/1.1", LINE)],
    ["a byte-order mark before the method", head("\xef\xbb\xbfGET / HTTP/1.1", LINE)],
    ["a fragment in the target", head("GET /#x HTTP/1.1", LINE)],
    ["a NUL in the target", head("GET /\0 HTTP/1.1", LINE)],
    ["a NUL in the method", head("GE\0T / HTTP/1.1", LINE)],
    ["a byte above 127 in the target", head("GET /\xe9 HTTP/1.1", LINE)],
    ["a control byte in the target", head("GET /\x01 HTTP/1.1", LINE)],
    ["a DEL in the target", head("GET /\x7f HTTP/1.1", LINE)],
    ["a target that is neither path nor URL", head("GET example HTTP/1.1", LINE)],
    ["a query alone", head("GET ?a=b HTTP/1.1", LINE)],
    ["an authority alone", head(`GET ${HOST}:80 HTTP/1.1`, LINE)],
    ["a URL of another scheme", head(`GET ftp://${HOST}/ HTTP/1.1`, LINE)],
    ["a WebSocket's URL", head(`GET ws://${HOST}/ HTTP/1.1`, LINE)],
    ["a URL with one slash", head(`GET http:/${HOST}/ HTTP/1.1`, LINE)],
    ["an asterisk for anything but OPTIONS", head("GET * HTTP/1.1", LINE)],
    ["an asterisk with something behind it", head("OPTIONS *x HTTP/1.1", LINE)],
    ["a method with a character that is none of a token", head("GE(T / HTTP/1.1", LINE)],
    ["a method with a colon", head("GET: / HTTP/1.1", LINE)],
    ["a method with a byte above 127", head("G\xc9T / HTTP/1.1", LINE)],
    ["a version in lower case", head("GET / http/1.1", LINE)],
    ["a version of three digits", head("GET / HTTP/1.10", LINE)],
    ["a version with a zero in front", head("GET / HTTP/01.1", LINE)],
    ["a version without a dot", head("GET / HTTP/11", LINE)],
    ["a version with a comma", head("GET / HTTP/1,1", LINE)],
    ["another protocol", head("GET / RTSP/1.0", LINE)],
    ["a bare line feed behind the request line", `GET / HTTP/1.1\n${LINE}\r\n\r\n`],
    ["a bare carriage return behind the request line", `GET / HTTP/1.1\r${LINE}\r\n\r\n`],
    ["two carriage returns behind the request line", `GET / HTTP/1.1\r\r\n${LINE}\r\n\r\n`],
    ["two empty lines first", `\r\n\r\n${get()}`],
    ["a bare line feed first", `\n${get()}`],
    ["a bare carriage return first", `\r${get()}`],
    ["a TLS handshake", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ["HTTP/0.9", "GET /\r\n\r\n"],
    ["the PROXY protocol, unasked", `PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n${get()}`],
    ["the PROXY protocol v2, unasked", `\r\n\r\n\0\r\nQUIT\n${get()}`],
  ]),
);

testExchanges(edge, "refused for other reasons:", [
  ...refused("version_not_supported", [
    ["HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["HTTP/1.2", head("GET / HTTP/1.2", LINE)],
    ["HTTP/3.0", head("GET / HTTP/3.0", LINE)],
    ["HTTP/0.9, said aloud", head("GET / HTTP/0.9", LINE)],
  ]),
  ...refused("method_not_allowed", [
    ["CONNECT with an authority", head(`CONNECT ${HOST}:443 HTTP/1.1`, LINE)],
    ["CONNECT with a path", head("CONNECT / HTTP/1.1", LINE)],
    ["TRACE", head("TRACE / HTTP/1.1", LINE)],
    ["TRACE with a body", `${head("TRACE / HTTP/1.1", LINE, "content-length: 1")}x`],
  ]),
  ...refused("target_too_long", [
    ["a target of one byte too many", head(`GET /${"x".repeat(16_384)} HTTP/1.1`, LINE)],
    ["a target that does not end", `GET /${"x".repeat(40_000)}`],
    ["a target longer than a head may be", head(`GET /${"x".repeat(40_000)} HTTP/1.1`, LINE)],
  ]),
]);
