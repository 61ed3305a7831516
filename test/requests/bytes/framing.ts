// Where a request ends: lengths and chunks, read strictly and written anew, whatever the method. RFC 9112 sections 6 and 7.

import { HOST } from "../../support/edge.ts";
import { error, head, ok, refused, request, seen, type ByteExchange, type Topics } from "../../support/byte-exchanges.ts";

const LINE = `host: ${HOST}`;
const CHUNKED = "transfer-encoding: chunked";
const BEHIND = request("GET /behind");
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "x-own"];

/** A body that passes by its length; a request behind it shows where it ends. */
function sized(title: string, method: string, line: string, body: string): ByteExchange {
  return {
    title,
    send: request(`${method} /`, line) + body + BEHIND,
    backendGets: `${seen(`${method} /`, `content-length: ${body.length}`)}${body}${seen("GET /behind")}`,
    clientGets: ok(`${method} /`) + ok("GET /behind"),
  };
}

/** A chunked body that passes: what is sent of it, and what arrives. */
function chunks(title: string, sent: string, arrives: string, method = "POST"): ByteExchange {
  return {
    title,
    send: request(`${method} /`, CHUNKED) + sent + BEHIND,
    backendGets: seen(`${method} /`, CHUNKED) + arrives + seen("GET /behind"),
    clientGets: ok(`${method} /`) + ok("GET /behind"),
  };
}

const post = (...lines: readonly string[]): string => head("POST / HTTP/1.1", LINE, ...lines);

/** The head of the request may have gone out before the body was seen to be wrong; its end never does. */
function cut(
  rows: readonly (readonly [title: string, body: string])[],
  code: "bad_framing" | "head_too_large" = "bad_framing",
): ByteExchange[] {
  return rows.flatMap(([title, body]) => {
    const row = { backendGets: null, clientGets: error(code), afterwards: "closed" } as const;
    return [
      { ...row, title, send: request("POST /", CHUNKED) + body },
      { ...row, title: `${title}, byte by byte`, send: [request("POST /", CHUNKED), ...body.slice(0, 60), body.slice(60)] },
    ];
  });
}

