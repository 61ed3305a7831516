// Keeps the head of a message that comes in pieces until it is whole. Most come in one and never get here.

import { ProxyError } from "../../core/errors.ts";

const END_OF_HEAD = Buffer.from("\r\n\r\n", "latin1");
const CR = 0x0d;
const LF = 0x0a;

export class HeadBuffer {
  readonly #maxBytes: number;
  #held: Buffer | null = null;
  #length = 0;

  /** After `find` returned true: the bytes of the head, from the first on. */
  buffer: Buffer = END_OF_HEAD;
  /** Position in `buffer` behind the empty line. */
  end = 0;
  /** The same in the last chunk. */
  next = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Nothing of a head is kept. */
  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /**
   * Takes `chunk[position, end)`. True when the head is complete; false when more bytes are needed. Throws `head_too_large`, and for a
   * bare LF, which would otherwise wait for its CRLF until a timeout, what the parser of the line would throw: `bad_request_line` or
   * `bad_header`.
   */
  find(chunk: Buffer, position: number, end: number): boolean {
    const before = this.#length;
    const taken = Math.min(end - position, this.#maxBytes + 1 - before);
    const held = this.#reserve(before + taken);
    chunk.copy(held, before, position, position + taken);
    this.#length = before + taken;
    const at = held.indexOf(END_OF_HEAD, Math.max(0, before - 3));
    if (at !== -1 && at + 4 <= this.#length && at + 4 <= this.#maxBytes) {
      this.buffer = held;
      this.end = at + 4;
      this.next = position + (at + 4 - before);
      return true;
    }
    refuseBareLineFeed(held, before, this.#length);
    if (this.#length > this.#maxBytes) throw new ProxyError("head_too_large");
    return false;
  }

  /** The head was read: the kept bytes are no longer needed. */
  release(): void {
    this.#held = null;
    this.#length = 0;
  }

  #reserve(length: number): Buffer {
    if (this.#held !== null && this.#held.length >= length) return this.#held;
    // Doubling keeps a head that trickles in byte by byte from costing the square of its length.
    const grown = Buffer.alloc(Math.max(1024, length * 2));
    if (this.#held !== null) this.#held.copy(grown, 0, 0, this.#length);
    this.#held = grown;
    return grown;
  }

  /** What has arrived of an incomplete head, for a decision about which limit it broke. */
  heldText(): string {
    return this.#held === null ? "" : this.#held.toString("latin1", 0, this.#length);
  }
}

function refuseBareLineFeed(buffer: Buffer, start: number, end: number): void {
  for (let at = buffer.indexOf(LF, start); at !== -1 && at < end; at = buffer.indexOf(LF, at + 1)) {
    if (at > 0 && buffer[at - 1] === CR) continue;
    throw new ProxyError(buffer.indexOf(LF) === at ? "bad_request_line" : "bad_header", "a line ends with a bare line feed");
  }
}
