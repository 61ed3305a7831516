// What a machine answers, and what the client gets of it. RFC 9110 section 15, RFC 9112 sections 4, 6 and 7.

import { answered, closing, error, head, request, seen, type ByteExchange, type Topics } from "../../support/byte-exchanges.ts";

const CHUNKED = "transfer-encoding: chunked";
const OK = "HTTP/1.1 200 OK\r\n";
const EMPTY = "content-length: 0";

/** A machine's answer to GET, and the client's. */
function answers(title: string, answer: string, clientGets: string, more: Partial<ByteExchange> = {}): ByteExchange {
  return { title, send: request("GET /"), answers: [answer], backendGets: seen("GET /"), clientGets, ...more };
}

/** Behind this the machine closes its connection. */
function ends(title: string, answer: string, clientGets: string, more: Partial<ByteExchange> = {}): ByteExchange {
  return answers(title, "", clientGets, { answers: [closing(answer)], machineKept: false, ...more });
}

const bad = (title: string, answer: string): ByteExchange => answers(title, answer, "<502 bad_response>", { machineKept: false });

export const RESPONSES: Topics = {
  "statuses and reasons pass:": [
    ...[
      "200 OK",
      "201 Created",
      "206 Partial Content",
      "301 Moved",
      "404 Not  Found",
      "418 I'm a teapot \xe4",
      "500 ",
      "599 x",
      "299 ",
    ].map((status) =>
      answers(status, head(`HTTP/1.1 ${status}`, "content-length: 1") + "x", answered(status, [], ["content-length: 1"], "x")),
    ),
    answers(
      "a status line without a reason",
      head("HTTP/1.1 200", "content-length: 1") + "x",
      answered("200 ", [], ["content-length: 1"], "x"),
    ),
  ],
  "bodies are framed as they came:": [
    answers("by a length", `${OK}content-length: 5\r\n\r\nhello`, answered("200 OK", [], ["content-length: 5"], "hello")),
    answers("by a length of nothing", `${OK}${EMPTY}\r\n\r\n`, answered("200 OK", [], [EMPTY])),
    answers(
      "by chunks",
      `${OK}${CHUNKED}\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`,
      answered("200 OK", [], [CHUNKED], "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
    ),
    answers(
      "by chunks with extensions, which are dropped",
      `${OK}${CHUNKED}\r\n\r\n003;a=b\r\nabc\r\n0;c\r\n\r\n`,
      answered("200 OK", [], [CHUNKED], "3\r\nabc\r\n0\r\n\r\n"),
    ),
    answers(
      "by chunks with trailers",
      `${OK}trailer: x-sum, host\r\n${CHUNKED}\r\n\r\n1\r\nx\r\n0\r\nX-Sum:1\r\nset-cookie: a\r\n\r\n`,
      answered("200 OK", [], [CHUNKED, "trailer: x-sum"], "1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"),
    ),
    ends(
      "by the end of the connection, which becomes chunks",
      `${OK}\r\nhello`,
      answered("200 OK", [], [CHUNKED], "5\r\nhello\r\n0\r\n\r\n"),
    ),
    ends("by the end of the connection, when there is nothing", `${OK}\r\n`, answered("200 OK", [], [CHUNKED], "0\r\n\r\n")),
    ends("a body of HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", answered("200 OK", [], [CHUNKED], "5\r\nhello\r\n0\r\n\r\n")),
    answers(
      "of HTTP/1.0 that goes on",
      "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx",
      answered("200 OK", [], ["content-length: 1"], "x"),
    ),
    answers(
      "of HTTP/1.0 with a length",
      "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx",
      answered("200 OK", [], ["content-length: 1"], "x"),
      { machineKept: false },
    ),
    answers(
      "that says it ends",
      `${OK}connection: close\r\ncontent-length: 1\r\n\r\nx`,
      answered("200 OK", [], ["content-length: 1"], "x"),
      {
        machineKept: false,
      },
    ),
  ],
  "answers without a body:": [
    answers("204", "HTTP/1.1 204 No Content\r\n\r\n", answered("204 No Content", [], [])),
    answers(
      "204 with a length, which it may not have",
      "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n",
      answered("204 No Content", [], []),
    ),
    answers("204 with chunks, which it may not have", `HTTP/1.1 204 No Content\r\n${CHUNKED}\r\n\r\n`, answered("204 No Content", [], [])),
    answers("304", 'HTTP/1.1 304 Not Modified\r\netag: "x"\r\n\r\n', answered("304 Not Modified", ['etag: "x"'], [])),
    answers(
      "304 with the length that the body would have",
      "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
      answered("304 Not Modified", [], ["content-length: 5"]),
    ),
    answers("304 with chunks", `HTTP/1.1 304 Not Modified\r\n${CHUNKED}\r\n\r\n`, answered("304 Not Modified", [], [])),
    ...(
      [
        ["HEAD with a length", `${OK}content-length: 5\r\n\r\n`, ["content-length: 5"]],
        ["HEAD with chunks", `${OK}${CHUNKED}\r\n\r\n`, []],
        ["HEAD without either", `${OK}\r\n`, []],
      ] as const
    ).map(([title, answer, framing]) =>
      answers(title, answer, answered("200 OK", [], framing), { send: request("HEAD /"), backendGets: seen("HEAD /") }),
    ),
  ],
  "interim responses pass:": [
    answers(
      "103, with its fields",
      `HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nX-A:b\r\n\r\n${OK}${EMPTY}\r\n\r\n`,
      head("HTTP/1.1 103 Early Hints", "link: </a>", "X-A: b") + answered("200 OK", [], [EMPTY]),
    ),
    answers(
      "102, twice",
      `${"HTTP/1.1 102 Processing\r\n\r\n".repeat(2)}${OK}${EMPTY}\r\n\r\n`,
      `${"HTTP/1.1 102 Processing\r\n\r\n".repeat(2)}${answered("200 OK", [], [EMPTY])}`,
    ),
    answers(
      "100 that was not asked for",
      `HTTP/1.1 100 Continue\r\n\r\n${OK}${EMPTY}\r\n\r\n`,
      `HTTP/1.1 100 Continue\r\n\r\n${answered("200 OK", [], [EMPTY])}`,
    ),
    answers(
      "one that is not known",
      `HTTP/1.1 199 x\r\n\r\n${OK}${EMPTY}\r\n\r\n`,
      `HTTP/1.1 199 x\r\n\r\n${answered("200 OK", [], [EMPTY])}`,
    ),
    answers(
      "without what would frame them",
      `HTTP/1.1 103 x\r\ncontent-length: 5\r\nconnection: close\r\n\r\n${OK}${EMPTY}\r\n\r\n`,
      `HTTP/1.1 103 x\r\n\r\n${answered("200 OK", [], [EMPTY])}`,
    ),
  ],
  "fields of a response:": [
    answers(
      "pass in case, order and number",
      `${OK}Set-Cookie: a=b\r\nX-MiXeD:c\r\nset-cookie: d=e\r\n${EMPTY}\r\n\r\n`,
      answered("200 OK", ["Set-Cookie: a=b", "X-MiXeD: c", "set-cookie: d=e"], [EMPTY]),
    ),
    answers("with underscores pass", `${OK}x_a: 1\r\n${EMPTY}\r\n\r\n`, answered("200 OK", ["x_a: 1"], [EMPTY])),
    answers(
      "hop-by-hop stay behind",
      `${OK}keep-alive: timeout=5\r\nproxy-connection: x\r\nupgrade: h2c\r\nte: x\r\nproxy-authenticate: Basic\r\ntrailer: x\r\n${EMPTY}\r\n\r\n`,
      answered("200 OK", [], [EMPTY]),
    ),
    answers(
      "named in Connection stay behind",
      `${OK}connection: X-A\r\nx-a: 1\r\nx-b: 2\r\n${EMPTY}\r\n\r\n`,
      answered("200 OK", ["x-b: 2"], [EMPTY]),
    ),
    answers(
      "for every recipient cannot be named away",
      `${OK}connection: content-length, set-cookie, etag\r\nset-cookie: a\r\netag: b\r\ncontent-length: 1\r\n\r\nx`,
      answered("200 OK", ["set-cookie: a", "etag: b"], ["content-length: 1"], "x"),
    ),
    answers(
      "that the edge writes itself: Server is its own, Via and Date are kept",
      `${OK}server: apache\r\nvia: 1.0 a\r\nVia: 1.1 b\r\ndate: yesterday\r\nfly-request-id: x\r\n${EMPTY}\r\n\r\n`,
      answered("200 OK", ["date: yesterday"], [EMPTY]).replace("<edge>", "<edge: dated; via 1.0 a, 1.1 b>"),
    ),
  ],
  "a response that is malformed is a 502, and its connection is not used again:": [
    bad("no HTTP", "hello\r\n\r\n"),
    bad("HTTP/0.9", "hello\r\n\r\nhello\r\n\r\n"),
    bad("HTTP/1.2", `HTTP/1.2 200 OK\r\n${EMPTY}\r\n\r\n`),
    bad("HTTP/2", "HTTP/2 200\r\n\r\n"),
    bad("a version in lower case", `http/1.1 200 OK\r\n${EMPTY}\r\n\r\n`),
    bad("a status of two digits", `HTTP/1.1 20 OK\r\n${EMPTY}\r\n\r\n`),
    bad("a status of four digits", `HTTP/1.1 2000 OK\r\n${EMPTY}\r\n\r\n`),
    bad("a status of letters", `HTTP/1.1 2x0 OK\r\n${EMPTY}\r\n\r\n`),
    bad("a status beyond 599", `HTTP/1.1 600 OK\r\n${EMPTY}\r\n\r\n`),
    bad("a status below 100", `HTTP/1.1 099 OK\r\n${EMPTY}\r\n\r\n`),
    bad("two spaces before the status", `HTTP/1.1  200 OK\r\n${EMPTY}\r\n\r\n`),
    bad("a tab behind the status", `HTTP/1.1 200\tOK\r\n${EMPTY}\r\n\r\n`),
    bad("a control byte in the reason", `HTTP/1.1 200 O\x01K\r\n${EMPTY}\r\n\r\n`),
    bad("an empty line first", `\r\n${OK}${EMPTY}\r\n\r\n`),
    bad("bare line feeds", `HTTP/1.1 200 OK\n${EMPTY}\n\n`),
    bad("a bare carriage return in a field", `${OK}x-a: 1\r2\r\n${EMPTY}\r\n\r\n`),
    bad("a NUL in a field", `${OK}x-a: \0\r\n${EMPTY}\r\n\r\n`),
    bad("a folded field", `${OK}x-a: 1\r\n 2\r\n${EMPTY}\r\n\r\n`),
    bad("a space before a colon", `${OK}content-length : 0\r\n\r\n`),
    bad("an empty name", `${OK}: x\r\n${EMPTY}\r\n\r\n`),
    bad("a length and chunks", `${OK}content-length: 5\r\n${CHUNKED}\r\n\r\n0\r\n\r\n`),
    bad("two lengths", `${OK}content-length: 1\r\ncontent-length: 1\r\n\r\nx`),
    bad("a list of lengths", `${OK}content-length: 1, 1\r\n\r\nx`),
    bad("a length with a sign", `${OK}content-length: +1\r\n\r\nx`),
    bad("a negative length", `${OK}content-length: -1\r\n\r\n`),
    bad("another coding", `${OK}transfer-encoding: gzip\r\n\r\n`),
    bad("another coding before chunks", `${OK}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`),
    bad("chunks in HTTP/1.0", `HTTP/1.0 200 OK\r\n${CHUNKED}\r\n\r\n0\r\n\r\n`),
    bad("a bad length with 204", "HTTP/1.1 204 x\r\ncontent-length: x\r\n\r\n"),
    bad("an interim response of HTTP/1.0", `HTTP/1.0 103 x\r\n\r\n${OK}${EMPTY}\r\n\r\n`),
    bad("a field that is too large", `${OK}x-a: ${"a".repeat(40_000)}\r\n\r\n`),
    bad("too many fields", `${OK}${"x: y\r\n".repeat(101)}\r\n`),
  ],
  "a response that is cut short ends in a way that nobody takes for complete:": [
    ends("in a length", `${OK}content-length: 10\r\n\r\nhello`, answered("200 OK", [], ["content-length: 10"], "hello"), {
      afterwards: "reset",
    }),
    ends("in a chunk", `${OK}${CHUNKED}\r\n\r\n5\r\nhel`, answered("200 OK", [], [CHUNKED], "3\r\nhel\r\n"), { afterwards: "reset" }),
    ends("between chunks", `${OK}${CHUNKED}\r\n\r\n3\r\nhel\r\n`, answered("200 OK", [], [CHUNKED], "3\r\nhel\r\n"), {
      afterwards: "reset",
    }),
    ends(
      "before the end of the last chunk",
      `${OK}${CHUNKED}\r\n\r\n3\r\nhel\r\n0\r\n`,
      answered("200 OK", [], [CHUNKED], "3\r\nhel\r\n"),
      {
        afterwards: "reset",
      },
    ),
    answers("by a chunk that is none", `${OK}${CHUNKED}\r\n\r\n3\r\nhel\r\nx\r\n`, answered("200 OK", [], [CHUNKED], "3\r\nhel\r\n"), {
      afterwards: "reset",
    }),
    ends("in the head", `${OK}content-le`, error("upstream_closed").replace(", closed", ""), {
      send: request("POST /"),
      backendGets: seen("POST /"),
    }),
  ],
  "bytes that nobody asked for reach nobody:": [
    ...(
      [
        ["behind a length", `${OK}content-length: 2\r\n\r\nokSTOLEN`, ["content-length: 2"], "ok"],
        ["a second response", `${OK}content-length: 2\r\n\r\nok${OK}content-length: 6\r\n\r\nSTOLEN`, ["content-length: 2"], "ok"],
        [
          "behind the last chunk",
          `${OK}${CHUNKED}\r\n\r\n2\r\nok\r\n0\r\n\r\n${OK}content-length: 6\r\n\r\nSTOLEN`,
          [CHUNKED],
          "2\r\nok\r\n0\r\n\r\n",
        ],
        ["behind a length of nothing", `${OK}${EMPTY}\r\n\r\nSTOLEN`, [EMPTY], ""],
        ["one CRLF too many", `${OK}${EMPTY}\r\n\r\n\r\n`, [EMPTY], ""],
      ] as const
    ).map(([title, answer, framing, body]) => answers(title, answer, answered("200 OK", [], framing, body), { machineKept: false })),
    answers("a body to HEAD", `${OK}content-length: 6\r\n\r\nSTOLEN`, answered("200 OK", [], ["content-length: 6"]), {
      send: request("HEAD /"),
      backendGets: seen("HEAD /"),
      machineKept: false,
    }),
    answers("a body with 204", "HTTP/1.1 204 x\r\n\r\nSTOLEN", answered("204 x", [], []), { machineKept: false }),
    answers("a body with 304", "HTTP/1.1 304 x\r\n\r\nSTOLEN", answered("304 x", [], []), { machineKept: false }),
  ],
};
