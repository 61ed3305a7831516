// Hot path. The header fields of one HTTP/1.1 head as offsets into its text: no object and, until asked for, no string a field.

import { CHARACTERS, TOKEN, VALUE } from "../characters.ts";
import { FIELD, FIELD_COUNT, fieldId } from "../field-names.ts";
import type { Fields } from "../message.ts";
import { ProxyError } from "../../core/errors.ts";

const COLON = 0x3a;
const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HTAB = 0x09;

/** Numbers kept for each field: start of the name, its end, start of the value, its end. */
const STRIDE = 4;

export class Http1Fields implements Fields {
  count = 0;
  readonly #max: number;
  readonly #offsets: Int32Array;
  readonly #ids: Uint8Array;
  /** Index of the first field for each known id, -1 for none. */
  readonly #first = new Int16Array(FIELD_COUNT).fill(-1);
  /** Bit 0: the line can be sent as it stands in the text. */
  readonly #plain: Uint8Array;
  #text = "";

  constructor(max: number) {
    this.#max = max;
    this.#offsets = new Int32Array(max * STRIDE);
    this.#ids = new Uint8Array(max);
    this.#plain = new Uint8Array(max);
  }

  /**
   * Parses the field lines in `buffer[start, end)`, which must end with CRLF (RFC 9112 section 5). `text` is the latin1 text of
   * the head and begins at `base` of the buffer. Line folding, bare CR, white space before the colon, an empty name and control
   * bytes are refused with `bad_header`, too many fields with `head_too_large`.
   */
  parse(buffer: Buffer, start: number, end: number, text: string, base: number): void {
    this.#first.fill(-1);
    this.#text = text;
    let position = start;
    let count = 0;
    while (position < end) {
      if (count === this.#max) throw new ProxyError("head_too_large", `more than ${this.#max} header fields`);
      const nameStart = position;
      while ((CHARACTERS[buffer[position]!]! & TOKEN) !== 0) position++;
      const nameEnd = position;
      if (nameEnd === nameStart || buffer[position] !== COLON) throw new ProxyError("bad_header");
      position++;
      while (buffer[position] === SP || buffer[position] === HTAB) position++;
      const valueStart = position;
      while ((CHARACTERS[buffer[position]!]! & VALUE) !== 0) position++;
      if (buffer[position] !== CR || buffer[position + 1] !== LF) throw new ProxyError("bad_header");
      let valueEnd = position;
      while (valueEnd > valueStart && (buffer[valueEnd - 1] === SP || buffer[valueEnd - 1] === HTAB)) valueEnd--;
      const at = count * STRIDE;
      this.#offsets[at] = nameStart - base;
      this.#offsets[at + 1] = nameEnd - base;
      this.#offsets[at + 2] = valueStart - base;
      this.#offsets[at + 3] = valueEnd - base;
      this.#plain[count] = valueStart === nameEnd + 2 && buffer[nameEnd + 1] === SP && valueEnd === position ? 1 : 0;
      const id = fieldId(buffer, nameStart, nameEnd);
      this.#ids[count] = id;
      if (id !== FIELD.other && this.#first[id] === -1) this.#first[id] = count;
      count++;
      position += 2;
    }
    this.count = count;
  }

  id(index: number): number {
    return this.#ids[index]!;
  }

  name(index: number): string {
    const at = index * STRIDE;
    return this.#text.substring(this.#offsets[at]!, this.#offsets[at + 1]!).toLowerCase();
  }

  value(index: number): string {
    const at = index * STRIDE;
    return this.#text.substring(this.#offsets[at + 2]!, this.#offsets[at + 3]!);
  }

  line(index: number): string {
    const at = index * STRIDE;
    if (this.#plain[index] === 1) return this.#text.substring(this.#offsets[at]!, this.#offsets[at + 3]! + 2);
    return `${this.#text.substring(this.#offsets[at]!, this.#offsets[at + 1]!)}: ${this.value(index)}\r\n`;
  }

  /** Gives the fields with "_" in their names the id `withheld`; tells whether there are any. */
  withholdUnderscored(): boolean {
    let hasAny = false;
    let underscore = -1;
    for (let i = 0; i < this.count; i++) {
      const nameStart = this.#offsets[i * STRIDE]!;
      if (underscore < nameStart) underscore = this.#text.indexOf("_", nameStart);
      if (underscore === -1) break;
      if (underscore >= this.#offsets[i * STRIDE + 1]!) continue;
      this.#ids[i] = FIELD.withheld;
      hasAny = true;
    }
    return hasAny;
  }

  find(id: number): number {
    return this.#first[id]!;
  }

  /** Does the line end right behind the value, without the white space that is allowed there? */
  endsLine(index: number): boolean {
    return this.#text.charCodeAt(this.#offsets[index * STRIDE + 3]!) === CR;
  }

  /** Is there more than one field with this id? */
  isRepeated(id: number): boolean {
    const first = this.#first[id]!;
    if (first === -1) return false;
    for (let i = first + 1; i < this.count; i++) if (this.#ids[i] === id) return true;
    return false;
  }
}
