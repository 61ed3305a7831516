// The encoder of HPACK: what goes into the table and what does not, and the sizes that the peer asks for (RFC 7541, RFC 9113 section
// 4.3.1). That what it writes is read alike by others is in hpack-differential.test.ts.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { FieldCache } from "../../../src/http/http2/field-cache.ts";
import type { FieldEntry } from "../../../src/http/http2/field-entry.ts";
import { HpackEncoder } from "../../../src/http/http2/hpack-encoder.ts";
import { STATIC_TABLE } from "../../../src/http/http2/static-table.ts";
import { decode, decodeFields, encode, fieldsOf, newDecoder, tableOf } from "./hpack-readers.ts";

const cache = new FieldCache();
const constant = (name: string, value: string): FieldEntry => cache.constant(name, value);
const hex = (encoder: HpackEncoder, ...entries: FieldEntry[]): string =>
  encode(encoder, () => entries.forEach((entry) => encoder.entry(entry))).toString("hex");
const text = (encoder: HpackEncoder, name: string, value: string): string =>
  encode(encoder, () => {
    encoder.text(cache.name(name), value, 0, value.length);
  }).toString("hex");

describe("an entry", () => {
  test("of the static table is its index", () => {
    const encoder = new HpackEncoder();
    for (let index = 1; index <= 61; index++) assert.equal(hex(encoder, STATIC_TABLE[index]!), (0x80 + index).toString(16));
  });

  test("that repeats is inserted once, and an index from then on", () => {
    const encoder = new HpackEncoder();
    const server = constant("server", "a");
    const via = constant("via", "b");
    assert.equal(hex(encoder, server), "760161");
    assert.equal(hex(encoder, server), "be");
    assert.equal(hex(encoder, via, server, via), "7c0162bfbe");
  });

  test("whose name is not in the static table takes that from the dynamic one", () => {
    const encoder = new HpackEncoder();
    assert.equal(hex(encoder, constant("x-a", "1")), "4003782d610131");
    assert.equal(hex(encoder, constant("x-a", "2")), "7e0132");
    assert.equal(hex(encoder, constant("x-a", "1")), "7e0131", "known by identity: another object is another entry");
  });

  test("that came as never indexed goes on as never indexed (section 6.2.3)", () => {
    const encoder = new HpackEncoder();
    const entry = decode(newDecoder(), "10 02 7669 01 61").entries[0]!;
    for (let i = 0; i < 3; i++) assert.equal(hex(encoder, entry), "1002766901 61".replace(" ", ""));
    const byIndex = decode(newDecoder(), "1f 2b 01 61").entries[0]!;
    assert.equal(hex(encoder, byIndex), "1f2b0161");
  });

  test("that does not repeat is a literal without indexing, each time", () => {
    const encoder = new HpackEncoder();
    const path = decode(newDecoder(), "04 02 2f61").entries[0]!;
    for (let i = 0; i < 3; i++) assert.equal(hex(encoder, path), "04022f61");
  });

  test("that carries a secret is never indexed, even if it was where it came from", () => {
    for (const [name, value, expected] of [
      ["authorization", "x".repeat(100), "1f0864"],
      ["proxy-authorization", "x".repeat(100), "1f2264"],
      ["set-cookie", "x".repeat(100), "1f2864"],
      ["cookie", "x".repeat(19), "1f1113"],
    ] as const) {
      const encoder = new HpackEncoder();
      const inserted = decode(newDecoder(), Buffer.from([0x40, name.length, ...Buffer.from(name), value.length, ...Buffer.from(value)]))
        .entries[0]!;
      for (const entry of [inserted, constant(name, value)]) {
        for (let i = 0; i < 2; i++) assert.ok(hex(encoder, entry).startsWith(expected), name);
      }
      assert.ok(text(encoder, name, value).startsWith(expected), name);
    }
  });

  test("with a long cookie is indexed if it repeats", () => {
    const block = Buffer.from([0x60, 20, ...Buffer.alloc(20, "x")]);
    const entry = decode(newDecoder(), block).entries[0]!;
    const encoder = new HpackEncoder();
    assert.equal(hex(encoder, entry), block.toString("hex"));
    assert.equal(hex(encoder, entry), "be");
  });

  test("that would take more than half of the table stays out of it", () => {
    const encoder = new HpackEncoder();
    const large = constant("x-large", "x".repeat(2048 - 39 + 1));
    assert.ok(hex(encoder, large).startsWith("00"));
    const fits = constant("x-large", "x".repeat(2048 - 39));
    assert.ok(hex(encoder, fits).startsWith("40"));
  });

  test("that was evicted is inserted anew", () => {
    const encoder = new HpackEncoder();
    encoder.setTableLimit(100);
    encode(encoder, () => undefined);
    const [a, b, c] = ["a", "b", "c"].map((name) => constant(name, "1"));
    assert.equal(hex(encoder, a!, b!), "4001610131" + "4001620131");
    assert.equal(hex(encoder, c!), "4001630131", "two of 34 bytes fit, and no third");
    assert.equal(hex(encoder, b!), "bf");
    assert.equal(hex(encoder, a!), "4001610131", "its name was evicted, too");
  });
});

