// What the HTTP/1.1 codec alone costs: nanoseconds a message, median of rounds. `node bench/micro/codec.ts [rounds]`

import { CHUNK_END, chunkStart, encodeRequestHead, encodeResponseHead, framingLine } from "../../src/http/http1/encode.ts";
import { RequestDecoder, type Http1RequestHead } from "../../src/http/http1/request-decoder.ts";
import { ResponseDecoder, type Http1ResponseHead } from "../../src/http/http1/response-decoder.ts";
import type { ResponseSink } from "../../src/http/message.ts";

const ROUNDS = Number(process.argv[2] ?? 15);
const MESSAGES = 50_000;
const LIMITS = {
  headBytes: 16 * 1024,
  targetBytes: 8 * 1024,
  headers: 100,
  underscores: "drop" as const,
  trailerBytes: 8192,
  trailers: 32,
  chunkExtensionBytes: 4096,
};
/** Every message gets another text, so that no string made for one is still known for the next. */
const VARIANTS = 64;

const browserRequest = (n: number): string =>
  `GET /static/app.${n}.js?v=${n * 7919} HTTP/1.1\r\n` +
  "Host: hello.localhost:8080\r\n" +
  "Connection: keep-alive\r\n" +
  'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24"\r\n' +
  "sec-ch-ua-mobile: ?0\r\n" +
  'sec-ch-ua-platform: "Linux"\r\n' +
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
  "Sec-Fetch-Site: same-origin\r\n" +
  "Sec-Fetch-Mode: navigate\r\n" +
  "Referer: http://hello.localhost:8080/\r\n" +
  "Accept-Encoding: gzip, deflate, br, zstd\r\n" +
  "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
  `Cookie: session=${n}abcdef0123456789; theme=dark\r\n\r\n`;

const appResponse = (n: number): string =>
  "HTTP/1.1 200 OK\r\n" +
  "Content-Type: application/json; charset=utf-8\r\n" +
  "Content-Length: 100\r\n" +
  "Cache-Control: private, max-age=0, must-revalidate\r\n" +
  `ETag: W/"64-${n}KkZ8yq"\r\n` +
  `X-Request-Id: 8d3f1c52-${n}-4c6e\r\n` +
  "Vary: Accept-Encoding, Origin\r\n" +
  "Strict-Transport-Security: max-age=31536000\r\n" +
  "X-Content-Type-Options: nosniff\r\n" +
  "Access-Control-Allow-Origin: *\r\n" +
  `Set-Cookie: sid=${n}; Path=/; HttpOnly; SameSite=Lax\r\n` +
  "Date: Tue, 04 Mar 2025 10:20:30 GMT\r\n" +
  "Connection: keep-alive\r\n" +
  `Keep-Alive: timeout=5\r\n\r\n${"x".repeat(100)}`;

const bare = (n: number): string => `GET /${n} HTTP/1.1\r\nHost: a\r\n\r\n`;
const chunked = (n: number): string =>
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-N: ${n}\r\n\r\n${"64\r\n".concat("x".repeat(100), "\r\n").repeat(20)}0\r\n\r\n`;

const variants = (make: (n: number) => string): Buffer[] =>
  Array.from({ length: VARIANTS }, (_, n) => Buffer.from(make(n + 100), "latin1"));

/** Adds up what was read, so that no work can be left out. */
let checksum = 0;

function decodeRequests(inputs: readonly Buffer[], onHead: (head: Http1RequestHead) => void): () => void {
  const sink = {
    onHead,
    onData: (_: Buffer, start: number, end: number) => void (checksum += end - start),
    onTrailers: () => undefined,
    onEnd: () => undefined,
  };
  const decoder = new RequestDecoder(LIMITS, sink);
  return () => {
    for (let n = 0; n < MESSAGES; n++) {
      const bytes = inputs[n & (VARIANTS - 1)]!;
      decoder.decode(bytes, 0, bytes.length);
      decoder.next();
    }
  };
}

function decodeResponses(inputs: readonly Buffer[], onHead: (head: Http1ResponseHead) => void): () => void {
  const sink = {
    onInterim: () => undefined,
    onHead,
    onData: (_: Buffer, start: number, end: number) => void (checksum += end - start),
    onTrailers: () => undefined,
    onEnd: () => undefined,
  };
  const decoder = new ResponseDecoder(LIMITS);
  return () => {
    for (let n = 0; n < MESSAGES; n++) {
      const bytes = inputs[n & (VARIANTS - 1)]!;
      decoder.expect(sink as ResponseSink, false);
      decoder.decode(bytes, 0, bytes.length);
    }
  };
}

const out = Buffer.alloc(64 * 1024);
const added = "fly-client-ip: 127.0.0.1\r\nfly-region: ams\r\nx-forwarded-proto: http\r\nvia: 1.1 kittiwake\r\n";
const write = (text: string): void => void (checksum += out.write(text, 0, "latin1"));

const SCENARIOS: Readonly<Record<string, () => void>> = {
  "request, bare: decode": decodeRequests(variants(bare), (head) => void (checksum += head.target.length)),
  "request, browser's: decode": decodeRequests(variants(browserRequest), (head) => void (checksum += head.target.length)),
  "request, browser's: decode, encode, write": decodeRequests(variants(browserRequest), (head) => write(encodeRequestHead(head, added))),
  "response, app's: decode": decodeResponses(variants(appResponse), (head) => void (checksum += head.status)),
  "response, app's: decode, encode, write": decodeResponses(variants(appResponse), (head) => {
    write(encodeResponseHead(head, added + framingLine(head.body, head.contentLength)));
  }),
  "response of 20 chunks: decode": decodeResponses(variants(chunked), (head) => void (checksum += head.status)),
  "frame a chunk": () => {
    for (let n = 0; n < MESSAGES; n++) write(chunkStart(n) + CHUNK_END);
  },
};

const results = new Map<string, number[]>(Object.keys(SCENARIOS).map((name) => [name, []]));
// In turns, so that a slow moment of the machine does not fall on one scenario alone. The first rounds are for the compiler.
for (let round = -3; round < ROUNDS; round++) {
  for (const [name, run] of Object.entries(SCENARIOS)) {
    const begun = process.hrtime.bigint();
    run();
    if (round >= 0) results.get(name)!.push(Number(process.hrtime.bigint() - begun) / MESSAGES);
  }
}
for (const [name, times] of results) {
  const sorted = times.toSorted((a, b) => a - b);
  console.log(`${name.padEnd(44)} ${sorted[sorted.length >> 1]!.toFixed(0).padStart(6)} ns   (best ${sorted[0]!.toFixed(0)})`);
}
if (checksum === 0) throw new Error("nothing was read");
