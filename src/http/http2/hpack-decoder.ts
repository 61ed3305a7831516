// Hot path. HPACK in (RFC 7541): complete header blocks become field entries. What an index refers to is one object each time, and
// what is the same on many connections comes from the worker's cache: repeated fields cost no string.

import { ConnectionError, H2_ERROR } from "./connection-error.ts";
import { DEFAULT_TABLE_BYTES, DynamicTable } from "./dynamic-table.ts";
import type { FieldCache } from "./field-cache.ts";
import { FieldEntry } from "./field-entry.ts";
import type { FieldName } from "./field-entry.ts";
import type { FieldList } from "./field-list.ts";
import { LENGTH_MASK, MARKS, NOT_A_NAME, NOT_A_VALUE, huffmanDecode } from "./huffman-decode.ts";
import { STATIC_ENTRIES, STATIC_TABLE } from "./static-table.ts";

export interface HpackDecoderOptions {
  readonly cache: FieldCache;
  /** SETTINGS_MAX_HEADER_LIST_SIZE that we announced: beyond it a list is too large. */
  readonly listBytes: number;
  /** Fields beyond it make a list too large as well. */
  readonly maxFields: number;
}

/** A list of so many times the bytes that it may have ends the connection. */
const HARD_LIMIT_FACTOR = 4;

const INDEXED = 0x80;
const INCREMENTAL = 0x40;
const SIZE_UPDATE = 0x20;
const NEVER_INDEXED = 0x10;
const HUFFMAN = 0x80;

const SP = 0x20;
const HTAB = 0x09;

/** Where Huffman-coded strings are decoded to. Nothing is kept in it from one string to the next. */
const SCRATCH = Buffer.allocUnsafeSlow(16 * 1024);

export class HpackDecoder {
  readonly #cache: FieldCache;
  readonly #listBytes: number;
  readonly #maxFields: number;
  readonly #table = new DynamicTable<FieldEntry>(DEFAULT_TABLE_BYTES);
  /** Behind what was read last. */
  #position = 0;

  /** After `#string`: its bytes, and what they may not be used as. */
  #bytes: Buffer = SCRATCH;
  #start = 0;
  #end = 0;
  #marks = 0;

  constructor({ cache, listBytes, maxFields }: HpackDecoderOptions) {
    this.#cache = cache;
    this.#listBytes = listBytes;
    this.#maxFields = maxFields;
  }

  /**
   * Decodes the complete header block in `buffer[start, end)`, appending to `into`. Throws `ConnectionError`: COMPRESSION_ERROR when
   * the block cannot be decoded, ENHANCE_YOUR_CALM when the list passes the hard limit. The decoder is unusable afterwards.
   */
  decode(buffer: Buffer, start: number, end: number, into: FieldList): void {
    this.#position = start;
    let first = start < end ? buffer[start]! : 0;
    while ((first & 0xe0) === SIZE_UPDATE) {
      this.#resize(this.#integer(buffer, end, 0x1f));
      first = this.#position < end ? buffer[this.#position]! : 0;
    }
    while (this.#position < end) {
      first = buffer[this.#position]!;
      if (first >= INDEXED) this.#append(into, this.#entryAt(this.#integer(buffer, end, 0x7f)));
      else if (first >= INCREMENTAL) {
        const entry = this.#literal(buffer, end, 0x3f, true, false);
        this.#table.add(entry);
        this.#append(into, entry);
      } else if (first >= SIZE_UPDATE) throw compressionError("a table size update behind a field");
      else this.#append(into, this.#literal(buffer, end, 0x0f, false, first >= NEVER_INDEXED));
    }
    // Or an idle connection would keep what it read last alive.
    this.#bytes = SCRATCH;
  }

  #append(into: FieldList, entry: FieldEntry): void {
    into.size += entry.size;
    if (into.size > this.#listBytes || into.count >= this.#maxFields || into.isTooLarge) {
      into.isTooLarge = true;
      if (into.size > HARD_LIMIT_FACTOR * this.#listBytes) {
        throw new ConnectionError(H2_ERROR.enhanceYourCalm, "the list of fields is far too large");
      }
      return;
    }
    into.entries[into.count++] = entry;
    if (!entry.isValid) into.isMalformed = true;
  }

