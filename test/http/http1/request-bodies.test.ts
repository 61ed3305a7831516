// What a request decoder accepts as a body, and where the next request begins.

import { chunked, get, HOST, testAccepted, withTarget, type AcceptedCase } from "./request-cases.ts";

const bodies: AcceptedCase[] = [
  {
    title: "without a length there is no body (RFC 9112 6.3)",
    bytes: `POST / HTTP/1.1\r\n${HOST}\r\n`,
    requests: [{ body: "none", data: "" }],
  },
  { title: "a length of nothing is no body", bytes: get("Content-Length: 0"), requests: [{ body: "none", contentLength: 0 }] },
  {
    title: "a length says how much follows (RFC 9112 6.2)",
    bytes: `${get("Content-Length: 5")}hello`,
    requests: [{ body: "length", contentLength: 5, data: "hello" }],
  },
  { title: "a length may begin with zeros", bytes: `${get("Content-Length: 0005")}hello`, requests: [{ contentLength: 5, data: "hello" }] },
  { title: "a body is not looked into", bytes: `${get("Content-Length: 10")}\0\r\n\r\nGET /`, requests: [{ data: "\0\r\n\r\nGET /" }] },
  {
    title: "a body that has not come whole is not complete",
    bytes: `${get("Content-Length: 5")}hell`,
    requests: [{ data: "hell", isComplete: false }],
  },
  {
    title: "the largest length",
    bytes: get("Content-Length: 999999999999999"),
    requests: [{ contentLength: 999999999999999, isComplete: false }],
  },
  {
    title: "chunks follow each other (RFC 9112 7.1)",
    bytes: chunked("5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"),
    requests: [{ body: "chunked", contentLength: 0, data: "hello, world" }],
  },
  { title: "a chunked body may be empty", bytes: chunked("0\r\n\r\n"), requests: [{ body: "chunked", data: "" }] },
  {
    title: "Chunked in any case (RFC 9112 7)",
    bytes: `POST / HTTP/1.1\r\n${HOST}transfer-ENCODING:\tChUnKeD\r\n\r\n0\r\n\r\n`,
    requests: [{ body: "chunked" }],
  },
  {
    title: "a GET may have a chunked body",
    bytes: `${get("Transfer-Encoding: chunked")}1\r\nx\r\n0\r\n\r\n`,
    requests: [{ method: "GET", data: "x" }],
  },
  {
    title: "a chunk size is hexadecimal, in any case",
    bytes: chunked(`a\r\n0123456789\r\nC\r\nabcdefghijkl\r\n0\r\n\r\n`),
    requests: [{ data: "0123456789abcdefghijkl" }],
  },
  {
    title: "a chunk size may begin with zeros, twelve digits in all",
    bytes: chunked("000000000001\r\nx\r\n000000000000\r\n\r\n"),
    requests: [{ data: "x" }],
  },
  {
    title: "a chunk may hold what looks like framing",
    bytes: chunked("7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    requests: [{ data: "\r\n0\r\n\r\n" }],
  },
  {
    title: "chunk extensions are dropped (RFC 9112 7.1.1)",
    bytes: chunked('1;a\r\nx\r\n1;b=c;d="e;\\"\\\\"\r\ny\r\n0;z\r\n\r\n'),
    requests: [{ data: "xy" }],
  },
  { title: "an extension's quoted value may be empty", bytes: chunked('1;a=""\r\nx\r\n0\r\n\r\n'), requests: [{ data: "x" }] },
  {
    title: "trailers are read like the fields of a head (RFC 9112 7.1.2)",
    bytes: chunked("1\r\nx\r\n0\r\nA: b\r\nC:\r\nD:\t e \xff\r\n\r\n"),
    requests: [
      {
        data: "x",
        trailers: [
          ["a", "b"],
          ["c", ""],
          ["d", "e \xff"],
        ],
      },
    ],
  },
  {
    title: "trailers that frame, route, authorise or describe are dropped (RFC 9110 6.5.1)",
    bytes: chunked(
      "0\r\nHost: x\r\nAuthorization: x\r\ncontent-TYPE: x\r\nFly-Client-IP: x\r\nX-Forwarded-For: x\r\nIf-Match: x\r\nTE: x\r\nTransfer-Encoding: x\r\nContent-Digest: x\r\n\r\n",
    ),
    requests: [{ trailers: [["content-digest", "x"]] }],
  },
  {
    title: "trailers that Connection names are dropped (RFC 9110 7.6.1)",
    bytes: `POST / HTTP/1.1\r\nHost: example.com\r\nConnection: X-A\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-a: 1\r\nx-b: 2\r\n\r\n`,
    requests: [{ trailers: [["x-b", "2"]] }],
  },
  {
    title: "a trailer named Content-Length frames nothing",
    bytes: `${chunked("0\r\nContent-Length: 5\r\n\r\n")}${get()}`,
    requests: [{ trailers: [] }, { target: "/", body: "none", trailers: [] }],
  },
];

const pipelines: AcceptedCase[] = [
  {
    title: "requests follow each other (RFC 9112 9.3.2)",
    bytes: `${withTarget("/1")}${get("Content-Length: 3")}abc${chunked("1\r\nx\r\n0\r\nT: v\r\n\r\n")}${withTarget("/4")}`,
    requests: [
      { target: "/1" },
      { data: "abc" },
      { data: "x", trailers: [["t", "v"]] },
      { target: "/4", body: "none", contentLength: 0, data: "", trailers: [] },
    ],
  },
  {
    title: "nothing of one request is left in the next",
    bytes: `${get("Connection: upgrade, x", "Upgrade: a", "Expect: 100-continue", "Content-Length: 1")}x${get()}`,
    requests: [
      { upgrade: "a" },
      { upgrade: "", expectsContinue: false, connectionNames: null, contentLength: 0, fields: [["host", "example.com"]] },
    ],
  },
  {
    title: "what follows a request that ends the connection is not read",
    bytes: `${get("Connection: close")}\0junk`,
    requests: [{ keepAlive: false }],
  },
];

testAccepted({ bodies, pipelines });
