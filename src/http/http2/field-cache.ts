// Hot path. Finds the entry of a field by its bytes if it has come before, so that what repeats, on whichever connection, is one
// object and costs no string. One is kept for each worker. It is bounded, and what carries secrets stays out of it.

import { flat } from "../flat.ts";
import { FieldEntry, HASH_PRIME } from "./field-entry.ts";
import type { FieldName } from "./field-entry.ts";
import { NameTable } from "./name-table.ts";
import { staticEntry } from "./static-table.ts";

const SLOTS = 2048;
/** Longer values are not remembered. */
const MAX_VALUE_BYTES = 512;

export class FieldCache {
  readonly names = new NameTable();
  readonly #entries = new Array<FieldEntry | null>(SLOTS).fill(null);
  /** The values of the entries. */
  readonly #bytes = new Array<Uint8Array | null>(SLOTS).fill(null);
  /** Of the last value that was looked for in a slot and not found: seen once more, it becomes an entry. */
  readonly #fingerprints = new Int32Array(SLOTS);

  /** The name that is the whole text. */
  name(text: string): FieldName {
    return this.names.inText(text, 0, text.length);
  }

  /**
   * The entry of `name` and the value at `text[start, end)`, if it was seen before; otherwise null, and it is remembered that it was
   * seen. The value must be valid (RFC 9113 section 8.2.1), one byte a character.
   */
  entryInText(name: FieldName, text: string, start: number, end: number): FieldEntry | null {
    const length = end - start;
    if (name.isSecret || length > MAX_VALUE_BYTES) return null;
    const step = (length >> 2) + 1;
    let hash = name.hash ^ length;
    for (let i = end - 1; i >= start; i -= step) hash = Math.imul(hash ^ text.charCodeAt(i), HASH_PRIME);
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const found = this.#entries[slot]!;
    if (found !== null && found.field === name && found.value.length === length && text.substring(start, end) === found.value) return found;
    let fingerprint = name.hash;
    for (let i = start; i < end; i++) fingerprint = Math.imul(fingerprint ^ text.charCodeAt(i), HASH_PRIME);
    if (this.#fingerprints[slot] === fingerprint) return this.#add(slot, name, text.slice(start, end));
    this.#fingerprints[slot] = fingerprint;
    return null;
  }

  /** As `entryInText`, of the value at `bytes[start, end)`. */
  entryInBytes(name: FieldName, bytes: Buffer, start: number, end: number): FieldEntry | null {
    const length = end - start;
    if (name.isSecret || length > MAX_VALUE_BYTES) return null;
    const step = (length >> 2) + 1;
    let hash = name.hash ^ length;
    for (let i = end - 1; i >= start; i -= step) hash = Math.imul(hash ^ bytes[i]!, HASH_PRIME);
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const found = this.#entries[slot]!;
    if (found !== null && found.field === name && isInBytes(this.#bytes[slot]!, bytes, start, end)) return found;
    let fingerprint = name.hash;
    for (let i = start; i < end; i++) fingerprint = Math.imul(fingerprint ^ bytes[i]!, HASH_PRIME);
    if (this.#fingerprints[slot] === fingerprint) return this.#add(slot, name, bytes.toString("latin1", start, end));
    this.#fingerprints[slot] = fingerprint;
    return null;
  }

  /** An entry of our own, to be made at start and kept: `name` is lower case, and both are valid. */
  constant(name: string, value: string): FieldEntry {
    return repeatedEntry(this.name(name), value);
  }

  #add(slot: number, name: FieldName, value: string): FieldEntry {
    const entry = repeatedEntry(name, value);
    this.#entries[slot] = entry;
    this.#bytes[slot] = new Uint8Array(Buffer.from(value, "latin1"));
    return entry;
  }
}

/** The static table's entry for it, or a new one that counts as repeated: it was seen twice, or is one of our own. */
function repeatedEntry(name: FieldName, value: string): FieldEntry {
  return staticEntry(name, value) ?? new FieldEntry(name, flat(value), true, !name.isSecret, false, 0);
}

function isInBytes(value: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (value.length !== end - start) return false;
  for (let i = 0; i < value.length; i++) if (bytes[start + i] !== value[i]) return false;
  return true;
}
