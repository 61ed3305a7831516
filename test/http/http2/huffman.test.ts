// The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";
import { HUFFMAN_CODES, HUFFMAN_LENGTHS } from "../../../src/http/http2/huffman-code.ts";
import { LENGTH_MASK, NOT_A_NAME, NOT_A_VALUE, huffmanDecode } from "../../../src/http/http2/huffman-decode.ts";
import { huffmanCoded } from "../../support/hpack-reader.ts";
import { fuzzParameters } from "../seed.ts";

const EOS = 256;
const ALL_BYTES = Array.from({ length: 256 }, (_, byte) => byte);

/** Straight from the definition: a bit at a time, a code at a time. Null where RFC 7541 wants a decoding error. */
function decodeSlowly(bytes: Uint8Array): string | null {
  const symbols = new Map(Array.from(HUFFMAN_CODES, (code, symbol) => [`${HUFFMAN_LENGTHS[symbol]}:${code}`, symbol]));
  let text = "";
  let code = 0;
  let length = 0;
  for (const bit of Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("")) {
    code = code * 2 + Number(bit);
    length++;
    const symbol = symbols.get(`${length}:${code}`);
    if (symbol === EOS) return null;
    if (symbol === undefined) continue;
    text += String.fromCharCode(symbol);
    code = 0;
    length = 0;
  }
  return length <= 7 && code === 2 ** length - 1 ? text : null;
}

function decodeFast(bytes: Uint8Array): string | null {
  const to = Buffer.alloc(bytes.length * 2 + 8, 0xaa);
  const result = huffmanDecode(Buffer.from([0xff, ...bytes, 0xff]), 1, 1 + bytes.length, to, 3);
  assert.deepEqual(to.subarray(0, 3), Buffer.alloc(3, 0xaa), "it wrote in front of its place");
  assert.deepEqual(to.subarray(3 + bytes.length * 2), Buffer.alloc(5, 0xaa), "it wrote more than twice as many bytes");
  return result === -1 ? null : to.toString("latin1", 3, 3 + (result & LENGTH_MASK));
}

describe("appendix B: the code", () => {
  test("has a length for each byte and for EOS, and no bit pattern to spare", () => {
    assert.equal(HUFFMAN_LENGTHS.length, 257);
    assert.equal(
      HUFFMAN_LENGTHS.reduce((sum, length) => sum + 2 ** (30 - length), 0),
      2 ** 30,
    );
  });

  // Some of each length, from the table.
  for (const [symbol, code, length] of [
    ["0", 0x0, 5],
    ["t", 0x9, 5],
    [" ", 0x14, 6],
    ["u", 0x2d, 6],
    [":", 0x5c, 7],
    ["z", 0x7b, 7],
    ["&", 0xf8, 8],
    ["Z", 0xfd, 8],
    ["!", 0x3f8, 10],
    ["?", 0x3fc, 10],
    ["'", 0x7fa, 11],
    ["#", 0xffa, 12],
    ["\0", 0x1ff8, 13],
    ["~", 0x1ffd, 13],
    ["^", 0x3ffc, 14],
    ["<", 0x7ffc, 15],
    ["\\", 0x7fff0, 19],
    ["\x80", 0xfffe6, 20],
    ["\x99", 0x1fffdc, 21],
    ["\x81", 0x3fffd2, 22],
    ["\x01", 0x7fffd8, 23],
    ["\t", 0xffffea, 24],
    ["\xc7", 0x1ffffec, 25],
    ["\xc0", 0x3ffffe0, 26],
    ["\xcb", 0x7ffffde, 27],
    ["\x02", 0xfffffe2, 28],
    ["\xf9", 0xffffffe, 28],
    ["\n", 0x3ffffffc, 30],
    ["\x16", 0x3ffffffe, 30],
  ] as const) {
    test(`${JSON.stringify(symbol)} is ${code.toString(16)} in ${length} bits`, () => {
      const byte = symbol.charCodeAt(0);
      assert.equal(HUFFMAN_CODES[byte], code);
      assert.equal(HUFFMAN_LENGTHS[byte], length);
    });
  }

  test("EOS is 30 ones", () => {
    assert.equal(HUFFMAN_CODES[EOS], 0x3fffffff);
    assert.equal(HUFFMAN_LENGTHS[EOS], 30);
  });
});