describe("a value that changes", () => {
  test("is a literal without indexing, its name an index", () => {
    const encoder = new HpackEncoder();
    assert.equal(text(encoder, "etag", "1"), "0f130131");
    assert.equal(text(encoder, "etag", "1"), "0f130131");
  });

  test("with a name that is in neither table carries that into the dynamic one", () => {
    const encoder = new HpackEncoder();
    assert.equal(text(encoder, "x-id", "1"), "4004782d69640131");
    assert.equal(text(encoder, "x-id", "2"), "0f2f0132");
    assert.equal(text(encoder, "X-ID", "3"), "0f2f0133", "in whatever case it came");
    assert.equal(text(encoder, "x-id", "x".repeat(4000)).slice(0, 8), "0f2f7fa1", "also if it is long");
    assert.equal(text(encoder, "x-other", "x".repeat(4000)).slice(0, 4), "0007", "but not with a long value");
  });

  test("is taken from a part of a text", () => {
    const etag = cache.name("etag");
    for (const length of [0, 1, 11, 12, 13, 126, 127, 128, 300, 20_000]) {
      const value = Array.from({ length }, (_, i) => String.fromCharCode(0x20 + (i % 224))).join("");
      const around = `<<${value}>>>`;
      const decoder = newDecoder();
      const encoder = new HpackEncoder();
      const block = encode(encoder, () => encoder.text(etag, around, 2, 2 + length));
      assert.deepEqual(decodeFields(decoder, block), [["etag", value]]);
    }
  });
});

test("a status is an index or a literal", () => {
  const encoder = new HpackEncoder();
  for (let status = 100; status <= 999; status++) {
    const block = encode(encoder, () => encoder.status(status));
    assert.deepEqual(decodeFields(newDecoder(), block), [[":status", String(status)]]);
    assert.equal(block.length, [200, 204, 206, 304, 400, 404, 500].includes(status) ? 1 : 5);
  }
});

