// How a Postgres client begins.

import assert from "node:assert/strict";
import { test } from "node:test";
import { postgresError, readPostgresStart } from "../../src/http/postgres-start.ts";

const packet = (code: number, length = 8): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(code, 4);
  return bytes;
};

test("its requests are known as soon as they are whole, and all else at the first byte that shows it", () => {
  for (const [bytes, kind] of [
    [packet(80877103), "ssl_request"],
    [packet(80877104), "gss_request"],
  ] as const) {
    for (let length = 0; length < 8; length++) assert.equal(readPostgresStart(bytes.subarray(0, length)), null);
    assert.equal(readPostgresStart(bytes), kind);
    assert.equal(readPostgresStart(Buffer.concat([bytes, Buffer.from("x")])), kind);
  }
  assert.equal(readPostgresStart(Buffer.from([22])), "tls");
  assert.equal(readPostgresStart(packet(196608, 41)), "plain");
  assert.equal(readPostgresStart(packet(196608, 41).subarray(0, 4)), "plain");
  assert.equal(readPostgresStart(packet(80877102, 16)), "plain");
  assert.equal(readPostgresStart(packet(80877103, 9)), "plain");
  assert.equal(readPostgresStart(Buffer.from("GET")), "plain");
});

test("an error has its length, its severity twice, its state and its text", () => {
  assert.equal(postgresError("28000", "no").toString("latin1"), "E\0\0\0\x1eSFATAL\0VFATAL\0C28000\0Mno\0\0");
});