export const FRAMING: Topics = {
  "a body with a length leaves with that length:": [
    ...METHODS.map((method) => sized(method, method, "content-length: 5", "hello")),
    sized("a length of nothing", "POST", "content-length: 0", ""),
    sized("a length of nothing with GET", "GET", "content-length: 0", ""),
    sized("zeros in front of a length", "POST", "content-length: 0005", "hello"),
    sized("white space before a length", "POST", "content-length:\t 5", "hello"),
    sized("a body that looks like a request", "POST", `Content-Length: ${BEHIND.length}`, BEHIND),
    sized("a body that looks like chunks", "POST", "content-length: 5", "0\r\n\r\n"),
    sized("a body of every byte", "POST", "content-length: 256", Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join("")),
    {
      title: "no length and no chunks are no body, whatever the method",
      send: METHODS.map((method) => request(`${method} /`)).join(""),
      backendGets: METHODS.map((method) => seen(`${method} /`)).join(""),
      clientGets: METHODS.map((method) => ok(`${method} /`)).join(""),
    },
    {
      title: "HEAD with a body",
      send: `${request("HEAD /", "content-length: 5")}hello${BEHIND}`,
      backendGets: `${seen("HEAD /", "content-length: 5")}hello${seen("GET /behind")}`,
      clientGets: ok("HEAD /") + ok("GET /behind"),
    },
    {
      title: "HTTP/1.0 with a length",
      send: `${head("POST / HTTP/1.0", LINE, "content-length: 5")}hello`,
      backendGets: `${seen("POST /", "content-length: 5").replace("<edge>", "<edge: 1.0>")}hello`,
      clientGets: ok("POST /", "connection: close"),
      afterwards: "closed",
    },
  ],
  "a chunked body leaves chunked:": [
    ...METHODS.map((method) => chunks(method, "5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", method)),
    chunks("an empty one", "0\r\n\r\n", "0\r\n\r\n"),
    chunks("several chunks", "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"),
    chunks("sizes in capitals", `A\r\n0123456789\r\n0\r\n\r\n`, "a\r\n0123456789\r\n0\r\n\r\n"),
    chunks("sizes with zeros in front", "00000000001\r\nx\r\n000\r\n\r\n", "1\r\nx\r\n0\r\n\r\n"),
    chunks("extensions are dropped", '1;a;b=c;d="e;\\"\r"'.replace("\r", "\t") + "\r\nx\r\n0;z\r\n\r\n", "1\r\nx\r\n0\r\n\r\n"),
    chunks("data that looks like the end", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    chunks(
      "data that looks like a request",
      `${BEHIND.length.toString(16)}\r\n${BEHIND}\r\n0\r\n\r\n`,
      `${BEHIND.length.toString(16)}\r\n${BEHIND}\r\n0\r\n\r\n`,
    ),
    chunks("trailers", "0\r\nX-Sum:1\r\nx-b:\r\n\r\n", "0\r\nX-Sum: 1\r\nx-b: \r\n\r\n"),
    chunks(
      "trailers that may not be any stay behind",
      "0\r\nContent-Length: 5\r\nHost: x\r\nTransfer-Encoding: x\r\nx-a: 1\r\n\r\n",
      "0\r\nx-a: 1\r\n\r\n",
    ),
    chunks("nothing but such trailers", "0\r\nConnection: close\r\nAuthorization: x\r\n\r\n", "0\r\n\r\n"),
    {
      title: "HEAD with chunks",
      send: `${request("HEAD /", CHUNKED)}1\r\nx\r\n0\r\n\r\n${BEHIND}`,
      backendGets: `${seen("HEAD /", CHUNKED)}1\r\nx\r\n0\r\n\r\n${seen("GET /behind")}`,
      clientGets: ok("HEAD /") + ok("GET /behind"),
    },
    {
      title: "the coding in any case",
      send: `${request("POST /", "Transfer-Encoding: Chunked")}0\r\n\r\n`,
      backendGets: `${seen("POST /", CHUNKED)}0\r\n\r\n`,
      clientGets: ok("POST /"),
    },
    {
      title: "an announcement of trailers goes with them",
      send: `${request("POST /", CHUNKED, "Trailer: x-a, Host,, x-b")}0\r\n\r\n`,
      backendGets: `${seen("POST /", CHUNKED, "trailer: x-a, x-b")}0\r\n\r\n`,
      clientGets: ok("POST /"),
    },
  ],
  "refused as bad_framing:": [
    ...refused("bad_framing", [
      ["a length and chunked", post("content-length: 5", CHUNKED)],
      ["chunked and a length", post(CHUNKED, "content-length: 5")],
      ["chunked and a length of nothing", post(CHUNKED, "content-length: 0")],
      ["a length and chunked in capitals", post("CONTENT-LENGTH: 5", "TRANSFER-ENCODING: CHUNKED")],
      ["two different lengths", post("content-length: 5", "content-length: 6")],
      ["the same length twice", post("content-length: 5", "content-length: 5")],
      ["the same length twice, apart", post("content-length: 5", "x-a: 1", "Content-Length: 5")],
      ["two lengths, one empty", post("content-length:", "content-length: 5")],
      ["a list of lengths", post("content-length: 5, 5")],
      ["a list with an empty member", post("content-length: 5,")],
      ["an empty length", post("content-length:")],
      ["a negative length", post("content-length: -5")],
      ["a negative length of nothing", post("content-length: -0")],
      ["a length with a sign", post("content-length: +5")],
      ["a hexadecimal length", post("content-length: 0x5")],
      ["a length with letters", post("content-length: 5a")],
      ["a length with a fraction", post("content-length: 5.0")],
      ["a length with an exponent", post("content-length: 1e1")],
      ["a length with an underscore", post("content-length: 1_0")],
      ["a length in quotes", post('content-length: "5"')],
      ["a length with a parameter", post("content-length: 5;a")],
      ["a length with a space in it", post("content-length: 1 2")],
      ["a length with a space behind it", post("content-length: 5 ")],
      ["a length with a tab behind it", post("content-length: 5\t")],
      ["a length in other digits", post("content-length: \xb2")],
      ["a length beyond all numbers", post(`content-length: ${"9".repeat(30)}`)],
      ["a length that wraps to a small one in 64 bits", post("content-length: 18446744073709551621")],
      ["a length with many zeros", post(`content-length: ${"0".repeat(40)}5`)],
      ["a bad length with GET", head("GET / HTTP/1.1", LINE, "content-length: x")],
      ["gzip before chunked", post("transfer-encoding: gzip, chunked")],
      ["chunked before gzip", post("transfer-encoding: chunked, gzip")],
      ["gzip alone", post("transfer-encoding: gzip")],
      ["chunked twice", post("transfer-encoding: chunked, chunked")],
      ["two fields with chunked", post(CHUNKED, CHUNKED)],
      ["two fields, one empty", post("transfer-encoding:", CHUNKED)],
      ["identity", post("transfer-encoding: identity")],
      ["identity behind chunked", post(CHUNKED, "transfer-encoding: identity")],
      ["chunked behind identity", post("transfer-encoding: identity, chunked")],
      ["an unknown coding", post("transfer-encoding: xchunked")],
      ["a coding that begins well", post("transfer-encoding: chunkedx")],
      ["chunked with a parameter", post("transfer-encoding: chunked;a=b")],
      ["chunked in quotes", post('transfer-encoding: "chunked"')],
      ["chunked with a space behind it", post("transfer-encoding: chunked ")],
      ["chunked with a tab behind it", post("transfer-encoding: chunked\t")],
      ["chunked behind a comma", post("transfer-encoding: ,chunked")],
      ["chunked before a comma", post("transfer-encoding: chunked,")],
      ["chunked with a no-break space", post("transfer-encoding: \xa0chunked")],
      ["an empty coding", post("transfer-encoding:")],
      ["chunked in HTTP/1.0", head("POST / HTTP/1.0", LINE, CHUNKED)],
      ["chunked with GET in HTTP/1.0", head("GET / HTTP/1.0", LINE, CHUNKED, "connection: keep-alive")],
    ]),
    ...refused("bad_header", [
      ["chunked behind a vertical tab", post("transfer-encoding: \x0bchunked")],
      ["chunked behind a NUL", post("transfer-encoding: \0chunked")],
      ["a folded coding", post("transfer-encoding:", " chunked")],
      ["a space before the colon of the coding", post("transfer-encoding : chunked")],
      ["a coding behind a bare line feed", post("x-a: 1\ntransfer-encoding: chunked")],
      ["a coding behind a bare carriage return", post("x-a: 1\rtransfer-encoding: chunked")],
    ]),
  ],
  "refused in a chunked body:": [
    ...cut([
      ["a size that is no number", "x\r\nhello\r\n0\r\n\r\n"],
      ["no size", "\r\nhello\r\n0\r\n\r\n"],
      ["no size, but an extension", ";a\r\nhello\r\n0\r\n\r\n"],
      ["a size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n"],
      ["a negative size", "-5\r\nhello\r\n0\r\n\r\n"],
      ["a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"],
      ["a size with an underscore", "1_0\r\n0123456789abcdef\r\n0\r\n\r\n"],
      ["a size with a space behind it", "5 \r\nhello\r\n0\r\n\r\n"],
      ["a size with a tab behind it", "5\t\r\nhello\r\n0\r\n\r\n"],
      ["a size with a space before it", " 5\r\nhello\r\n0\r\n\r\n"],
      ["a size with a space before its extension", "5 ;a\r\nhello\r\n0\r\n\r\n"],
      ["a size with a NUL", "5\0\r\nhello\r\n0\r\n\r\n"],
      ["a size in two pieces", "1 0\r\n0123456789abcdef\r\n0\r\n\r\n"],
      ["a size beyond all numbers", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"],
      ["a size that wraps to a small one", "10000000000000005\r\nhello\r\n0\r\n\r\n"],
      ["a size padded with many zeros", `${"0".repeat(40)}5\r\nhello\r\n0\r\n\r\n`],
      ["a size that ends with a bare line feed", "5\nhello\r\n0\r\n\r\n"],
      ["a size that ends with a bare carriage return", "5\rhello\r\n0\r\n\r\n"],
      ["a size that ends with two carriage returns", "5\r\r\nhello\r\n0\r\n\r\n"],
      ["a chunk that is longer than its size", "4\r\nhello\r\n0\r\n\r\n"],
      ["a chunk that is shorter than its size", "6\r\nhello\r\n0\r\n\r\n"],
      ["a chunk that ends with a bare line feed", "5\r\nhello\n0\r\n\r\n"],
      ["a chunk that ends with a bare carriage return", "5\r\nhello\r0\r\n\r\n"],
      ["a chunk that ends with two carriage returns", "5\r\nhello\r\r0\r\n\r\n"],
      ["a chunk that does not end at all", "5\r\nhello0\r\n\r\n"],
      ["an extension with a bare line feed", "5;a\nb\r\nhello\r\n0\r\n\r\n"],
      ["an extension with a bare carriage return", "5;a\rb\r\nhello\r\n0\r\n\r\n"],
      ["an extension with a control byte", '5;a="\x01"\r\nhello\r\n0\r\n\r\n'],
      ["an extension without a name", "5;\r\nhello\r\n0\r\n\r\n"],
      ["an extension without a value", "5;a=\r\nhello\r\n0\r\n\r\n"],
      ["an extension with white space", "5; a\r\nhello\r\n0\r\n\r\n"],
      ["an extension with an open quote", '5;a="b\r\nhello\r\n0\r\n\r\n'],
      ["an extension with something behind a quote", '5;a="b"c\r\nhello\r\n0\r\n\r\n'],
      ["extensions that do not end", `5;a=${"b".repeat(5000)}\r\nhello\r\n0\r\n\r\n`],
      ["many small extensions", `${"1;a=b\r\nx\r\n".repeat(1500)}0\r\n\r\n`],
      ["a last chunk that ends with a bare line feed", "0\n\r\n"],
      ["a last chunk with something behind it", "0x\r\n\r\n"],
      ["the end with a bare line feed", "0\r\n\n"],
      ["the end with two carriage returns", "0\r\n\r\r\n"],
      ["a trailer with a space before the colon", "0\r\nx-a : 1\r\n\r\n"],
      ["a trailer that is folded", "0\r\nx-a: 1\r\n 2\r\n\r\n"],
      ["a trailer with a bare line feed", "0\r\nx-a: 1\nx-b: 2\r\n\r\n"],
      ["a trailer with a bare carriage return", "0\r\nx-a: 1\rx-b: 2\r\n\r\n"],
      ["a trailer with a NUL", "0\r\nx-a: \0\r\n\r\n"],
      ["a trailer without a name", "0\r\n: 1\r\n\r\n"],
      ["a trailer without a colon", "0\r\nx-a\r\n\r\n"],
      ["a request for a trailer", `0\r\n${BEHIND}`],
    ]),
    ...cut(
      [
        ["trailers that are too large", `0\r\nx-a: ${"a".repeat(9000)}\r\n\r\n`],
        ["too many trailers", `0\r\n${"x-a: 1\r\n".repeat(33)}\r\n`],
      ],
      "head_too_large",
    ),
  ],
  "an end that comes too early": [
    {
      title: "of a length, when the next request is taken for the rest of it",
      send: request("POST /", `content-length: ${BEHIND.length + 1}`) + BEHIND + "x",
      backendGets: `${seen("POST /", `content-length: ${BEHIND.length + 1}`)}${BEHIND}x`,
      clientGets: ok("POST /"),
    },
  ],
};
