// The decoder of HPACK, section by section of RFC 7541, and what RFC 9113 adds: sections 4.3.1, 6.5.2, 8.2.1 and 8.3.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ConnectionError, H2_ERROR } from "../../../src/http/http2/connection-error.ts";
import { FieldCache } from "../../../src/http/http2/field-cache.ts";
import { PSEUDO } from "../../../src/http/http2/field-entry.ts";
import { FieldList } from "../../../src/http/http2/field-list.ts";
import { STATIC_TABLE } from "../../../src/http/http2/static-table.ts";
import { FIELD } from "../../../src/http/field-names.ts";
import { assertCompressionError, decode, decodeFields, fieldsOf, integerTail, newDecoder, tableOf } from "./hpack-readers.ts";

/** A literal with incremental indexing and a new name, raw. */
function inserted(name: string, value: string): Buffer {
  return literal(0x40, name, value);
}

function literal(representation: number, name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([representation]), raw(name), raw(value)]);
}

function raw(text: string): Buffer {
  const length = text.length < 0x7f ? [text.length] : [0x7f, ...integerTail(text.length - 0x7f)];
  return Buffer.concat([Buffer.from(length), Buffer.from(text, "latin1")]);
}

function sizeUpdate(bytes: number): Buffer {
  return Buffer.from(bytes < 31 ? [0x20 | bytes] : [0x3f, ...integerTail(bytes - 31)]);
}

describe("section 2.3.1 and appendix A: the static table", () => {
  test("has 61 entries, from :authority to www-authenticate", () => {
    const block = Array.from({ length: 61 }, (_, index) => 0x81 + index);
    const fields = decodeFields(newDecoder(), Buffer.from(block));
    assert.equal(fields.length, 61);
    assert.deepEqual(fields[0], [":authority", ""]);
    assert.deepEqual(fields[1], [":method", "GET"]);
    assert.deepEqual(fields[7], [":status", "200"]);
    assert.deepEqual(fields[15], ["accept-encoding", "gzip, deflate"]);
    assert.deepEqual(fields[37], ["host", ""]);
    assert.deepEqual(fields[60], ["www-authenticate", ""]);
    // Ordinary names are in the order of the alphabet, but for one.
    const names = fields.slice(14).map(([name]) => name);
    assert.deepEqual(
      names.filter((name) => name !== "accept"),
      names.filter((name) => name !== "accept").toSorted(),
    );
  });

  test("has entries that know their index and their id", () => {
    for (const [index, entry] of STATIC_TABLE.entries()) {
      if (index === 0) continue;
      assert.equal(entry.staticIndex, index);
      assert.equal(entry.isValid, true);
      assert.equal(STATIC_TABLE[entry.field.staticIndex]!.name, entry.name);
      assert.notEqual(STATIC_TABLE[entry.field.staticIndex - 1]!.name, entry.name, "the first of its name");
    }
    assert.equal(STATIC_TABLE[38]!.id, FIELD.host);
    assert.equal(STATIC_TABLE[28]!.id, FIELD.contentLength);
    assert.equal(STATIC_TABLE[1]!.id, 0, "a pseudo-header field is none of HTTP/1.1");
  });
});

describe("section 2.3.2: the dynamic table", () => {
  test("has the newest entry first, and may have the same one twice", () => {
    const decoder = newDecoder();
    decode(decoder, Buffer.concat([inserted("a", "1"), inserted("b", "2"), inserted("a", "1")]));
    assert.deepEqual(tableOf(decoder), [
      ["a", "1"],
      ["b", "2"],
      ["a", "1"],
    ]);
  });

  test("holds as many entries as fit, in order, through many insertions", () => {
    const decoder = newDecoder();
    for (let n = 0; n < 1000; n++) {
      decode(decoder, inserted("n", String(n).padStart(3, "0")));
      const table = tableOf(decoder);
      // 4096 bytes at 36 each
      assert.equal(table.length, Math.min(n + 1, 113));
      assert.deepEqual(table[0], ["n", String(n).padStart(3, "0")]);
      assert.deepEqual(table.at(-1), ["n", String(Math.max(0, n - 112)).padStart(3, "0")]);
    }
  });
});

