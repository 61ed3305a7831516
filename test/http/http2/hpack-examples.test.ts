// All examples of RFC 7541, appendix C, decoded, and encoded where our encoder makes the same choices.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { FieldCache } from "../../../src/http/http2/field-cache.ts";
import { HpackEncoder } from "../../../src/http/http2/hpack-encoder.ts";
import { bytesOf, decode, decodeFields, encode, newDecoder, tableBytes, tableOf, type Field } from "./hpack-readers.ts";

interface Step {
  readonly plain: string;
  readonly huffman: string;
  readonly fields: readonly Field[];
  readonly table: readonly Field[];
  readonly tableBytes: number;
}

const GET: Field = [":method", "GET"];
const HTTP: Field = [":scheme", "http"];
const EXAMPLE: Field = [":authority", "www.example.com"];
const NO_CACHE: Field = ["cache-control", "no-cache"];
const CUSTOM: Field = ["custom-key", "custom-value"];

/** C.3 and C.4: three requests on one connection. */
const REQUESTS: readonly Step[] = [
  {
    plain: "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    huffman: "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    fields: [GET, HTTP, [":path", "/"], EXAMPLE],
    table: [EXAMPLE],
    tableBytes: 57,
  },
  {
    plain: "8286 84be 5808 6e6f 2d63 6163 6865",
    huffman: "8286 84be 5886 a8eb 1064 9cbf",
    fields: [GET, HTTP, [":path", "/"], EXAMPLE, NO_CACHE],
    table: [NO_CACHE, EXAMPLE],
    tableBytes: 110,
  },
  {
    plain: "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    huffman: "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    fields: [GET, [":scheme", "https"], [":path", "/index.html"], EXAMPLE, CUSTOM],
    table: [CUSTOM, NO_CACHE, EXAMPLE],
    tableBytes: 164,
  },
];

const PRIVATE: Field = ["cache-control", "private"];
const DATE_21: Field = ["date", "Mon, 21 Oct 2013 20:13:21 GMT"];
const DATE_22: Field = ["date", "Mon, 21 Oct 2013 20:13:22 GMT"];
const LOCATION: Field = ["location", "https://www.example.com"];
const GZIP: Field = ["content-encoding", "gzip"];
const COOKIE: Field = ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"];

/** C.5 and C.6: three responses on one connection, with a table of 256 bytes. */
const RESPONSES: readonly Step[] = [
  {
    plain:
      "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32" +
      "3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    huffman:
      "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad" +
      "1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
    fields: [[":status", "302"], PRIVATE, DATE_21, LOCATION],
    table: [LOCATION, DATE_21, PRIVATE, [":status", "302"]],
    tableBytes: 222,
  },
  {
    plain: "4803 3330 37c1 c0bf",
    huffman: "4883 640e ffc1 c0bf",
    fields: [[":status", "307"], PRIVATE, DATE_21, LOCATION],
    table: [[":status", "307"], LOCATION, DATE_21, PRIVATE],
    tableBytes: 222,
  },
  {
    plain:
      "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970" +
      "7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61" +
      "6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    huffman:
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2" +
      "e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    fields: [[":status", "200"], PRIVATE, DATE_22, LOCATION, GZIP, COOKIE],
    table: [COOKIE, GZIP, DATE_22],
    tableBytes: 215,
  },
];

test("C.1: integers of one byte and of three, behind any prefix", () => {
  // The examples are of prefixes that stand alone; here they are lengths of strings, prefixed by 7 bits, and of table sizes, by 5.
  const decoder = newDecoder();
  assert.deepEqual(decodeFields(decoder, "2a"), [], "10 in 5 bits, a table size");
  assert.deepEqual(decodeFields(decoder, "3f9a 0a"), [], "1337 in 5 bits");
  const encoder = new HpackEncoder();
  encoder.setTableLimit(1337);
  assert.deepEqual(
    encode(encoder, () => undefined),
    bytesOf("3f9a 0a"),
  );
  const long = "x".repeat(42);
  assert.deepEqual(decodeFields(newDecoder(), Buffer.from(`\x00\x01a\x2a${long}`, "latin1")), [["a", long]], "42 in 7 bits");
});

