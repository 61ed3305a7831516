import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode, encode } from "dns-packet";
import fc from "fast-check";
import { signatureProblem, signMessage, type TsigKey } from "../../../src/certs/dns/tsig.ts";
import { encodeName, encodeRecord, readName, readRecords } from "../../../src/certs/dns/wire.ts";
import { fuzzParameters } from "../../http/seed.ts";

const key: TsigKey = { name: "key.example", algorithm: "hmac-sha256", secret: Buffer.alloc(32, 7) };
const letters = [..."abcdefghijklmnopqrstuvwxyz0123456789-_"];
const label = fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 20 });
const name = fc.array(label, { minLength: 1, maxLength: 8 }).map((labels) => labels.join("."));

describe("names and records on the wire", () => {
  test("are read as they were written", () => {
    fc.assert(
      fc.property(name, (text) => {
        const encoded = encodeName(text.toUpperCase());
        assert.deepEqual(readName(encoded, 0), { name: text, end: encoded.length });
      }),
      fuzzParameters(500),
    );
    assert.deepEqual(readName(encodeName("."), 0), { name: ".", end: 1 });
  });

  test("are read as another implementation reads them", () => {
    const record = encodeRecord({ name: "x.example", type: 16, recordClass: 1, ttlS: 60, data: Buffer.from("\x05value") });
    const header = encode({ type: "response", id: 1 });
    header.writeUInt16BE(1, 6);
    const [answer] = decode(Buffer.concat([header, record])).answers!;
    assert.deepEqual(answer, { name: "x.example", type: "TXT", class: "IN", ttl: 60, flush: false, data: [Buffer.from("value")] });
  });

  test("may be compressed, backwards", () => {
    const message = Buffer.concat([encodeName("example.com"), Buffer.of(3), Buffer.from("www"), Buffer.of(0xc0, 0x00)]);
    assert.deepEqual(readName(message, 13), { name: "www.example.com", end: message.length });
    assert.throws(() => readName(Buffer.of(0xc0, 0x00), 0), RangeError);
    assert.throws(() => readName(Buffer.of(1, 97, 0xc0, 0x00), 0), RangeError);
  });

  test("are refused when they are none", () => {
    for (const text of ["a..b", ".a", "a".repeat(64), Array.from({ length: 50 }, () => "abcde").join(".")]) {
      assert.throws(() => encodeName(text), RangeError, text);
    }
  });
});

describe("a signature", () => {
  const message = encode({ type: "query", id: 99, questions: [{ type: "SOA", name: "example.com" }] });

  test("is the last record, and leaves the rest as it is", () => {
    const { bytes } = signMessage(message, key, 1_700_000_000_000);
    assert.equal(bytes.readUInt16BE(10), 1);
    const [record, ...more] = readRecords(bytes);
    assert.deepEqual([record!.type, record!.recordClass, record!.name, more], [250, 255, "key.example", []]);
    const restored = Buffer.from(bytes.subarray(0, record!.offset));
    restored.writeUInt16BE(0, 10);
    assert.deepEqual(restored, message);
  });

  test("of a request is none of an answer", () => {
    const { bytes, mac } = signMessage(message, key, 1_700_000_000_000);
    assert.equal(signatureProblem(bytes, mac, key, 1_700_000_000_000), "the signature of its answer is wrong");
    assert.equal(signatureProblem(message, mac, key, 1_700_000_000_000), "its answer is not signed");
    assert.equal(signatureProblem(bytes, mac, { ...key, name: "other" }, 1_700_000_000_000), "its answer is signed with another key");
  });

  test("in any garbage is a problem, or the message cannot be read", () => {
    const { bytes: signed, mac } = signMessage(message, key, 1_700_000_000_000);
    const changed = fc.array(fc.tuple(fc.nat(signed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }).map((changes) => {
      const bytes = Buffer.from(signed);
      for (const [at, byte] of changes) bytes[at] = byte;
      return bytes;
    });
    const garbage = fc.oneof(
      changed,
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(garbage, (bytes) => {
        try {
          assert.notEqual(signatureProblem(bytes, mac, key, 1_700_000_000_000), null);
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error));
        }
      }),
      fuzzParameters(3000),
    );
  });
});
