import assert from "node:assert/strict";
import { test } from "node:test";

import { chooseCoding } from "../../src/http/content-coding.ts";

const TABLE: readonly (readonly [accepted: string | null, coding: string | null, refusesIdentity?: boolean])[] = [
  [null, null],
  ["", null],
  ["gzip", "gzip"],
  ["br", "br"],
  ["zstd", "zstd"],
  ["x-gzip", "gzip"],
  ["GZip", "gzip"],
  // Chromium, Firefox, curl --compressed, Go, Python's requests
  ["gzip, deflate, br, zstd", "zstd"],
  ["gzip, deflate, br", "br"],
  ["deflate, gzip, br, zstd", "zstd"],
  ["gzip", "gzip"],
  ["gzip, deflate", "gzip"],
  // Weights go first, then zstd before br before gzip
  ["gzip;q=1.0, br;q=0.9, zstd;q=0.8", "gzip"],
  ["gzip;q=0.5, br;q=0.9, zstd;q=0.8", "br"],
  ["gzip;q=0.5, br;q=0.5", "br"],
  ["gzip;q=0.001", "gzip"],
  ["gzip;q=0", null],
  ["gzip;q=0, br;q=0, zstd;q=0", null],
  ["br;q=0, gzip", "gzip"],
  // The star
  ["*", "zstd"],
  ["*;q=0", null, true],
  ["gzip, *;q=0", "gzip", true],
  ["zstd;q=0, *", "br"],
  ["gzip;q=0.5, *;q=0.1", "gzip"],
  ["*;q=0.5, gzip;q=0.1", "zstd"],
  ["identity, *;q=0", null],
  // Identity
  ["identity", null],
  ["gzip, identity", "gzip"],
  ["gzip;q=0.5, identity", null],
  ["gzip;q=0.5, identity;q=0.4", "gzip"],
  ["identity;q=0.5, gzip;q=0.5", "gzip"],
  ["identity;q=0", null, true],
  ["identity;q=0, gzip", "gzip", true],
  ["identity;q=0, gzip;q=0", null, true],
  ["identity;q=0, deflate", null, true],
  ["identity;q=0, *;q=0.1", "zstd", true],
  // What we do not speak, and what is none
  ["deflate, compress", null],
  ["gzip2", null],
  ["gzip;q=2", null],
  ["gzip;q=abc, br;q=0.1", "br"],
  ["__proto__, constructor", null],
  [",,,;;;, gzip ,", "gzip"],
];

for (const [accepted, coding, refusesIdentity = false] of TABLE) {
  test(`${JSON.stringify(accepted)} gets ${coding ?? "the content as it is"}${refusesIdentity ? ", and would rather not" : ""}`, () => {
    assert.deepEqual(chooseCoding(accepted), { coding, refusesIdentity });
  });
}