describe("the size of the table (section 4.2, RFC 9113 section 4.3.1)", () => {
  const x = constant("x", "1");

  test("is not mentioned when the peer's limit is above what is used", () => {
    const encoder = new HpackEncoder();
    encoder.setTableLimit(65_536);
    encoder.setTableLimit(4096);
    assert.equal(hex(encoder), "");
  });

  test("that is lowered MUST be signalled at the beginning of the next block, once", () => {
    const encoder = new HpackEncoder();
    hex(encoder, x);
    encoder.setTableLimit(0);
    assert.equal(hex(encoder, x), "20" + "0001780131");
    assert.equal(hex(encoder, x), "0001780131");
  });

  test("that is lowered and raised again MUST be signalled by its smallest and its last value", () => {
    const encoder = new HpackEncoder();
    hex(encoder, x);
    encoder.setTableLimit(0);
    encoder.setTableLimit(4096);
    assert.equal(hex(encoder, x), "20" + "3fe11f" + "4001780131");
    encoder.setTableLimit(200);
    encoder.setTableLimit(100);
    encoder.setTableLimit(300);
    assert.equal(hex(encoder, x), "3f45" + "3f8d02" + "be", "what still fitted is still there");
  });

  test("that is raised is signalled before it is used, and is never more than the default", () => {
    const encoder = new HpackEncoder();
    encoder.setTableLimit(200);
    assert.equal(hex(encoder), "3fa901");
    encoder.setTableLimit(65_536);
    assert.equal(hex(encoder), "3fe11f");
    assert.equal(hex(encoder), "");
  });

  test("decides which entries are left, as the decoder sees it", () => {
    const encoder = new HpackEncoder();
    const decoder = newDecoder();
    decode(
      decoder,
      encode(encoder, () => ["a", "b", "c", "d"].forEach((name) => encoder.entry(constant(name, "1")))),
    );
    encoder.setTableLimit(2 * 34 + 10);
    decode(
      decoder,
      encode(encoder, () => undefined),
    );
    assert.deepEqual(
      tableOf(decoder).map(([name]) => name),
      ["d", "c"],
    );
  });
});

describe("a block", () => {
  test("is written where it was asked for, and nowhere else", () => {
    const buffer = Buffer.alloc(64, 0xaa);
    const encoder = new HpackEncoder();
    encoder.begin(buffer, 10);
    encoder.entry(STATIC_TABLE[2]!);
    assert.equal(encoder.end(), 11);
    assert.equal(encoder.buffer, buffer);
    assert.equal(encoder.start, 10);
    assert.deepEqual(buffer, Buffer.concat([Buffer.alloc(10, 0xaa), Buffer.from([0x82]), Buffer.alloc(53, 0xaa)]));
  });

  test("that does not fit goes on in memory of its own, whole", () => {
    const fields = Array.from({ length: 40 }, (_, n) => [`x-${n}`, "v".repeat(n * 7)] as const);
    const large = encode(new HpackEncoder(), (encoder) => write(encoder));
    for (const bytes of [0, 1, 9, 10, 50, 200, 1000, large.length - 1, large.length, large.length + 8, large.length + 9]) {
      const buffer = Buffer.alloc(Math.max(9, bytes));
      const encoder = new HpackEncoder();
      assert.deepEqual(encode(encoder, write, buffer), large);
      assert.deepEqual(decodeFields(newDecoder(), large), fields);
    }
    function write(encoder: HpackEncoder): void {
      for (const [name, value] of fields) encoder.entry(constant(name, value));
    }
  });

  test("that was taken leaves nothing of the caller's memory behind", () => {
    const encoder = new HpackEncoder();
    const buffer = Buffer.alloc(64);
    encoder.begin(buffer, 0);
    encoder.status(200);
    encoder.end();
    encoder.release();
    assert.notEqual(encoder.buffer, buffer);
    assert.equal(encode(encoder, () => encoder.status(404)).toString("hex"), "8d", "and it can begin another one");
  });
});

test("a long list comes back as it was", () => {
  const encoder = new HpackEncoder();
  const decoder = newDecoder();
  for (let round = 0; round < 3; round++) {
    const entries = Array.from({ length: 300 }, (_, n) => constant(`x-${n % 7}`, `value ${n}`));
    const list = decode(
      decoder,
      encode(encoder, () => entries.forEach((entry) => encoder.entry(entry))),
    );
    assert.deepEqual(
      fieldsOf(list),
      entries.map(({ name, value }) => [name, value]),
    );
  }
});
