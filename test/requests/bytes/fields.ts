// Header fields of requests: which pass, which stay behind, which are refused. RFC 9110 sections 5 and 7.6.1, RFC 9112 section 5.

import { HOST } from "../../support/edge.ts";
import { error, head, ok, refused, request, seen, type ByteExchange, type Topics } from "../../support/byte-exchanges.ts";

/** A request with these lines; the machine gets those. */
function passes(title: string, sent: readonly string[], arrive: readonly string[] = sent): ByteExchange {
  return { title, send: request("GET /", ...sent), backendGets: seen("GET /", ...arrive), clientGets: ok("GET /") };
}

const withTe = (title: string, ...sent: readonly string[]): ByteExchange => ({
  title,
  send: request("GET /", ...sent),
  backendGets: request("GET /", "<edge>", "te: trailers", "connection: te"),
  clientGets: ok("GET /"),
});

const LINE = `host: ${HOST}`;
const get = (...lines: readonly string[]): string => head("GET / HTTP/1.1", ...lines);

export const FIELDS: Topics = {
  "fields that pass:": [
    passes("in the case, order and number they came in", ["X-MiXeD: Case", "b: 2", "a: 1", "B: 3", "x-mixed: again"]),
    passes("an empty value", ["x-a:"], ["x-a: "]),
    passes("a value of white space", ["x-a: \t "], ["x-a: "]),
    passes("white space around a value is not part of it", ["x-a:\t \tb c\t ", "x-d:e"], ["x-a: b c", "x-d: e"]),
    passes("white space within a value is", ["x-a: b \t  c"]),
    passes("bytes above 127", ["x-a: \xe4\xf6\xff\x80"]),
    passes("every character of a value", [`x-a: ${Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).join("")}`]),
    passes("every character of a name but the underscore", ["!#$%&'*+-.^`|~09AZaz: x"]),
    passes("colons in a value", ["x-a: b:c: d", "x-b::"], ["x-a: b:c: d", "x-b: :"]),
    passes("what looks like a header in a value", ["x-a: content-length: 5"]),
    passes("a name of one character", ["x: y"]),
    passes("a long name", [`${"x".repeat(5000)}: y`]),
    passes("a long value", [`x-a: ${"b".repeat(25_000)}`]),
    passes(
      "ninety-nine beside Host",
      Array.from({ length: 99 }, (_, i) => `x-${i}: a`),
    ),
    passes("cookies, each in its line", ["cookie: a=b; c=d", "Cookie: e=f"]),
    passes("credentials and conditions", ["authorization: Basic eDp5", 'if-none-match: "x"', "range: bytes=0-1", "origin: null"]),
    passes("names of an object's own properties", ["constructor: x", "toString: y", "hasOwnProperty: z"]),
    passes("100-continue in any case", ["expect: 100-Continue"]),
  ],
  "fields that stay behind:": [
    passes(
      "names with an underscore",
      ["x_a: 1", "X-B: 2", "content_length: 5", "transfer_encoding: chunked", "_: x", "__proto__: y"],
      ["X-B: 2"],
    ),
    passes(
      "hop-by-hop fields, named in Connection or not",
      [
        "keep-alive: timeout=5",
        "proxy-connection: close",
        "proxy-authorization: Basic eDp5",
        "te: gzip",
        "trailer: x-sum",
        "upgrade: foo",
        "http2-settings: AAMAAABk",
        "x-a: 1",
      ],
      ["x-a: 1"],
    ),
    passes(
      "those that Connection names, in any case and line",
      ["x-a: 1", "connection: X-A,x-B", "X-a: 2", "x-b: 3", "Connection: x-C", "x-c: 4", "x-d: 5"],
      ["x-d: 5"],
    ),
    passes("those named behind empty list members", ["connection: , ,x-a,, x-b ,", "x-a: 1", "x-b: 2"], []),
    passes(
      "an upgrade to h2c, with what belongs to it",
      ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk"],
      [],
    ),
    passes("an upgrade to h2c beside others", ["connection: upgrade", "upgrade: websocket, h2c"], []),
    passes("an upgrade that Connection does not name", ["upgrade: websocket"], []),
    passes("Connection itself, whatever it says", ["connection: keep-alive", "connection: \x80, connection"], []),
  ],
  "fields that are for every recipient cannot be named away:": [
    passes(
      "conditions and credentials",
      ["connection: if-match, authorization, cookie, origin", "if-match: x", "authorization: y", "cookie: z", "origin: o"],
      ["if-match: x", "authorization: y", "cookie: z", "origin: o"],
    ),
    {
      title: "a length",
      send: `${request("POST /", "connection: content-length", "content-length: 5")}hello`,
      backendGets: `${seen("POST /", "content-length: 5")}hello`,
      clientGets: ok("POST /"),
    },
    {
      title: "chunks",
      send: `${request("POST /", "connection: transfer-encoding", "transfer-encoding: chunked")}0\r\n\r\n`,
      backendGets: `${seen("POST /", "transfer-encoding: chunked")}0\r\n\r\n`,
      clientGets: ok("POST /"),
    },
    {
      title: "what the edge says about the client",
      send: request("GET /", "connection: x-forwarded-for, fly-client-ip, via", "x-forwarded-for: 9.9.9.9", "via: 1.1 a"),
      backendGets: seen("GET /").replace("<edge>", "<edge: for 9.9.9.9; via 1.1 a>"),
      clientGets: ok("GET /"),
    },
  ],
  "what only the edge may say is not taken from a client:": [
    passes(
      "its own fields",
      [
        "Fly-Client-IP: 6.6.6.6",
        "fly-region: xxx",
        "FLY-REQUEST-ID: 1",
        "fly-src: x",
        "fly-forwarded-proto: https",
        "x-forwarded-proto: https",
        "X-Forwarded-Ssl: on",
        "x-request-start: t=1",
      ],
      [],
    ),
    {
      title: "but lists are appended to",
      send: request("GET /", "x-forwarded-for: 1.1.1.1, 2.2.2.2", "X-Forwarded-For: 3.3.3.3", "via: 1.0 a", "Via: 1.1 b"),
      backendGets: seen("GET /").replace("<edge>", "<edge: for 1.1.1.1, 2.2.2.2, 3.3.3.3; via 1.0 a, 1.1 b>"),
      clientGets: ok("GET /"),
    },
    {
      title: "and the port that a client names stays",
      send: request("GET /", "x-forwarded-port: 8443"),
      backendGets: seen("GET /").replace("<edge>", "<edge: port 8443>"),
      clientGets: ok("GET /"),
    },
  ],
  "TE says to the machine that trailers are welcome:": [
    withTe("where the client says so", "te: trailers", "connection: te"),
    withTe("among other codings", "TE: gzip;q=0.5 , TRAILERS"),
    withTe("in a line of its own", "te: gzip", "te: trailers"),
    passes("but not where it says something else", ["te: xtrailers, trailers;q=1"], []),
  ],
  "refused as bad_header:": refused("bad_header", [
    ["a space before the colon", get(LINE, "content-length : 5")],
    ["a tab before the colon", get(LINE, "x-a\t: 5")],
    ["a vertical tab before the colon", get(LINE, "x-a\x0b: 5")],
    ["a folded line", get(LINE, "x-a: 1", " 2")],
    ["a line folded by a tab", get(LINE, "x-a: 1", "\t2")],
    ["a folded line that is empty", get(LINE, "x-a: 1", " ")],
    ["a folded first line", get(` ${LINE}`)],
    ["a line without a colon", get(LINE, "x-a")],
    ["an empty name", get(LINE, ": 5")],
    ["a colon alone", get(LINE, ":")],
    ["a name with a space", get(LINE, "x a: 5")],
    ["a name with a NUL", get(LINE, "x\0a: 5")],
    ["a name with a byte above 127", get(LINE, "x-\xe9: 5")],
    ["a name with brackets", get(LINE, "x(a): 5")],
    ["a name in quotes", get(LINE, '"x-a": 5')],
    ["a name with a slash", get(LINE, "x/a: 5")],
    ["a name with a comma", get(LINE, "x,a: 5")],
    ["a name with a semicolon", get(LINE, "x;a: 5")],
    ["a name with a DEL", get(LINE, "x\x7f: 5")],
    ["a pseudo-header", get(LINE, ":authority: x")],
    ["a NUL in a value", get(LINE, "x-a: a\0b")],
    ["a control byte in a value", get(LINE, "x-a: a\x01b")],
    ["a form feed in a value", get(LINE, "x-a: a\x0cb")],
    ["an escape in a value", get(LINE, "x-a: \x1b[0m")],
    ["a DEL in a value", get(LINE, "x-a: a\x7fb")],
    ["a bare carriage return in a value", get(LINE, "x-a: a\rb")],
    ["a bare carriage return at the end of a value", get(LINE, "x-a: a\r")],
    ["a bare line feed in a value", get(LINE, "x-a: a\nx-b: b")],
    ["a bare line feed that would begin a header", get(LINE, "x-a: a\ncontent-length: 5")],
    ["a head that ends with bare line feeds", `GET / HTTP/1.1\r\n${LINE}\n\n`],
    ["a head that ends with a line feed and CRLF", `GET / HTTP/1.1\r\n${LINE}\n\r\n`],
    ["a head that ends with CRLF and a line feed", `GET / HTTP/1.1\r\n${LINE}\r\n\n`],
    ["more names in Connection than any message has", get(LINE, `connection: ${Array.from({ length: 40 }, (_, i) => `x-${i}`).join()}`)],
  ]),
  "refused for other reasons:": [
    ...refused("head_too_large", [
      ["a field that is too large", get(LINE, `x-a: ${"a".repeat(40_000)}`)],
      ["a name that does not end", `GET / HTTP/1.1\r\n${LINE}\r\n${"a".repeat(40_000)}`],
      ["too many fields", get(LINE, ...Array.from({ length: 100 }, (_, i) => `x-${i}: a`))],
      ["many small fields that are too large together", get(LINE, ...Array.from({ length: 90 }, (_, i) => `x-${i}: ${"a".repeat(400)}`))],
    ]),
    ...refused("expectation_failed", [
      ["an expectation that is not 100-continue", get(LINE, "expect: 200-ok")],
      ["an expectation beside it", get(LINE, "expect: 100-continue, x")],
      ["an empty expectation", get(LINE, "expect:")],
    ]),
    {
      title: "and what came before on the connection is answered",
      send: get(LINE) + get(LINE, "x a: 5"),
      backendGets: seen("GET /"),
      clientGets: ok("GET /") + error("bad_header"),
      afterwards: "closed",
    },
  ],
};
