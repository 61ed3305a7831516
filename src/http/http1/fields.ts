// Hot path. The header fields of one HTTP/1.1 head as offsets into its text: no object and, until asked for, no string a field.

import { CHARACTERS, TOKEN, VALUE } from "../characters.ts";
import { FIELD, FIELD_COUNT, fieldId } from "../field-names.ts";
import type { LineMemory } from "../http2/line-memory.ts";
import type { Fields } from "../message.ts";
import { ProxyError } from "../../core/errors.ts";
import { LastLines } from "./last-lines.ts";

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
  readonly #last: LastLines;
  /** Counts, for each index, how often its line was another one than in the head before; null until somebody wants to know. */
  #versions: Int32Array | null = null;
  #text = "";
  /** What who sends these heads on over HTTP/2 remembers of them, from one to the next. */
  memory: LineMemory | null = null;
  /** May the start line, which is in the text before the fields, be sent on as it came? For the decoder to say. */
  hasPlainStart = false;

  constructor(max: number) {
    this.#max = max;
    this.#offsets = new Int32Array(max * STRIDE);
    this.#ids = new Uint8Array(max);
    this.#plain = new Uint8Array(max);
    this.#last = new LastLines(max);
  }

  /**
   * Parses the field lines that begin at `buffer[start]` up to the empty line behind them (RFC 9112 section 5), and returns the position
   * behind that; -1 when it has not come before `end`. Offsets count from `base`, where the head begins: `setText` follows. Line folding,
   * bare CR, white space before the colon, an empty name and control bytes are refused with `bad_header`, too many fields with
   * `head_too_large`.
   */
  parse(buffer: Buffer, start: number, end: number, base: number): number {
    this.#first.fill(-1);
    const offsets = this.#offsets;
    const last = this.#last;
    last.begin(buffer);
    let position = start;
    let count = 0;
    for (;;) {
      const nameStart = position;
      const behind = last.skip(count, buffer, position, end);
      if (behind !== -1) {
        this.#repeat(count, nameStart - base);
        position = behind;
        last.add(count++, position - start, true);
        continue;
      }
      while (position < end && (CHARACTERS[buffer[position]!]! & TOKEN) !== 0) position++;
      const nameEnd = position;
      if (position + 1 >= end) break;
      if (nameEnd === nameStart && buffer[position] === CR && buffer[position + 1] === LF) {
        this.count = count;
        last.finish(count, buffer, start, position);
        return position + 2;
      }
      if (nameEnd === nameStart || buffer[position] !== COLON) throw new ProxyError("bad_header");
      if (count === this.#max) throw new ProxyError("head_too_large", `more than ${this.#max} header fields`);
      position++;
      while (position < end && (buffer[position] === SP || buffer[position] === HTAB)) position++;
      const valueStart = position;
      while (position < end && (CHARACTERS[buffer[position]!]! & VALUE) !== 0) position++;
      if (position + 1 >= end) break;
      if (buffer[position] !== CR || buffer[position + 1] !== LF) throw new ProxyError("bad_header");
      let valueEnd = position;
      while (valueEnd > valueStart && (buffer[valueEnd - 1] === SP || buffer[valueEnd - 1] === HTAB)) valueEnd--;
      const at = count * STRIDE;
      offsets[at] = nameStart - base;
      offsets[at + 1] = nameEnd - base;
      offsets[at + 2] = valueStart - base;
      offsets[at + 3] = valueEnd - base;
      this.#plain[count] = valueStart === nameEnd + 2 && buffer[nameEnd + 1] === SP && valueEnd === position ? 1 : 0;
      const id = fieldId(buffer, nameStart, nameEnd);
      this.#ids[count] = id;
      if (id !== FIELD.other && this.#first[id] === -1) this.#first[id] = count;
      if (this.#versions !== null) this.#versions[count]!++;
      position += 2;
      last.add(count++, position - start, false);
    }
    return -1;
  }

  /** The line that begins at `lineStart` is the one that was there in the last head. */
  #repeat(index: number, lineStart: number): void {
    const offsets = this.#offsets;
    const at = index * STRIDE;
    const shift = lineStart - offsets[at]!;
    offsets[at] = lineStart;
    offsets[at + 1]! += shift;
    offsets[at + 2]! += shift;
    offsets[at + 3]! += shift;
    let id = this.#ids[index]!;
    if (id === FIELD.withheld) {
      // That was decided for the last head; only names that are not known have "_" in them.
      id = FIELD.other;
      this.#ids[index] = id;
    }
    if (id !== FIELD.other && this.#first[id] === -1) this.#first[id] = index;
  }

  /** @param text the head that the offsets of `parse` count in, a character for each byte */
  setText(text: string): void {
    this.#text = text;
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

  charCode(index: number, position: number): number {
    return this.#text.charCodeAt(this.#offsets[index * STRIDE + 2]! + position);
  }

  /** As long as it is the same number, the line with this index is the same, from one head to the next. */
  version(index: number): number {
    this.#versions ??= new Int32Array(this.#max);
    return this.#versions[index]!;
  }

  /** The text that holds all fields; what of it a field is, tell the positions. */
  get text(): string {
    return this.#text;
  }

  nameStart(index: number): number {
    return this.#offsets[index * STRIDE]!;
  }

  nameEnd(index: number): number {
    return this.#offsets[index * STRIDE + 1]!;
  }

  valueStart(index: number): number {
    return this.#offsets[index * STRIDE + 2]!;
  }

  valueEnd(index: number): number {
    return this.#offsets[index * STRIDE + 3]!;
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

  /**
   * The lines of all fields but those that `drops` holds 1 for at their id, and those that `connectionNames` names; behind the start line
   * if that is wanted. Lines that stand together are one piece of the text.
   */
  kept(drops: Uint8Array, connectionNames: readonly string[] | null, withStartLine: boolean): string {
    let kept = "";
    let from = withStartLine ? 0 : -1;
    for (let i = 0; i < this.count; i++) {
      const isKept = drops[this.#ids[i]!] === 0 && (connectionNames === null || !connectionNames.includes(this.name(i)));
      const lineStart = this.#offsets[i * STRIDE]!;
      if (isKept && this.#plain[i] === 1) {
        if (from === -1) from = lineStart;
        continue;
      }
      if (from !== -1) kept += this.#text.substring(from, lineStart);
      from = -1;
      if (isKept) kept += this.line(i);
    }
    return from === -1 ? kept : kept + this.#text.substring(from);
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
