// Hot path. Field names found by their bytes, so that one name is one object and nobody makes a string to look it up. One is kept
// for each worker. It is bounded: of names that the protocols do not know only so many are remembered.

import { flat } from "../flat.ts";
import { FieldName, PSEUDO } from "./field-entry.ts";
import { STATIC_TABLE } from "./static-table.ts";

const SLOTS = 1024;
/** A name is in one of as many slots in a row. */
const PROBES = 4;
/** A longer one is made anew each time. */
const MAX_LENGTH = 128;

export class NameTable {
  readonly #pseudo = new Map<string, FieldName>([[":protocol", new FieldName(":protocol", true, 0)]]);
  readonly #slots = new Array<FieldName | null>(SLOTS).fill(null);
  /** Which of the slots that a new name may have is taken next when all are. */
  #next = 0;

  constructor() {
    for (const { field } of STATIC_TABLE) {
      if (field.pseudo !== PSEUDO.none) this.#pseudo.set(field.name, field);
      else if (field.name !== "") this.#remember(field);
    }
  }

  /** The name at `text[start, end)`: a valid token (RFC 9110 section 5.6.2) in any case, or a known pseudo-header field. */
  inText(text: string, start: number, end: number): FieldName {
    const slot = slotOf(end - start, text.charCodeAt(start), text.charCodeAt((start + end) >> 1), text.charCodeAt(end - 1));
    for (let probe = 0; probe < PROBES; probe++) {
      const field = this.#slots[(slot + probe) & (SLOTS - 1)]!;
      if (field === null) break;
      if (isInText(field.bytes, text, start, end)) return field;
    }
    return this.#add(text.slice(start, end));
  }

  /** As `inText`, of the bytes at `bytes[start, end)`. */
  inBytes(bytes: Buffer, start: number, end: number): FieldName {
    const slot = slotOf(end - start, bytes[start]!, bytes[(start + end) >> 1]!, bytes[end - 1]!);
    for (let probe = 0; probe < PROBES; probe++) {
      const field = this.#slots[(slot + probe) & (SLOTS - 1)]!;
      if (field === null) break;
      if (isInBytes(field.bytes, bytes, start, end)) return field;
    }
    return this.#add(bytes.toString("latin1", start, end));
  }

  /** A pseudo-header field, or a name that is not valid; exactly as it is. */
  odd(text: string): FieldName {
    return this.#pseudo.get(text) ?? new FieldName(text, false, 0);
  }

  #add(text: string): FieldName {
    if (text.startsWith(":")) return this.odd(text);
    // A copy, so that a name does not keep the head alive that it stood in.
    const name = flat(text.toLowerCase());
    const field = new FieldName(name, true, 0);
    if (name.length <= MAX_LENGTH) this.#remember(field);
    return field;
  }

  #remember(field: FieldName): void {
    const { name } = field;
    const slots = this.#slots;
    const slot = slotOf(name.length, name.charCodeAt(0), name.charCodeAt(name.length >> 1), name.charCodeAt(name.length - 1));
    this.#next++;
    for (let probe = 0; probe < PROBES; probe++) {
      const at = (slot + probe) & (SLOTS - 1);
      if (slots[at] !== null) continue;
      slots[at] = field;
      return;
    }
    for (let probe = 0; probe < PROBES; probe++) {
      const at = (slot + ((probe + this.#next) & (PROBES - 1))) & (SLOTS - 1);
      if (slots[at]!.isStandard) continue;
      slots[at] = field;
      return;
    }
  }
}

/** Of length, first, middle and last character; their case does not count. Names that agree in these only forget each other sooner. */
function slotOf(length: number, first: number, middle: number, last: number): number {
  const hash =
    Math.imul(length, 0x9e37) ^ Math.imul(first | 0x20, 0x85eb) ^ Math.imul(middle | 0x20, 0xc2b3) ^ Math.imul(last | 0x20, 0x27d5);
  return (hash ^ (hash >>> 10)) & (SLOTS - 1);
}

function isInText(name: Uint8Array, text: string, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let i = 0; i < name.length; i++) if (lower(text.charCodeAt(start + i)) !== name[i]) return false;
  return true;
}

function isInBytes(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let i = 0; i < name.length; i++) if (lower(bytes[start + i]!) !== name[i]) return false;
  return true;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
