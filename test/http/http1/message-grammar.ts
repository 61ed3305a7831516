// Messages for the fuzz tests, drawn from a grammar so that most of them are almost valid: right in all but the one or two places where
// two readers might disagree. The places that proxies have been tricked with get the most weight.

import fc from "fast-check";

/** Bytes that end, split or hide something for one reader or another. */
const SPECIAL = [
  "\r",
  "\n",
  "\r\n",
  "\r\n\r\n",
  "\0",
  " ",
  "\t",
  ":",
  ",",
  ";",
  '"',
  "\\",
  "\x0b",
  "\x0c",
  "\x7f",
  "\x80",
  "\xa0",
  "\xff",
  "_",
  "0",
  "x",
];

const VALUES: Readonly<Record<string, readonly string[]>> = {
  "Content-Length": [
    "0",
    "5",
    "05",
    "5, 5",
    "+5",
    "-1",
    "0x5",
    "5 ",
    " 5",
    "5\t",
    "",
    "5;",
    "99999999999999999999",
    "4294967296",
    "1e1",
    '"5"',
  ],
  "Transfer-Encoding": [
    "chunked",
    "Chunked",
    "chunked ",
    "identity",
    "gzip",
    "gzip, chunked",
    "chunked, chunked",
    "chunked;q=1",
    "",
    ",chunked",
    "\tchunked",
    "xchunked",
    "chunked,",
  ],
  Connection: [
    "close",
    "keep-alive",
    "Close",
    "Keep-Alive",
    "upgrade",
    "close, keep-alive",
    "keep-alive,close",
    "x-a",
    "host",
    "content-length",
    "close,",
    " , close",
    "closed",
    "close;",
    "te, close",
    "Upgrade, close",
    "keep-alive keep-alive",
    "clo\tse",
  ],
  Upgrade: ["websocket", "h2c", "a, b", ""],
  Expect: ["100-continue", "100-Continue", "x", ""],
  Host: ["example.com", "EXAMPLE.com:80", "[::1]:80", "", "a b", "a,b", "other", "example.com."],
  TE: ["trailers", ""],
  Trailer: ["x"],
  "Keep-Alive": ["timeout=5"],
  "Proxy-Connection": ["close", "keep-alive"],
  "X-A": ["1", "a b", "\x80", " x ", "", "a:b", "é"],
  Cookie: ["a=b; c=d"],
};

const among = (...values: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...values);
const mostly = (usual: fc.Arbitrary<string>, odd: fc.Arbitrary<string>, weight = 20): fc.Arbitrary<string> =>
  fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: odd });
const ofBytes = (maxLength: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString("latin1"));

const oddCase = (text: string): fc.Arbitrary<string> =>
  fc.constantFrom(
    text,
    text,
    text.toLowerCase(),
    text.toUpperCase(),
    text.replaceAll(/[A-Za-z]/g, (c, at: number) => (at % 2 ? c.toUpperCase() : c.toLowerCase())),
  );

const name = mostly(
  among(...Object.keys(VALUES)).chain(oddCase),
  among("Content_Length", "Content-Length ", " Content-Length", "Transfer-Encoding\t", "", "a\0", "X\x80", "Transfer-Encodin", "Host:"),
  30,
);
const colon = mostly(among(": ", ": ", ":", ":  ", ":\t"), among(" :", "::", "", "\t: "));
const end = mostly(fc.constant("\r\n"), among("\n", "\r", "\r\r\n", "\n\r\n", "\r\n ", "\r\n\t"), 60);

const field = fc.tuple(name, colon, end).chain(([key, middle, last]) => {
  const known = VALUES[Object.keys(VALUES).find((known) => known.toLowerCase() === key.toLowerCase()) ?? ""] ?? ["v"];
  return mostly(among(...known), ofBytes(8), 15).map((value) => key + middle + value + last);
});
/** Fields that frame nothing, so that most messages are valid. */
const harmless = fc
  .tuple(among("X-A", "Cookie", "Accept", "TE", "Upgrade"), among("a", "b c", "", "x\ty"))
  .map(([key, value]) => `${key}: ${value}\r\n`);
const connection = among(...VALUES["Connection"]!).map((value) => `Connection: ${value}\r\n`);
const fields = fc
  .array(fc.oneof({ weight: 6, arbitrary: harmless }, { weight: 2, arbitrary: connection }, { weight: 2, arbitrary: field }), {
    maxLength: 5,
  })
  .map((lines) => lines.join(""));

const extension = mostly(
  fc.constant(""),
  among(
    ";a",
    ";a=b",
    ';a="b;\\"c"',
    ";a;b=c",
    " ;a",
    "; a",
    ";",
    ";a=",
    ";a b",
    ';a="b',
    ";a=b=c",
    ";\ta",
    ";a =b",
    ";\x80",
    " ",
    "\t",
    ';a="\x80"',
  ),
  3,
);
const chunk = fc
  .tuple(ofBytes(20), extension, mostly(fc.constant("\r\n"), among("\n", "\r", ""), 40), among("", "", "", "0", "000"))
  .map(([data, ext, last, zeros]) => (data === "" ? "" : `${zeros}${data.length.toString(16)}${ext}\r\n${data}${last}`));
const lastChunk = fc
  .tuple(
    mostly(fc.constant("0"), among("00", "0x0", "-0", "", "+0", "0;a"), 20),
    fc.array(mostly(among("T: v\r\n", "X-B:\r\n"), field, 3), { maxLength: 2 }),
    end,
  )
  .map(([zero, trailers, last]) => `${zero}\r\n${trailers.join("")}${last}`);

interface Framed {
  readonly line: string;
  readonly body: string;
}