describe("section 2.3.3: an index", () => {
  test("of 0 is an error", () => assertCompressionError(newDecoder(), "80", /index 0/));

  test("behind the end of both tables is an error", () => {
    assertCompressionError(newDecoder(), "be", /index 62/);
    assertCompressionError(newDecoder(), "ff 00", /index 127/);
    assertCompressionError(newDecoder(), "ff ff ff ff 7f", /not in the table/);
    const decoder = newDecoder();
    decode(decoder, inserted("a", "1"));
    assert.deepEqual(decodeFields(decoder, "be"), [["a", "1"]]);
    assertCompressionError(decoder, "bf", /index 63/);
  });

  test("of a name behind the end is one too, whatever the representation", () => {
    for (const block of ["7e 00", "0f 2f 00", "1f 2f 00"]) assertCompressionError(newDecoder(), block, /index 62/);
  });

  test("counts from the newest entry at the time", () => {
    const decoder = newDecoder();
    const block = Buffer.concat([inserted("a", "1"), Buffer.from([0xbe]), inserted("b", "2"), Buffer.from([0xbe, 0xbf])]);
    assert.deepEqual(decodeFields(decoder, block), [
      ["a", "1"],
      ["a", "1"],
      ["b", "2"],
      ["b", "2"],
      ["a", "1"],
    ]);
  });
});

describe("section 3.2: a block", () => {
  test("of no bytes is an empty list", () => assert.deepEqual(decodeFields(newDecoder(), ""), []));

  test("is appended to the list", () => {
    const list = new FieldList();
    const decoder = newDecoder();
    decoder.decode(Buffer.from([0x82]), 0, 1, list);
    decoder.decode(Buffer.from([0x84]), 0, 1, list);
    assert.deepEqual(fieldsOf(list), [
      [":method", "GET"],
      [":path", "/"],
    ]);
    assert.equal(list.size, 42 + 38);
    list.clear();
    assert.deepEqual([list.count, list.size], [0, 0]);
  });

  test("keeps the order of fields, and repeated ones", () => {
    const block = Buffer.concat([literal(0, "b", "1"), Buffer.from([0x82]), literal(0, "a", "2"), literal(0, "b", "1")]);
    assert.deepEqual(decodeFields(newDecoder(), block), [
      ["b", "1"],
      [":method", "GET"],
      ["a", "2"],
      ["b", "1"],
    ]);
  });
});

describe("section 4.1: the size of an entry", () => {
  test("is that of name and value without Huffman coding, and 32", () => {
    const decoder = newDecoder();
    // "www.example.com" in 12 bytes; the table just holds it, and then not.
    for (const [bytes, expected] of [
      [57, [[":authority", "www.example.com"]]],
      [56, []],
    ] as const) {
      decode(decoder, Buffer.concat([sizeUpdate(0), sizeUpdate(bytes), Buffer.from("418cf1e3c2e5f23a6ba0ab90f4ff", "hex")]));
      assert.deepEqual(tableOf(decoder), expected);
    }
  });
});

describe("section 4.2: the maximum size of the table", () => {
  test("is 4096 to begin with", () => {
    const decoder = newDecoder();
    decode(decoder, sizeUpdate(4096));
    assertCompressionError(decoder, sizeUpdate(4097), /4097 bytes is more/);
  });

  test("MUST NOT be set above the limit, however often it changed", () => {
    const decoder = newDecoder();
    decode(decoder, sizeUpdate(100));
    decode(decoder, sizeUpdate(4096));
    assertCompressionError(decoder, sizeUpdate(4097), /more than was allowed/);
  });

  test("MUST be updated at the beginning of a block", () => {
    assertCompressionError(newDecoder(), Buffer.concat([Buffer.from([0x82]), sizeUpdate(0)]), /behind a field/);
    assertCompressionError(newDecoder(), Buffer.concat([sizeUpdate(10), literal(0, "a", "b"), sizeUpdate(10)]), /behind a field/);
  });

  test("may be updated twice, to the smallest and to the last size", () => {
    const decoder = newDecoder();
    decode(decoder, inserted("a", "1"));
    decode(decoder, Buffer.concat([sizeUpdate(0), sizeUpdate(4096), Buffer.from([0x82])]));
    assert.deepEqual(tableOf(decoder), []);
  });
});

