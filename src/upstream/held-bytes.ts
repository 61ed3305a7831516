// Hot path. Body bytes that came before they could go on. How many there can be is bounded by whoever lets them come.

const EMPTY = Buffer.alloc(0);
const LEAST_BYTES = 1024;

export class HeldBytes {
  /** The bytes are `buffer[start, end)`. */
  buffer: Buffer = EMPTY;
  start = 0;
  end = 0;

  get length(): number {
    return this.end - this.start;
  }

  /** Appends a copy of `buffer[start, end)`. */
  append(buffer: Buffer, start: number, end: number): void {
    const bytes = end - start;
    if (this.end + bytes > this.buffer.length) this.#makeRoom(bytes);
    buffer.copy(this.buffer, this.end, start, end);
    this.end += bytes;
  }

  /** The first `bytes` are done with. */
  drop(bytes: number): void {
    this.start += bytes;
    if (this.start === this.end) this.clear();
  }

  /** Whoever looks at the buffer after this has it to himself. */
  clear(): void {
    this.buffer = EMPTY;
    this.start = 0;
    this.end = 0;
  }

  #makeRoom(bytes: number): void {
    const held = this.length;
    // Doubling keeps many small pieces from costing the square of their sum.
    const room = Buffer.allocUnsafeSlow(Math.max(LEAST_BYTES, held + bytes, held * 2));
    this.buffer.copy(room, 0, this.start, this.end);
    this.buffer = room;
    this.start = 0;
    this.end = held;
  }
}
