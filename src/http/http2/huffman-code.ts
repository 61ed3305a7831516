// The Huffman code of HPACK (RFC 7541 appendix B). It is canonical: the lengths alone say everything.

/** Bits of the code of each byte; the last is that of EOS. */
export const HUFFMAN_LENGTHS: readonly number[] = [
  // 0x00, control bytes
  [13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
  [28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  // 0x20, SP to ?
  [6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
  [5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  // 0x40, @ to _
  [13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  [7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  // 0x60, ` to DEL
  [15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
  [6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  // 0x80
  [20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
  [24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  [22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
  [21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  // 0xc0
  [26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  [19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  [20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
  [26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  [30],
].flat();

export const EOS = 256;

/** Each code, in its lowest bits: codes of one length are consecutive, in the order of the bytes. */
export const HUFFMAN_CODES: Uint32Array = canonicalCodes();

function canonicalCodes(): Uint32Array {
  const codes = new Uint32Array(HUFFMAN_LENGTHS.length);
  const symbols = HUFFMAN_LENGTHS.keys().toArray();
  symbols.sort((a, b) => HUFFMAN_LENGTHS[a]! - HUFFMAN_LENGTHS[b]! || a - b);
  let code = 0;
  let length = 0;
  for (const symbol of symbols) {
    code <<= HUFFMAN_LENGTHS[symbol]! - length;
    length = HUFFMAN_LENGTHS[symbol]!;
    codes[symbol] = code++;
  }
  return codes;
}
