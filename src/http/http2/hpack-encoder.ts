// Hot path. HPACK out (RFC 7541): fields become a header block in a piece of memory of the caller's. A field goes into the dynamic
// table only if its value is known to repeat; what changes is a literal, and what carries secrets a never-indexed one.

import { DEFAULT_TABLE_BYTES } from "./dynamic-table.ts";
import { EncoderTable } from "./encoder-table.ts";
import { ENTRY_OVERHEAD } from "./field-entry.ts";
import type { FieldEntry, FieldName } from "./field-entry.ts";

// Representations, by the first bits of their first byte (RFC 7541 section 6)
const INDEXED = 0x80;
const INCREMENTAL = 0x40;
const SIZE_UPDATE = 0x20;
const NEVER_INDEXED = 0x10;
const WITHOUT_INDEXING = 0x00;

/** No integer that is written takes more. */
const INTEGER_BYTES = 6;
/** What is longer is written by a call, the rest a byte at a time; reading a character costs more than reading a byte. */
const CALL_CHARACTERS = 12;
/** A field may take up this part of the table; a larger one would push too much else out of it. */
const TABLE_SHARE = 2;

const NONE = Buffer.alloc(0);
const DIGIT_ZERO = 0x30;
const STATUS_NAME_INDEX = 8;
/** Index in the static table of `:status` with this value; 0 when it is not there. */
const STATUS_INDEX = new Uint8Array(1000);
[200, 204, 206, 304, 400, 404, 500].forEach((status, at) => (STATUS_INDEX[status] = STATUS_NAME_INDEX + at));

export class HpackEncoder {
  /** Where the block is after `end`: the buffer given to `begin`, or a larger one if the block did not fit into that. */
  buffer: Buffer = NONE;
  start = 0;
  #position = 0;

  readonly #table = new EncoderTable(DEFAULT_TABLE_BYTES);
  /** The size that the table is to have, and the smallest that it was to have since the last block (RFC 7541 section 4.2). */
  #tableBytes = DEFAULT_TABLE_BYTES;
  #leastTableBytes = DEFAULT_TABLE_BYTES;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE, of which no more than the default is used; to be called before that is acknowledged, for each value in turn. */
  setTableLimit(bytes: number): void {
    this.#tableBytes = Math.min(bytes, DEFAULT_TABLE_BYTES);
    this.#leastTableBytes = Math.min(this.#leastTableBytes, this.#tableBytes);
  }