describe("section 4.3: a smaller table", () => {
  test("loses its oldest entries, until they fit", () => {
    const decoder = newDecoder();
    decode(decoder, Buffer.concat([inserted("a", "1"), inserted("b", "2"), inserted("c", "3")]));
    decode(decoder, sizeUpdate(3 * 34));
    assert.equal(tableOf(decoder).length, 3);
    decode(decoder, sizeUpdate(3 * 34 - 1));
    assert.deepEqual(tableOf(decoder), [
      ["c", "3"],
      ["b", "2"],
    ]);
    decode(decoder, sizeUpdate(0));
    assert.deepEqual(tableOf(decoder), []);
    decode(decoder, inserted("d", "4"));
    assert.deepEqual(tableOf(decoder), [], "nothing fits into none");
  });
});

describe("section 4.4: a new entry", () => {
  test("that is as large as the table replaces all others; a larger one leaves it empty, and is no error", () => {
    const decoder = newDecoder();
    decode(decoder, Buffer.concat([sizeUpdate(100), inserted("a", "1")]));
    assert.deepEqual(decodeFields(decoder, inserted("b", "x".repeat(67))), [["b", "x".repeat(67)]]);
    assert.deepEqual(tableOf(decoder), [["b", "x".repeat(67)]]);
    assert.deepEqual(decodeFields(decoder, inserted("c", "x".repeat(68))), [["c", "x".repeat(68)]]);
    assert.deepEqual(tableOf(decoder), []);
  });

  test("may take its name from the entry that it evicts", () => {
    const decoder = newDecoder();
    decode(decoder, Buffer.concat([sizeUpdate(40), inserted("name", "1")]));
    assert.deepEqual(decodeFields(decoder, Buffer.concat([Buffer.from([0x7e]), raw("2")])), [["name", "2"]]);
    assert.deepEqual(tableOf(decoder), [["name", "2"]]);
  });
});

describe("section 5.1: an integer", () => {
  test("that ends in the middle is an error", () => {
    for (const block of ["ff", "ff 80", "7f", "0f", "0f ff", "1f", "3f", "3f ff", "00", "00 7f", "00 7f ff"]) {
      assertCompressionError(newDecoder(), block, /cut short/);
    }
  });

  test("that exceeds the limit in value or in length is an error", () => {
    for (const tail of ["ff ff ff ff 00", "80 80 80 80 00", "ff ff ff ff ff ff ff ff 7f", "80 80 80 80 80 80 80 80 01"]) {
      for (const start of ["ff", "7f", "3f", "0f", "1f", "00 7f", "00 ff", "00 01 61 7f"]) {
        assertCompressionError(newDecoder(), `${start} ${tail}`, /integer is too large/);
      }
    }
  });

  test("is read alike with zeros in front, as long as it is no longer than allowed", () => {
    const decoder = newDecoder();
    assert.deepEqual(
      decodeFields(decoder, Buffer.concat([Buffer.from([0x00, 0x01, 0x61, 0x7f, 0x80, 0x80, 0x80, 0x00]), Buffer.alloc(127, "x")])),
      [["a", "x".repeat(127)]],
    );
  });

  test("may be just what fills the prefix, or one more or less", () => {
    for (const length of [126, 127, 128, 254, 255, 256, 16_510, 16_511]) {
      assert.deepEqual(decodeFields(newDecoder(), literal(0, "a", "x".repeat(length))), [["a", "x".repeat(length)]]);
    }
  });
});

describe("section 5.2: a string", () => {
  test("that is longer than the block is an error", () => {
    for (const block of ["00 02 61", "00 01", "40 01 61 02 62", "00 81", "00 01 61 82 07", "00 7f ff ff ff 7f 61"]) {
      assertCompressionError(newDecoder(), block, /cut short/);
    }
  });

  test("in Huffman code MUST be padded with up to seven ones, and without EOS", () => {
    for (const value of ["81 06", "82 07 ff", "81 ff", "84 ff ff ff ff", "84 ff ff ff fc", "85 07 ff ff ff ff"]) {
      assertCompressionError(newDecoder(), `00 01 61 ${value}`, /Huffman/);
      assertCompressionError(newDecoder(), `00 ${value} 01 61`, /Huffman/);
      assertCompressionError(newDecoder(), `44 ${value}`, /Huffman/);
    }
  });

  test("may be empty, and may be as long as a list may be", () => {
    assert.deepEqual(decodeFields(newDecoder(), "04 00 04 80"), [
      [":path", ""],
      [":path", ""],
    ]);
    const long = "0".repeat(100_000);
    const packed = Buffer.concat([Buffer.from([0x04, 0xff, ...integerTail(62_500 - 127)]), Buffer.alloc(62_500)]);
    assert.deepEqual(decodeFields(newDecoder(), packed), [[":path", long]]);
  });

  test("is one of bytes: each is a character", () => {
    const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join("");
    assert.deepEqual(decodeFields(newDecoder(), literal(0, "a", bytes)), [["a", bytes]]);
  });
});