describe("C.2: a literal", () => {
  test("C.2.1: with indexing goes into the table", () => {
    const decoder = newDecoder();
    const block = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    assert.deepEqual(decodeFields(decoder, block), [["custom-key", "custom-header"]]);
    assert.deepEqual(tableOf(decoder), [["custom-key", "custom-header"]]);
    assert.equal(tableBytes(tableOf(decoder)), 55);
    const entry = new FieldCache().constant("custom-key", "custom-header");
    assert.deepEqual(
      encode(new HpackEncoder(), (encoder) => encoder.entry(entry)),
      bytesOf(block),
    );
  });

  test("C.2.2: without indexing stays out of it", () => {
    const decoder = newDecoder();
    const block = "040c 2f73 616d 706c 652f 7061 7468";
    assert.deepEqual(decodeFields(decoder, block), [[":path", "/sample/path"]]);
    assert.deepEqual(tableOf(decoder), []);
    const name = new FieldCache().name(":path");
    assert.deepEqual(
      encode(new HpackEncoder(), (encoder) => encoder.text(name, "/sample/path", 0, 12)),
      bytesOf(block),
    );
  });

  test("C.2.3: never indexed stays out of it, and says so", () => {
    const decoder = newDecoder();
    const block = "1008 7061 7373 776f 7264 0673 6563 7265 74";
    const list = decode(decoder, block);
    assert.deepEqual([list.entries[0]!.name, list.entries[0]!.value], ["password", "secret"]);
    assert.equal(list.entries[0]!.isNeverIndexed, true);
    assert.deepEqual(tableOf(decoder), []);
    assert.deepEqual(
      encode(new HpackEncoder(), (encoder) => encoder.entry(list.entries[0]!)),
      bytesOf(block),
    );
  });
});

test("C.2.4: a field by its index", () => {
  assert.deepEqual(decodeFields(newDecoder(), "82"), [[":method", "GET"]]);
});

for (const [title, steps, capacity] of [
  ["C.3 and C.4: requests", REQUESTS, 4096],
  ["C.5 and C.6: responses, which evict", RESPONSES, 256],
] as const) {
  for (const huffman of [false, true]) {
    const name = `${title}, ${huffman ? "with" : "without"} Huffman coding`;

    test(`${name}: decoded`, () => {
      const decoder = newDecoder();
      if (capacity < 4096) decode(decoder, "3fe1 01");
      for (const step of steps) {
        const list = decode(decoder, huffman ? step.huffman : step.plain);
        assert.deepEqual(
          list.entries.map((entry) => [entry.name, entry.value]),
          step.fields,
        );
        assert.equal(list.size, tableBytes(step.fields));
        assert.deepEqual(tableOf(decoder), step.table);
        assert.equal(tableBytes(tableOf(decoder)), step.tableBytes);
      }
    });
  }

  test(`${title}, without Huffman coding: encoded`, () => {
    const cache = new FieldCache();
    const known = new Map<string, ReturnType<typeof cache.constant>>();
    const encoder = new HpackEncoder();
    encoder.setTableLimit(capacity);
    if (capacity < 4096) assert.deepEqual(encode(encoder, () => undefined).toString("hex"), "3fe101");
    for (const step of steps) {
      const block = encode(encoder, () => {
        for (const [fieldName, value] of step.fields) {
          // Ours never indexes it.
          if (fieldName === "set-cookie") continue;
          const key = `${fieldName}: ${value}`;
          if (!known.has(key)) known.set(key, cache.constant(fieldName, value));
          encoder.entry(known.get(key)!);
        }
      });
      const expected = bytesOf(step.plain);
      const cookieBytes = step.fields.includes(COOKIE) ? 58 : 0;
      assert.equal(block.toString("hex"), expected.subarray(0, expected.length - cookieBytes).toString("hex"));
    }
  });
}
