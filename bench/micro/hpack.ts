// What HPACK alone costs: nanoseconds of CPU a head, median of rounds, and the bytes of a head. `node bench/micro/hpack.ts [rounds]`

import { ResponseDecoder, type Http1ResponseHead } from "../../src/http/http1/response-decoder.ts";
import { FieldCache } from "../../src/http/http2/field-cache.ts";
import { FieldList } from "../../src/http/http2/field-list.ts";
import { HpackDecoder } from "../../src/http/http2/hpack-decoder.ts";
import { HpackEncoder } from "../../src/http/http2/hpack-encoder.ts";
import { ResponseEncoder } from "../../src/http/http2/response-encoder.ts";
import { STATIC_TABLE } from "../../src/http/http2/static-table.ts";
import type { ResponseSink } from "../../src/http/message.ts";
import { huffmanCoded } from "../../test/support/hpack-reader.ts";

const ROUNDS = Number(process.argv[2] ?? 15);
const HEADS = 20_000;
/** Every head gets other values where values change, so that nothing made for one is still known for the next. */
const VARIANTS = 1024;
const DECODING = { listBytes: 16 * 1024, maxFields: 100 };

type Field = readonly [name: string, value: string];

const browserRequest = (n: number): Field[] => [
  [":method", "GET"],
  [":authority", "hello.localhost:8443"],
  [":scheme", "https"],
  [":path", `/static/app.${n}.js?v=${n * 7919}`],
  ["sec-ch-ua", '"Chromium";v="140", "Not=A?Brand";v="24"'],
  ["sec-ch-ua-mobile", "?0"],
  ["sec-ch-ua-platform", '"Linux"'],
  ["user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"],
  ["accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"],
  ["sec-fetch-site", "same-origin"],
  ["referer", "https://hello.localhost:8443/"],
  ["accept-encoding", "gzip, deflate, br, zstd"],
  ["accept-language", "en-GB,en;q=0.9,de;q=0.8"],
  ["cookie", "session=100abcdef0123456789; theme=dark"],
];

const appResponse = (n: number): Field[] => [
  ["content-type", "application/json; charset=utf-8"],
  ["cache-control", "private, max-age=0, must-revalidate"],
  ["etag", `W/"64-${n * 7919}KkZ8yq"`],
  ["x-request-id", `8d3f1c52-${n * 104729}-4c6e`],
  ["vary", "Accept-Encoding, Origin"],
  ["strict-transport-security", "max-age=31536000"],
  ["x-content-type-options", "nosniff"],
  ["access-control-allow-origin", "*"],
  ["set-cookie", `sid=${n * 7919}; Path=/; HttpOnly; SameSite=Lax`],
  ["date", "Tue, 04 Mar 2025 10:20:30 GMT"],
];

/** Adds up what was read and written, so that no work can be left out. */
let checksum = 0;

/** As browsers encode: all Huffman-coded, everything into the table but paths. `isFirst`: nothing is in the table yet. */
function browserBlock(fields: readonly Field[], isFirst: boolean): Buffer {
  const out = Buffer.alloc(4096);
  let at = 0;
  let added = 0;
  const string = (text: string): void => {
    const coded = huffmanCoded(text);
    if (coded.length >= 0x7f) throw new Error("too long for this benchmark");
    out[at++] = 0x80 | coded.length;
    at += coded.copy(out, at);
  };
  for (const [name, value] of fields) {
    const whole = STATIC_TABLE.findIndex((entry) => entry.name === name && entry.value === value);
    const index = STATIC_TABLE.findIndex((entry) => entry.name === name);
    if (whole > 0) out[at++] = 0x80 | whole;
    else if (name === ":path") {
      out[at++] = index;
      string(value);
    } else if (!isFirst) out[at++] = 0x80 | (62 + TABLE_FIELDS - 1 - added++);
    else {
      out[at++] = 0x40 | Math.max(0, index);
      if (index === -1) string(name);
      string(value);
      added++;
    }
  }
  return Buffer.from(out.subarray(0, at));
}

/** Fields of a browser's request that are neither in the static table nor a path. */
const TABLE_FIELDS = 11;
const FIRST_BLOCK = browserBlock(browserRequest(1), true);
const LATER_BLOCKS = Array.from({ length: VARIANTS }, (_, n) => browserBlock(browserRequest(n + 100), false));

