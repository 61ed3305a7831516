// Hot path. Has the head of a message read where it lies, as most come in one piece; one that does not is kept until it is whole.

import { ProxyError } from "../../core/errors.ts";

const END_OF_HEAD = Buffer.from("\r\n\r\n", "latin1");
const NOTHING = Buffer.alloc(0);
const CR = 0x0d;
const LF = 0x0a;

/** Reads the head that begins at `start`; returns the position behind it, or -1 when it has not come whole before `end`. */
type ReadHead = (buffer: Buffer, start: number, end: number) => number;

export class HeadBuffer {
  readonly #maxBytes: number;
  readonly #read: ReadHead;
  #held: Buffer = NOTHING;
  #length = 0;

  constructor(maxBytes: number, read: ReadHead) {
    this.#maxBytes = maxBytes;
    this.#read = read;
  }

  /** Nothing of a head is kept. */
  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /**
   * Takes `chunk[position, end)`. Returns the position behind the head, which is read by then; -1 when more bytes are needed. Throws
   * what reading it throws, `head_too_large`, and for a bare LF, which would otherwise wait for its CRLF until a timeout,
   * `bad_request_line` or `bad_header`.
   */
  take(chunk: Buffer, position: number, end: number): number {
    const next = this.#length === 0 ? this.#readWhole(chunk, position, end) : -1;
    return next === -1 ? this.#takePiece(chunk, position, end) : next;
  }

  /** What has arrived of an incomplete head, for a decision about which limit it broke. */
  heldText(): string {
    return this.#held.toString("latin1", 0, this.#length);
  }

  /** -1: the head has not come whole, is too large, or wrong. It is judged when it is whole, so that it does not matter how it was cut. */
  #readWhole(chunk: Buffer, position: number, end: number): number {
    try {
      return this.#read(chunk, position, Math.min(end, position + this.#maxBytes));
    } catch {
      return -1;
    }
  }

  #takePiece(chunk: Buffer, position: number, end: number): number {
    const before = this.#length;
    const taken = Math.min(end - position, this.#maxBytes + 1 - before);
    const held = this.#reserve(before + taken);
    chunk.copy(held, before, position, position + taken);
    this.#length = before + taken;
    const at = held.indexOf(END_OF_HEAD, Math.max(0, before - 3));
    const length = at + END_OF_HEAD.length;
    if (at === -1 || length > this.#length || length > this.#maxBytes) {
      refuseBareLineFeed(held, before, this.#length);
      if (this.#length > this.#maxBytes) throw new ProxyError("head_too_large");
      return -1;
    }
    if (this.#read(held, 0, length) !== length) throw new ProxyError("bad_request_line");
    this.#held = NOTHING;
    this.#length = 0;
    return position + (length - before);
  }

  #reserve(length: number): Buffer {
    if (this.#held.length >= length) return this.#held;
    // Doubling keeps a head that trickles in byte by byte from costing the square of its length.
    const grown = Buffer.alloc(Math.max(1024, length * 2));
    this.#held.copy(grown, 0, 0, this.#length);
    this.#held = grown;
    return grown;
  }
}

function refuseBareLineFeed(buffer: Buffer, start: number, end: number): void {
  for (let at = buffer.indexOf(LF, start); at !== -1 && at < end; at = buffer.indexOf(LF, at + 1)) {
    if (at > 0 && buffer[at - 1] === CR) continue;
    throw new ProxyError(buffer.indexOf(LF) === at ? "bad_request_line" : "bad_header", "a line ends with a bare line feed");
  }
}