describe("section 5.2: a string", () => {
  test("of no bytes is an empty one", () => {
    assert.equal(decodeFast(new Uint8Array()), "");
    assert.equal(huffmanCoded("").length, 0);
  });

  test("of any byte, alone and between others, comes back", () => {
    for (const byte of ALL_BYTES) {
      const symbol = String.fromCharCode(byte);
      for (const text of [symbol, `a${symbol}`, `${symbol}${symbol}`, `Z${symbol}0`, `${symbol}~${symbol}&`]) {
        assert.equal(decodeFast(huffmanCoded(text)), text);
      }
    }
  });

  test("is padded with ones", () => {
    assert.equal(decodeFast(Buffer.from([0b00000_111])), "0");
    assert.equal(decodeFast(Buffer.from([0xf8])), "&", "and with none when it ends at a byte");
  });

  test("MUST NOT be padded with more than 7 bits", () => {
    assert.equal(decodeFast(Buffer.from([0xff])), null, "8 ones and nothing else");
    assert.equal(decodeFast(Buffer.from([0b00000_111, 0xff])), null, "11 ones");
    assert.equal(decodeFast(Buffer.from([0xf8, 0xff])), null, "8 ones behind a code that ends at a byte");
    assert.equal(decodeFast(Buffer.from([0xff, 0xff, 0xff])), null, "24 ones");
  });

  test("MUST be padded with ones alone", () => {
    for (let padding = 0; padding < 0b111; padding++) {
      // No code is as short as the three bits behind the "0".
      assert.equal(decodeFast(Buffer.from([padding])), null, padding.toString(2));
    }
    assert.equal(decodeFast(Buffer.from([0xf8, 0b1111_1110])), null, "seven ones and a zero");
    assert.equal(decodeFast(Buffer.from([0x00, 0x00])), null, "zeros");
  });

  test("MUST NOT contain EOS", () => {
    assert.equal(decodeFast(Buffer.from([0xff, 0xff, 0xff, 0xff])), null);
    assert.equal(decodeFast(Buffer.from([0xff, 0xff, 0xff, 0b1111_1100])), null, "followed by a 0");
    // "0", EOS, padding
    assert.equal(decodeFast(Buffer.from([0b00000_111, 0xff, 0xff, 0xff, 0b111_11111])), null);
    for (let shift = 0; shift < 8; shift++) {
      // As many "o", of 5 bits, in front as move it to each place in a byte.
      const bits = "00111".repeat(shift) + "1".repeat(30) + "00111";
      const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
      assert.equal(decodeFast(Buffer.from(padded.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)))), null, `at bit ${shift * 5}`);
    }
  });

  test("that a code is missing the end of is refused", () => {
    for (const byte of ALL_BYTES) {
      const length = HUFFMAN_LENGTHS[byte]!;
      if (length <= 8) continue;
      const whole = huffmanCoded(String.fromCharCode(byte));
      const cut = whole.subarray(0, Math.floor((length - 1) / 8));
      assert.equal(decodeFast(cut), decodeSlowly(cut));
    }
  });

  test("says whether it may be a value, and whether a name", () => {
    const marks = (text: string): number =>
      huffmanDecode(huffmanCoded(text), 0, huffmanCoded(text).length, Buffer.alloc(100), 0) & ~LENGTH_MASK;
    assert.equal(marks("x-name_1.!"), 0);
    assert.equal(marks("text, with more: \t\xe9"), NOT_A_NAME);
    assert.equal(marks("Name"), NOT_A_NAME);
    for (const control of ["\0", "\r", "\n", "\x01", "\x1f", "\x7f"]) assert.equal(marks(`a${control}a`), NOT_A_VALUE | NOT_A_NAME);
  });

  test("of any text comes back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = Buffer.from(bytes).toString("latin1");
        assert.equal(decodeFast(huffmanCoded(text)), text);
        assert.equal(decodeSlowly(huffmanCoded(text)), text);
      }),
      fuzzParameters(1000),
    );
  });

  test("of any bytes is read as the definition says", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 24 }),
      // Ones are where it matters.
      fc.array(fc.oneof(fc.constant(0xff), fc.constant(0xfe), fc.constant(0x7f), fc.integer({ min: 0, max: 255 })), { maxLength: 12 }),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        const block = Uint8Array.from(input);
        assert.equal(decodeFast(block), decodeSlowly(block));
      }),
      fuzzParameters(5000),
    );
  });
});