function decodeFirst(): void {
  const cache = new FieldCache();
  const list = new FieldList();
  for (let n = 0; n < HEADS; n++) {
    const decoder = new HpackDecoder({ cache, ...DECODING });
    list.clear();
    decoder.decode(FIRST_BLOCK, 0, FIRST_BLOCK.length, list);
    checksum += list.count;
  }
}

function decodeLater(variants: number): () => void {
  const decoder = new HpackDecoder({ cache: new FieldCache(), ...DECODING });
  const list = new FieldList();
  decoder.decode(FIRST_BLOCK, 0, FIRST_BLOCK.length, list);
  return () => {
    for (let n = 0; n < HEADS; n++) {
      const block = LATER_BLOCKS[n & (variants - 1)]!;
      list.clear();
      decoder.decode(block, 0, block.length, list);
      checksum += list.count + list.entries[3]!.value.length;
    }
  };
}

const LIMITS = { headBytes: 16 * 1024, headers: 100, chunkExtensionBytes: 1024, trailerBytes: 8 * 1024, trailers: 100 };
const RESPONSES = Array.from({ length: VARIANTS }, (_, n) => {
  const lines = appResponse(n + 100).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`HTTP/1.1 200 OK\r\n${lines.join("")}content-length: 0\r\n\r\n`, "latin1");
});
const out = Buffer.alloc(64 * 1024);
const OWN = { id: "01JNGZ8D3F1C52ABCDEFGHJKMN-ams", hsts: null, isPanic: false, cookies: null };

/** Responses as they come from a machine over HTTP/1.1, one after the other on one connection. */
function eachResponse(variants: number, onHead: (head: Http1ResponseHead) => void): () => void {
  const decoder = new ResponseDecoder(LIMITS);
  const sink = {
    onInterim: () => undefined,
    onHead,
    onData: () => undefined,
    onTrailers: () => undefined,
    onEnd: () => undefined,
  };
  return () => {
    for (let n = 0; n < HEADS; n++) {
      const bytes = RESPONSES[n & (variants - 1)]!;
      decoder.expect(sink as ResponseSink, false);
      decoder.decode(bytes, 0, bytes.length);
    }
  };
}

/** Of the last head of each scenario. */
const blockBytes = new Map<string, number>();

/** @param newEncoder for this head; undefined: the same one again */
function encodeResponses(name: string, variants: number, newEncoder: (() => HpackEncoder) | undefined): () => void {
  const responses = new ResponseEncoder(new FieldCache());
  let encoder = new HpackEncoder();
  return eachResponse(variants, (head) => {
    if (newEncoder !== undefined) encoder = newEncoder();
    encoder.begin(out, 9);
    responses.response(encoder, head, OWN, false);
    const bytes = encoder.end() - 9;
    checksum += bytes;
    blockBytes.set(name, bytes);
  });
}

const SCENARIOS: Record<string, () => void> = {
  "request of a browser, first of a connection: decode": decodeFirst,
  "request of a browser, later, another path: decode": decodeLater(VARIANTS),
  "request of a browser, later, the same path: decode": decodeLater(1),
};
const scenario = (name: string, make: (name: string) => () => void): void => void (SCENARIOS[name] = make(name));
scenario("response over HTTP/1.1: decode", () => eachResponse(VARIANTS, (head) => void (checksum += head.status)));
scenario("the same, first of a connection: and encode", (name) => encodeResponses(name, VARIANTS, () => new HpackEncoder()));
scenario("the same, later, etag, id, cookie change: and encode", (name) => encodeResponses(name, VARIANTS, undefined));
scenario("the same, later, nothing but the id changes: and encode", (name) => encodeResponses(name, 1, undefined));

const results = new Map<string, number[]>(Object.keys(SCENARIOS).map((name) => [name, []]));
// In turns, so that a slow moment of the machine does not fall on one scenario alone. The first rounds are for the compiler.
for (let round = -3; round < ROUNDS; round++) {
  for (const [name, run] of Object.entries(SCENARIOS)) {
    const begun = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(begun);
    if (round >= 0) results.get(name)!.push(((user + system) * 1000) / HEADS);
  }
}
for (const [name, times] of results) {
  const sorted = times.toSorted((a, b) => a - b);
  const bytes = blockBytes.has(name) ? `  ${blockBytes.get(name)} bytes` : "";
  const median = sorted[sorted.length >> 1]!.toFixed(0).padStart(6);
  console.log(`${name.padEnd(54)} ${median} ns   (best ${sorted[0]!.toFixed(0)})${bytes}`);
}
if (checksum === 0) throw new Error("nothing was done");
