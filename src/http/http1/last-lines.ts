// Hot path. The field lines of the last head of a connection, as bytes: the next head most likely has the same ones in the same places,
// and what was parsed once need only be compared, four bytes at a time.

/** A head with more is not remembered. */
const MOST_BYTES = 2048;
/** Of a smaller one the bytes are compared one by one: a view costs more. */
const FEWEST_VIEWED_BYTES = 64;
const NONE = Buffer.alloc(0);
const NO_VIEW = new DataView(NONE.buffer, 0, 0);

export class LastLines {
  #bytes: Buffer = NONE;
  #view: DataView = NO_VIEW;
  /** Where each line ends in the bytes, behind its CRLF. */
  readonly #ends: Uint16Array;
  /** Lines that are remembered; none while a head is parsed, or when it was not parsed to its end. */
  #count = 0;
  #length = 0;
  #comparable = 0;
  /** Where the line to be compared next begins. */
  #start = 0;
  #hasOthers = false;
  /** Of the memory that the head is in; only while it is parsed, or it would be kept alive. */
  #headView: DataView = NO_VIEW;

  constructor(most: number) {
    this.#ends = new Uint16Array(most);
  }

  /** A head in `buffer` begins. */
  begin(buffer: Buffer): void {
    this.#comparable = this.#count;
    if (this.#count > 0 && this.#length >= FEWEST_VIEWED_BYTES) this.#headView = new DataView(buffer.buffer);
    this.#count = 0;
    this.#start = 0;
    this.#hasOthers = false;
  }

  /**
   * The position behind the line at `buffer[position]` if it is the same, byte by byte, as the one with this index in the last head;
   * otherwise -1. To be called for each line in turn.
   */
  skip(index: number, buffer: Buffer, position: number, end: number): number {
    if (index >= this.#comparable) return -1;
    const bytes = this.#bytes;
    let i = this.#start;
    const stop = this.#ends[index]!;
    this.#start = stop;
    const shift = position - i;
    if (stop + shift > end) return -1;
    const headView = this.#headView;
    if (headView !== NO_VIEW) {
      const view = this.#view;
      const viewShift = buffer.byteOffset + shift;
      for (; i + 4 <= stop; i += 4) if (headView.getUint32(i + viewShift) !== view.getUint32(i)) return -1;
    }
    for (; i < stop; i++) if (buffer[i + shift] !== bytes[i]) return -1;
    return stop + shift;
  }

  /** A line, skipped or not, ends so many bytes behind the beginning of the first. To be called behind `skip` for each. */
  add(index: number, offset: number, wasSkipped: boolean): void {
    this.#ends[index] = offset;
    if (!wasSkipped) this.#hasOthers = true;
  }

  /** The head was parsed: it had `count` lines, from `buffer[start]` to `end`. */
  finish(count: number, buffer: Buffer, start: number, end: number): void {
    this.#headView = NO_VIEW;
    const length = end - start;
    if (length > MOST_BYTES) return;
    if (this.#hasOthers) {
      if (this.#bytes.length < length) this.#grow(length);
      buffer.copy(this.#bytes, 0, start, end);
    }
    this.#count = count;
    this.#length = length;
  }

  #grow(length: number): void {
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(MOST_BYTES, length + (length >> 2)));
    this.#view = new DataView(this.#bytes.buffer);
  }
}