  /** RFC 7541 section 2.3.3. */
  #entryAt(index: number): FieldEntry {
    if (index <= STATIC_ENTRIES) {
      if (index === 0) throw compressionError("index 0");
      return STATIC_TABLE[index]!;
    }
    const dynamic = index - STATIC_ENTRIES - 1;
    if (dynamic >= this.#table.count) throw compressionError(`index ${index} is not in the table`);
    return this.#table.at(dynamic);
  }

  /** RFC 7541 section 6.2. */
  #literal(buffer: Buffer, end: number, prefix: number, isRepeated: boolean, isNeverIndexed: boolean): FieldEntry {
    const index = this.#integer(buffer, end, prefix);
    const field = index === 0 ? this.#name(buffer, end) : this.#entryAt(index).field;
    this.#string(buffer, end);
    const bytes = this.#bytes;
    const start = this.#start;
    const stop = this.#end;
    const isValid =
      field.isValid && (this.#marks & NOT_A_VALUE) === 0 && (start === stop || (!isBlank(bytes[start]!) && !isBlank(bytes[stop - 1]!)));
    if (isValid && !isNeverIndexed) {
      const known = this.#cache.entryInBytes(field, bytes, start, stop);
      if (known !== null) return known;
    }
    return new FieldEntry(field, bytes.toString("latin1", start, stop), isValid, isRepeated, isNeverIndexed, 0);
  }

  #name(buffer: Buffer, end: number): FieldName {
    this.#string(buffer, end);
    const { names } = this.#cache;
    if (this.#start === this.#end || (this.#marks & NOT_A_NAME) !== 0)
      return names.odd(this.#bytes.toString("latin1", this.#start, this.#end));
    return names.inBytes(this.#bytes, this.#start, this.#end);
  }

  /** RFC 7541 section 5.2. */
  #string(buffer: Buffer, end: number): void {
    if (this.#position >= end) throw compressionError("a string is cut short");
    const isHuffman = buffer[this.#position]! >= HUFFMAN;
    const length = this.#integer(buffer, end, 0x7f);
    const start = this.#position;
    const stop = start + length;
    if (stop > end) throw compressionError("a string is cut short");
    this.#position = stop;
    if (!isHuffman) {
      let marks = 0;
      for (let i = start; i < stop; i++) marks |= MARKS[buffer[i]!]!;
      this.#bytes = buffer;
      this.#start = start;
      this.#end = stop;
      this.#marks = marks;
      return;
    }
    const bytes = length * 2 <= SCRATCH.length ? SCRATCH : Buffer.allocUnsafe(length * 2);
    const decoded = huffmanDecode(buffer, start, stop, bytes, 0);
    if (decoded < 0) throw compressionError("a string is not Huffman-coded as it should be");
    this.#bytes = bytes;
    this.#start = 0;
    this.#end = decoded & LENGTH_MASK;
    this.#marks = decoded;
  }

  /** RFC 7541 section 6.3. */
  #resize(bytes: number): void {
    if (bytes > DEFAULT_TABLE_BYTES) throw compressionError(`a table of ${bytes} bytes is more than was allowed`);
    this.#table.resize(bytes);
  }

  /** The integer at the position, whose prefix has the bits of `prefix` (RFC 7541 section 5.1). */
  #integer(buffer: Buffer, end: number, prefix: number): number {
    let value = buffer[this.#position++]! & prefix;
    if (value < prefix) return value;
    // Four bytes are 28 bits, more than anything that can be meant.
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#position >= end) throw compressionError("an integer is cut short");
      const byte = buffer[this.#position++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw compressionError("an integer is too large");
  }
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === HTAB;
}

function compressionError(message: string): ConnectionError {
  return new ConnectionError(H2_ERROR.compressionError, message);
}
