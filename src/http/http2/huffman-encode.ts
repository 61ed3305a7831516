// Hot path. Huffman encoding of text (RFC 7541 section 5.2).

import { HUFFMAN_CODES, HUFFMAN_LENGTHS } from "./huffman-code.ts";

const LENGTHS = new Uint8Array(HUFFMAN_LENGTHS);

/** Bytes that `text[start, end)` takes when encoded. */
export function huffmanLength(text: string, start: number, end: number): number {
  let bits = 0;
  for (let i = start; i < end; i++) bits += LENGTHS[text.charCodeAt(i)]!;
  return (bits + 7) >>> 3;
}

/** Encodes `text[start, end)`, one byte a character, into `to` at `position`. Returns the position behind it. */
export function huffmanEncode(text: string, start: number, end: number, to: Uint8Array, position: number): number {
  // What is not written yet: its last `count` bits, at most 7 after each turn; a code of 30 bits goes in in two parts.
  let pending = 0;
  let count = 0;
  for (let i = start; i < end; i++) {
    const byte = text.charCodeAt(i);
    let length = LENGTHS[byte]!;
    const code = HUFFMAN_CODES[byte]!;
    if (length > 24) {
      length -= 16;
      pending = (pending << length) | (code >>> 16);
      count += length;
      while (count >= 8) to[position++] = pending >>> (count -= 8);
      length = 16;
    }
    pending = (pending << length) | (code & ((1 << length) - 1));
    count += length;
    while (count >= 8) to[position++] = pending >>> (count -= 8);
  }
  if (count > 0) to[position++] = (pending << (8 - count)) | (0xff >>> count);
  return position;
}