const framed: fc.Arbitrary<Framed> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ line: "", body: "" }) },
  { weight: 3, arbitrary: ofBytes(30).map((body) => ({ line: `Content-Length: ${body.length}\r\n`, body })) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        fc.array(chunk, { maxLength: 4 }),
        lastChunk,
        oddCase("Transfer-Encoding"),
        mostly(among("chunked"), among("Chunked", "chunked\t"), 8),
      )
      .map(([chunks, last, key, value]) => ({
        line: `${key}: ${value}\r\n`,
        body: chunks.join("") + last,
      })),
  },
);

const METHOD = mostly(
  among("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE"),
  among("get", "M-SEARCH", "FOO", "CONNECT", "", "G(T", "PRI", "SOURCE"),
  12,
);
const TARGET = mostly(
  among("/", "/a?b=c", "/%00", "//x/../y", '/a;b,c|d{e}^`"<>\\~[]', "http://example.com/x", "http://example.com?y", "/a:b@c"),
  among(
    "*",
    "",
    "a",
    "/a b",
    "/#",
    "/\0",
    "/\xe9",
    "/\t",
    "http://other/",
    "HTTP://Example.com",
    "https://u@example.com/",
    "http:///",
    "http://example.com:80/",
    "?a",
    "example.com:80",
    "ws://example.com/",
  ),
  8,
);
const VERSION = fc.oneof(
  { weight: 12, arbitrary: fc.constant("HTTP/1.1") },
  { weight: 3, arbitrary: fc.constant("HTTP/1.0") },
  { weight: 1, arbitrary: among("HTTP/0.9", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/1.2", "HTTP/01.1", "HTTP/1,1", "") },
);
const HOST = mostly(fc.constant("Host: example.com\r\n"), fc.constant(""), 30);

const request = fc
  .tuple(METHOD, TARGET, VERSION, HOST, fields, framed, fc.boolean())
  .map(([method, target, version, host, lines, { line, body }, first]) => {
    return `${method} ${target} ${version}\r\n${host}${first ? line + lines : lines + line}\r\n${body}`;
  });

const STATUS = mostly(
  among("200 OK", "204 No Content", "304 Not Modified", "404 Not Found", "500 ", "206 x"),
  among("200", "99 x", "600 x", "2000 x", "101 x", "20x x", "999 x", "200\tOK", "200  OK", " 200 OK", "-20 x", "200 \x80", "200 \0"),
  10,
);
const INTERIM = mostly(
  fc.constant(""),
  among(
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "HTTP/1.1 102 x\r\n\r\n",
    "HTTP/1.1 100\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.0 100 x\r\n\r\n",
    "HTTP/1.1 199 x\r\n\r\n",
    "\r\n",
  ),
  3,
);

const response = fc
  .tuple(INTERIM, VERSION, STATUS, fields, framed, fc.boolean(), mostly(fc.constant(""), ofBytes(8), 3))
  .map(
    ([interim, version, status, lines, { line, body }, first, junk]) =>
      `${interim}${version} ${status}\r\n${first ? line + lines : lines + line}\r\n${body}${junk}`,
  );

/** Small damage anywhere. */
interface Mutation {
  readonly kind: "insert" | "delete" | "flip" | "repeat_line" | "swap_lines";
  /** Where, as a fraction of the length. */
  readonly at: number;
  readonly text: string;
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom("insert", "insert", "insert", "delete", "flip", "repeat_line", "swap_lines"),
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  text: among(...SPECIAL),
});

function mutate(text: string, { kind, at, text: inserted }: Mutation): string {
  const position = Math.floor(at * text.length);
  switch (kind) {
    case "insert":
      return text.slice(0, position) + inserted + text.slice(position);
    case "delete":
      return text.slice(0, position) + text.slice(position + 1);
    case "flip":
      return (
        text.slice(0, position) +
        String.fromCharCode(text.charCodeAt(position) ^ (1 << (inserted.charCodeAt(0) & 7))) +
        text.slice(position + 1)
      );
    default: {
      const lines = text.split("\r\n");
      const index = Math.floor(at * lines.length);
      if (kind === "repeat_line") lines.splice(index, 0, lines[index]!);
      else [lines[0], lines[index]] = [lines[index]!, lines[0]!];
      return lines.join("\r\n");
    }
  }
}

const mutations = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Mutation[]>([]) },
  { weight: 3, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 2 }) },
);

const damaged = (message: fc.Arbitrary<string>): fc.Arbitrary<Buffer> =>
  fc.tuple(message, mutations).map(([text, damage]) =>
    Buffer.from(
      damage.reduce((result, one) => (result === "" ? result : mutate(result, one)), text),
      "latin1",
    ),
  );

/** One to three requests, one behind the other. */
export const requestBytes: fc.Arbitrary<Buffer> = damaged(
  fc
    .tuple(mostly(fc.constant(""), among("\r\n", "\n", "\r\n\r\n", " "), 12), fc.array(request, { minLength: 1, maxLength: 3 }))
    .map(([before, requests]) => before + requests.join("")),
);

/** One response, perhaps with interim ones before it and junk behind it. */
export const responseBytes: fc.Arbitrary<Buffer> = damaged(response);

/** Sizes of the pieces that bytes arrive in; the last piece is the rest. */
export const pieceSizes: fc.Arbitrary<number[]> = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 8 });

export function cutBy(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let position = 0;
  for (const size of sizes) {
    if (position < bytes.length) pieces.push(bytes.subarray(position, position + size));
    position += size;
  }
  if (position < bytes.length) pieces.push(bytes.subarray(position));
  return pieces;
}