describe("section 6: representations", () => {
  test("are told apart by their first bits, with names by index and new ones", () => {
    for (const [block, name, inTable, isNeverIndexed] of [
      ["60 01 61", "cookie", true, false],
      ["40 02 7669 01 61", "vi", true, false],
      ["0f 11 01 61", "cookie", false, false],
      ["00 02 7669 01 61", "vi", false, false],
      ["1f 11 01 61", "cookie", false, true],
      ["10 02 7669 01 61", "vi", false, true],
    ] as const) {
      const decoder = newDecoder();
      const list = decode(decoder, block);
      assert.deepEqual(fieldsOf(list), [[name, "a"]]);
      assert.equal(list.entries[0]!.isNeverIndexed, isNeverIndexed);
      assert.deepEqual(tableOf(decoder), inTable ? [[name, "a"]] : []);
    }
  });

  test("of a repeated field are one object each time, on one connection and, by then, on others", () => {
    const cache = new FieldCache();
    const first = newDecoder({ cache });
    const entry = decode(first, inserted("user-agent", "x")).entries[0]!;
    assert.equal(decode(first, "be").entries[0], entry);
    assert.equal(decode(first, "be").entries[0], entry);
    assert.equal(entry.isRepeated, true);
    const second = decode(newDecoder({ cache }), inserted("user-agent", "x")).entries[0]!;
    const third = decode(newDecoder({ cache }), inserted("user-agent", "x")).entries[0]!;
    assert.equal(third, second);
  });

  test("of a changing field are not worth a place in a table", () => {
    assert.equal(decode(newDecoder(), "04 01 78").entries[0]!.isRepeated, false);
  });
});

describe("what an entry knows", () => {
  test("its line for HTTP/1.1, its size, its ids", () => {
    const entry = decode(newDecoder(), literal(0, "user-agent", "curl/8")).entries[0]!;
    assert.deepEqual([entry.line, entry.size, entry.id, entry.pseudo], ["user-agent: curl/8\r\n", 48, FIELD.userAgent, PSEUDO.none]);
    const path = decode(newDecoder(), "04 01 78").entries[0]!;
    assert.deepEqual([path.id, path.pseudo], [0, PSEUDO.path]);
  });

  test("every pseudo-header field, by index and by name", () => {
    for (const name of ["method", "scheme", "authority", "path", "protocol", "status"] as const) {
      const entry = decode(newDecoder(), literal(0, `:${name}`, "x")).entries[0]!;
      assert.deepEqual([entry.pseudo, entry.isValid], [PSEUDO[name], true], name);
    }
    assert.equal(decode(newDecoder(), literal(0, ":path", "/")).entries[0]!.field, STATIC_TABLE[4]!.field);
  });
});