  /** Begins a block at `buffer[position]`. */
  begin(buffer: Buffer, position: number): void {
    this.buffer = buffer;
    this.start = position;
    this.#position = position;
    if (this.#leastTableBytes < this.#table.capacity) this.#resize(this.#leastTableBytes);
    if (this.#tableBytes !== this.#table.capacity) this.#resize(this.#tableBytes);
  }

  /** Ends the block, which is `this.buffer[this.start, position)` with the position that this returns. */
  end(): number {
    return this.#position;
  }

  /** The block was taken: an idle connection would keep alive what it wrote into last. */
  release(): void {
    this.buffer = NONE;
  }

  /** `:status`, 100 to 999. */
  status(status: number): void {
    this.#reserve(INTEGER_BYTES);
    const index = STATUS_INDEX[status]!;
    const { buffer } = this;
    if (index !== 0) {
      buffer[this.#position++] = INDEXED | index;
      return;
    }
    buffer[this.#position++] = WITHOUT_INDEXING | STATUS_NAME_INDEX;
    buffer[this.#position++] = 3;
    buffer[this.#position++] = DIGIT_ZERO + Math.trunc(status / 100);
    buffer[this.#position++] = DIGIT_ZERO + (Math.trunc(status / 10) % 10);
    buffer[this.#position++] = DIGIT_ZERO + (status % 10);
  }

  /** A field that may repeat: by index if the peer has it, inserted if it `isRepeated`, otherwise a literal. */
  entry(entry: FieldEntry): void {
    const index = entry.staticIndex === 0 ? this.#table.indexOf(entry) : entry.staticIndex;
    if (index !== 0) {
      this.#reserve(INTEGER_BYTES);
      this.#integer(INDEXED, 0x7f, index);
      return;
    }
    const { field, value } = entry;
    const isNeverIndexed = entry.isNeverIndexed || value.length < field.shortestIndexed;
    if (!isNeverIndexed && entry.isRepeated && entry.size * TABLE_SHARE <= this.#table.capacity) {
      this.#name(INCREMENTAL, 0x3f, field, value.length);
      this.#text(value, 0, value.length);
      this.#table.add(entry);
      return;
    }
    this.#name(isNeverIndexed ? NEVER_INDEXED : WITHOUT_INDEXING, 0x0f, field, value.length);
    this.#text(value, 0, value.length);
  }

  /** A field with the value at `text[start, end)`, one byte a character, which is not expected to come again. */
  text(field: FieldName, text: string, start: number, end: number): void {
    this.#changingName(field, end - start);
    this.#text(text, start, end);
  }

  /** Everything of a field whose value changes, up to its value. Its name goes into the table, so that it is sent in full only once. */
  #changingName(field: FieldName, length: number): void {
    if (length < field.shortestIndexed) {
      this.#name(NEVER_INDEXED, 0x0f, field, length);
      return;
    }
    const size = field.name.length + length + ENTRY_OVERHEAD;
    if (this.#table.indexOfName(field) === 0 && size * TABLE_SHARE <= this.#table.capacity) {
      this.#name(INCREMENTAL, 0x3f, field, length);
      this.#table.add({ field, size });
    } else this.#name(WITHOUT_INDEXING, 0x0f, field, length);
  }

  /** The name, and room for a value of `length` bytes with the integer in front of it. */
  #name(representation: number, prefix: number, field: FieldName, length: number): void {
    const { name } = field;
    this.#reserve(name.length + length + 3 * INTEGER_BYTES);
    const index = this.#table.indexOfName(field);
    this.#integer(representation, prefix, index);
    if (index === 0) this.#text(name, 0, name.length);
  }

  /** RFC 7541 section 5.2, without Huffman coding. */
  #text(text: string, start: number, end: number): void {
    const length = end - start;
    this.#integer(0, 0x7f, length);
    const { buffer } = this;
    if (length > CALL_CHARACTERS) {
      this.#position += buffer.write(length === text.length ? text : text.slice(start, end), this.#position, "latin1");
      return;
    }
    let position = this.#position;
    for (let i = start; i < end; i++) buffer[position++] = text.charCodeAt(i);
    this.#position = position;
  }

  /** RFC 7541 section 5.1; `bits` are those in front of the prefix. */
  #integer(bits: number, prefix: number, value: number): void {
    const { buffer } = this;
    if (value < prefix) {
      buffer[this.#position++] = bits | value;
      return;
    }
    buffer[this.#position++] = bits | prefix;
    let rest = value - prefix;
    for (; rest >= 0x80; rest >>>= 7) buffer[this.#position++] = (rest & 0x7f) | 0x80;
    buffer[this.#position++] = rest;
  }

  #resize(bytes: number): void {
    this.#reserve(INTEGER_BYTES);
    this.#integer(SIZE_UPDATE, 0x1f, bytes);
    this.#table.resize(bytes);
    this.#leastTableBytes = this.#tableBytes;
  }

  /** Room for as many bytes at the position. A block that does not fit goes on in memory of its own. */
  #reserve(bytes: number): void {
    if (this.#position + bytes <= this.buffer.length) return;
    const length = this.#position - this.start;
    const grown = Buffer.allocUnsafe((length + bytes) * 2);
    this.buffer.copy(grown, 0, this.start, this.#position);
    this.buffer = grown;
    this.start = 0;
    this.#position = length;
  }
}
