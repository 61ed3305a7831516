import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { isCompressible } from "../../src/edge/compressible.ts";

const GAIN = [
  "text/html",
  "text/html; charset=utf-8",
  "TEXT/CSS",
  "text/plain",
  "text/markdown;x=y",
  "application/json",
  "application/problem+json",
  "application/ld+json",
  "application/javascript",
  "application/xml",
  "application/rss+xml",
  "image/svg+xml",
  "application/wasm",
  "application/manifest+json",
  "application/x-ndjson",
  "font/ttf",
];
const DO_NOT = [
  null,
  "",
  "image/png",
  "image/jpeg",
  "image/webp",
  "video/mp4",
  "audio/mpeg",
  "application/zip",
  "application/gzip",
  "application/pdf",
  "application/octet-stream",
  "font/woff2",
  "font/woff",
  "text/event-stream",
  "text/event-stream; charset=utf-8",
  "application/grpc",
  "application/grpc+json",
  "application/grpc-web+proto",
  "multipart/form-data",
  "textual/html",
  "constructor",
];

for (const type of GAIN) test(`${type} gains`, () => assert.equal(isCompressible(type), true));
for (const type of DO_NOT) test(`${JSON.stringify(type)} does not`, () => assert.equal(isCompressible(type), false));

test("docs/http.md names every type of the list", () => {
  const docs = readFileSync(new URL("../../docs/http.md", import.meta.url), "utf8");
  const source = readFileSync(new URL("../../src/edge/compressible.ts", import.meta.url), "utf8");
  const types = Array.from(source.matchAll(/^ {2}"([\w./-]+)",$/gm), ([, type]) => type!);
  assert.ok(types.length > 10);
  for (const type of types) assert.ok(docs.includes(`\`${type}\``), type);
});
