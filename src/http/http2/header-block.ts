// A header block that comes in several frames (RFC 9113 section 4.3), put together within bounds.

import { ConnectionError, H2_ERROR } from "./connection-error.ts";

/** CONTINUATION frames in one block: no real one needs more, and empty ones could come for ever. */
const MAX_CONTINUATIONS = 64;
const FIRST_BYTES = 1024;

const EMPTY = Buffer.alloc(0);

export class HeaderBlock {
  readonly #maxBytes: number;
  /** The stream whose block is incomplete, 0 for none. */
  streamId = 0;
  endStream = false;
  /** What has come is `buffer[0, length)`. */
  buffer: Buffer = EMPTY;
  length = 0;
  #continuations = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  begin(streamId: number, endStream: boolean, buffer: Buffer, start: number, end: number): void {
    this.streamId = streamId;
    this.endStream = endStream;
    this.length = 0;
    this.#continuations = 0;
    this.#append(buffer, start, end);
  }

  /** The payload of a CONTINUATION. Throws `ConnectionError`. */
  continue(buffer: Buffer, start: number, end: number): void {
    if (++this.#continuations > MAX_CONTINUATIONS) throw new ConnectionError(H2_ERROR.enhanceYourCalm, "too many CONTINUATION frames");
    this.#append(buffer, start, end);
  }

  /** It is complete: hands over its bytes, of which the first `length` count. */
  take(): Buffer {
    const { buffer } = this;
    this.buffer = EMPTY;
    this.streamId = 0;
    return buffer;
  }

  #append(buffer: Buffer, start: number, end: number): void {
    const bytes = this.length + end - start;
    if (bytes > this.#maxBytes) throw new ConnectionError(H2_ERROR.enhanceYourCalm, "a header block is too long");
    if (bytes > this.buffer.length) {
      const grown = Buffer.allocUnsafe(Math.min(Math.max(bytes * 2, FIRST_BYTES), this.#maxBytes));
      this.buffer.copy(grown, 0, 0, this.length);
      this.buffer = grown;
    }
    buffer.copy(this.buffer, this.length, start, end);
    this.length = bytes;
  }
}
