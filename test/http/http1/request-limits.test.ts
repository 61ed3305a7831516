// The limits of a request, exactly at them and one beyond, however the bytes are cut.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { RequestLimits } from "../../../src/http/http1/request-decoder.ts";
import { latin1, readRequests } from "./readers.ts";
import { chunked, get, HOST } from "./request-cases.ts";

const LIMITS: RequestLimits = {
  headBytes: 256,
  targetBytes: 64,
  headers: 8,
  underscores: "pass",
  trailerBytes: 8192,
  trailers: 32,
  chunkExtensionBytes: 4096,
};

/** A request whose head has exactly this many bytes, the empty line included. */
function headOf(bytes: number, begin = "GET / HTTP/1.1\r\n"): string {
  const rest = `${begin}${HOST}A: \r\n\r\n`;
  return rest.replace("A: ", `A: ${"a".repeat(bytes - rest.length)}`);
}

const targetOf = (bytes: number): string => `GET /${"t".repeat(bytes - 1)} HTTP/1.1\r\n${HOST}\r\n`;
const countOf = (fields: number): string => get(...Array.from({ length: fields - 1 }, (_, index) => `N${index}: v`));

/** In one piece, byte by byte, in two pieces and in pieces of odd sizes. */
function resultsOf(text: string): Set<string> {
  const bytes = latin1(text);
  const pieces = (size: number): Buffer[] =>
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
  const ways = [[bytes], ...[1, 7, 64, 100, 255, 256, 257, 258].map(pieces)];
  return new Set(ways.map((way) => readRequests(way, LIMITS)).map(({ requests, error }) => error ?? `${requests.length} complete`));
}

const CASES: readonly (readonly [title: string, text: string, result: string])[] = [
  ["a head of as many bytes as allowed is read", headOf(256), "1 complete"],
  ["a head of one byte more is refused", headOf(257), "head_too_large"],
  ["an empty line before the request does not count", `\r\n${headOf(256)}`, "1 complete"],
  ["an empty line before the request does not help", `\r\n${headOf(257)}`, "head_too_large"],
  ["each head counts for itself", headOf(256) + headOf(256), "2 complete"],
  ["a head far beyond the limit is refused", headOf(5000), "head_too_large"],
  ["a head that never ends is refused as soon as it is too large", headOf(300).slice(0, 257), "head_too_large"],
  ["a head that may still end is waited for", headOf(300).slice(0, 256), "0 complete"],
  ["a target of as many bytes as allowed is read", targetOf(64), "1 complete"],
  ["a target of one byte more is refused", targetOf(65), "target_too_long"],
  ["a target longer than a head may be is refused as a target", targetOf(5000), "target_too_long"],
  ["a target that never ends is refused as a target", `GET /${"t".repeat(1000)}`, "target_too_long"],
  ["as many fields as allowed are read", countOf(8), "1 complete"],
  ["one field more is refused", countOf(9), "head_too_large"],
  ["a bare line feed is not waited out", `${headOf(200).slice(0, 150)}\n`, "bad_header"],
];

for (const [title, text, result] of CASES) test(title, () => assert.deepEqual([...resultsOf(text)], [result]));

const { chunkExtensionBytes: EXTENSION_BYTES, trailerBytes: TRAILER_BYTES } = LIMITS;

for (const size of [1, 10_000]) {
  const read = (text: string): string | null => {
    const bytes = latin1(text);
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
    const { requests, error } = readRequests(pieces);
    return error ?? String(requests[0]?.isComplete);
  };
  const how = size === 1 ? "byte by byte" : "in large pieces";

  test(`chunk extensions are limited over the whole body, ${how}`, () => {
    const extensions = (bytes: number): string => chunked(`1;${"e".repeat(bytes - 100)}\r\nx\r\n0;${"f".repeat(100)}\r\n\r\n`);
    assert.equal(read(extensions(EXTENSION_BYTES)), "true");
    assert.equal(read(extensions(EXTENSION_BYTES + 1)), "bad_framing");
  });

  test(`quoted extensions count like others, ${how}`, () => {
    const extensions = (bytes: number): string => chunked(`1;a="${"\\q".repeat((bytes - 4) / 2)}"\r\nx\r\n0\r\n\r\n`);
    assert.equal(read(extensions(EXTENSION_BYTES)), "true");
    assert.equal(read(extensions(EXTENSION_BYTES + 2)), "bad_framing");
  });

  test(`trailers are limited, their line ends included, ${how}`, () => {
    const trailers = (bytes: number): string => chunked(`0\r\nA: b\r\nT: ${"t".repeat(bytes - 11)}\r\n\r\n`);
    assert.equal(read(trailers(TRAILER_BYTES)), "true");
    assert.equal(read(trailers(TRAILER_BYTES + 1)), "head_too_large");
  });

  test(`trailers are counted, also those that are dropped, ${how}`, () => {
    const trailers = (count: number): string => chunked(`0\r\n${"Date: x\r\n".repeat(count)}\r\n`);
    assert.equal(read(trailers(LIMITS.trailers)), "true");
    assert.equal(read(trailers(LIMITS.trailers + 1)), "head_too_large");
  });
}
