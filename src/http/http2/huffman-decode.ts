// Hot path. Huffman decoding a byte at a time (RFC 7541 section 5.2): a state is a node of the code's tree, a step goes eight bits
// down and gives out the one or two symbols it passed.

import { CHARACTERS, TOKEN, VALUE } from "../characters.ts";
import { EOS, HUFFMAN_CODES, HUFFMAN_LENGTHS } from "./huffman-code.ts";

/** Of what `huffmanDecode` returns: how many bytes were written. */
export const LENGTH_MASK = 0x0fff_ffff;
/** A byte was decoded that may not stand in a field value. */
export const NOT_A_VALUE = 0x1000_0000;
/** A byte was decoded that may not stand in a lower-case field name. */
export const NOT_A_NAME = 0x2000_0000;

/** The states up to here are those after up to seven ones: the padding that is allowed. */
const LAST_PADDING_STATE = 7;

/**
 * A step: the next state in bits 0 to 7, the first symbol in 8 to 15, the second in 16 to 23, how many there are in 24 and 25, and
 * the two marks of above; negative when it meets EOS.
 */
const STEPS: Int32Array = makeSteps();
/**
 * Decodes `from[start, end)` into `to` at `position`, where there must be room for twice as many bytes. Returns their number, with
 * `NOT_A_VALUE` and `NOT_A_NAME` where they apply; -1 for EOS, or for padding that is too long or not all ones.
 */
export function huffmanDecode(from: Uint8Array, start: number, end: number, to: Uint8Array, position: number): number {
  let state = 0;
  let marks = 0;
  let at = position;
  for (let i = start; i < end; i++) {
    const step = STEPS[(state << 8) | from[i]!]!;
    if (step < 0) return -1;
    // Storing both symbols and counting those that are there costs less than deciding.
    to[at] = step >> 8;
    to[at + 1] = step >> 16;
    at += (step >> 24) & 3;
    marks |= step;
    state = step & 0xff;
  }
  if (state > LAST_PADDING_STATE) return -1;
  return (at - position) | (marks & (NOT_A_VALUE | NOT_A_NAME));
}

/** What a byte means for a field that it is decoded from or copied into. */
export const MARKS: Int32Array = makeMarks();

function makeMarks(): Int32Array {
  const marks = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    if ((CHARACTERS[byte]! & VALUE) === 0) marks[byte]! |= NOT_A_VALUE;
    if ((CHARACTERS[byte]! & TOKEN) === 0 || (byte >= 0x41 && byte <= 0x5a)) marks[byte]! |= NOT_A_NAME;
  }
  return marks;
}

function makeSteps(): Int32Array {
  const tree = makeTree();
  const marks = makeMarks();
  const steps = new Int32Array((tree.length / 2) << 8);
  for (let index = 0; index < steps.length; index++) steps[index] = stepOf(tree, marks, index >> 8, index & 0xff);
  return steps;
}

function stepOf(tree: Int16Array, marks: Int32Array, from: number, byte: number): number {
  let state = from;
  let symbols = 0;
  let count = 0;
  for (let bit = 7; bit >= 0; bit--) {
    const child = tree[state * 2 + ((byte >> bit) & 1)]!;
    if (child >= 0) {
      state = child;
      continue;
    }
    const symbol = -child - 1;
    if (symbol === EOS) return -1;
    symbols |= (symbol << (8 + 8 * count)) | marks[symbol]!;
    count++;
    state = 0;
  }
  return symbols | (count << 24) | state;
}

/** Two numbers a node, for the bits 0 and 1: another node, or, negative, a symbol. The first nodes are those after only ones. */
function makeTree(): Int16Array {
  const tree = new Int16Array(2 * EOS);
  for (let state = 0; state < LAST_PADDING_STATE; state++) tree[state * 2 + 1] = state + 1;
  let nodes = LAST_PADDING_STATE + 1;
  for (let symbol = 0; symbol <= EOS; symbol++) {
    let state = 0;
    for (let bit = HUFFMAN_LENGTHS[symbol]! - 1; bit > 0; bit--) {
      const at = state * 2 + ((HUFFMAN_CODES[symbol]! >>> bit) & 1);
      // No node leads back to the root: 0 is one that is not there yet.
      if (tree[at] === 0) tree[at] = nodes++;
      state = tree[at]!;
    }
    tree[state * 2 + (HUFFMAN_CODES[symbol]! & 1)] = -symbol - 1;
  }
  return tree;
}