describe("RFC 9113 section 8.2.1: a field", () => {
  const cache = new FieldCache();
  const isMalformed = (name: string, value: string): boolean => {
    const answers = [0x00, 0x10, 0x40].map((representation) => {
      const decoder = newDecoder({ cache });
      const list = decode(decoder, literal(representation, name, value));
      assert.deepEqual(fieldsOf(list), [[name, value]], "it is in the list");
      assert.equal(list.entries[0]!.isValid, !list.isMalformed);
      if (representation === 0x40) assert.equal(decode(decoder, "be").isMalformed, list.isMalformed, "also when it comes again");
      return list.isMalformed;
    });
    assert.equal(new Set(answers).size, 1);
    return answers[0]!;
  };

  test("has a name of lower-case token characters", () => {
    for (let byte = 0; byte < 256; byte++) {
      const character = String.fromCharCode(byte);
      const isAllowed = /[!#$%&'*+\-.^_`|~0-9a-z]/.test(character);
      for (const name of [`a${character}`, `${character}a`, `a${character}a`])
        assert.equal(isMalformed(name, "x"), !isAllowed, JSON.stringify(name));
    }
    assert.equal(isMalformed("", "x"), true);
  });

  test("with a colon in front is one of those that are defined", () => {
    for (const name of [":", ":foo", ":Path", ":path ", "::path", ":paths", ":host"]) {
      assert.equal(isMalformed(name, "x"), true, name);
      assert.equal(decode(newDecoder(), literal(0, name, "x")).entries[0]!.pseudo, PSEUDO.unknown, name);
    }
  });

  test("has a value without control characters, but for HTAB", () => {
    for (let byte = 0; byte < 256; byte++) {
      const isAllowed = byte === 0x09 || (byte >= 0x20 && byte !== 0x7f);
      assert.equal(isMalformed("a", `x${String.fromCharCode(byte)}x`), !isAllowed, `0x${byte.toString(16)}`);
    }
  });

  test("has a value that neither begins nor ends with white space", () => {
    for (const value of [" x", "x ", "\tx", "x\t", " ", "\t"]) assert.equal(isMalformed("a", value), true, JSON.stringify(value));
    for (const value of ["", "x", "x y", "x\ty"]) assert.equal(isMalformed("a", value), false, JSON.stringify(value));
  });

  test("is judged alike in Huffman code", () => {
    // 00011 "a", 1111111111000 NUL, padding
    assert.equal(decode(newDecoder(), "00 01 61 81 1f").isMalformed, false);
    assert.equal(decode(newDecoder(), "00 01 61 83 1ffe 3f").isMalformed, true);
    assert.equal(decode(newDecoder(), "00 83 1ffe 3f 01 61").isMalformed, true);
  });

  test("that is not valid does not put the table out of step", () => {
    const decoder = newDecoder();
    const list = decode(decoder, Buffer.concat([inserted("A", "1"), inserted("b", "2\n"), inserted("c", "3")]));
    assert.equal(list.isMalformed, true);
    assert.deepEqual(tableOf(decoder), [
      ["c", "3"],
      ["b", "2\n"],
      ["A", "1"],
    ]);
    assert.equal(decode(decoder, "be").isMalformed, false);
  });
});

describe("RFC 9113 section 6.5.2: a list", () => {
  test("of more bytes than announced is too large, and what is beyond is dropped", () => {
    // Two of 34 bytes fit.
    const decoder = newDecoder({ listBytes: 68 });
    const exact = decode(decoder, Buffer.concat([literal(0, "a", "1"), literal(0, "b", "2")]));
    assert.deepEqual([exact.isTooLarge, exact.size], [false, 68]);
    const over = decode(decoder, Buffer.concat([literal(0, "a", "1"), literal(0, "b", "22"), inserted("c", "")]));
    assert.equal(over.isTooLarge, true);
    assert.deepEqual(fieldsOf(over), [["a", "1"]]);
    assert.equal(over.size, 34 + 35 + 33);
    assert.deepEqual(tableOf(decoder), [["c", ""]], "the table is in step");
  });

  test("of more fields than allowed is too large as well", () => {
    const decoder = newDecoder({ maxFields: 3 });
    assert.equal(decode(decoder, "82 82 82").isTooLarge, false);
    const list = decode(decoder, "82 82 82 84");
    assert.deepEqual([list.isTooLarge, list.count], [true, 3]);
  });

  test("that is far too large ends the connection, whatever it is made of", () => {
    for (const block of [Buffer.alloc(100, 0x82), literal(0, "a", "x".repeat(1000))]) {
      assert.throws(
        () => decode(newDecoder({ listBytes: 100 }), block),
        (error) => error instanceof ConnectionError && error.code === H2_ERROR.enhanceYourCalm,
      );
    }
  });

  test("that is malformed where it was dropped is too large all the same", () => {
    const list = decode(newDecoder({ maxFields: 1 }), Buffer.concat([Buffer.from([0x82]), literal(0, "A", "1")]));
    assert.deepEqual([list.isTooLarge, list.count], [true, 1]);
  });
});
