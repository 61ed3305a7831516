// Hot path. Which entries the lines of a machine's last response were: the next one most likely has the same lines, and its parser has
// found out which are. One is kept for each connection to a machine.

import type { Http1Fields } from "../http1/fields.ts";
import { flat } from "../flat.ts";
import type { FieldCache } from "./field-cache.ts";
import type { FieldEntry, FieldName } from "./field-entry.ts";

/** After so many values in a row that did not repeat nobody expects one to … */
const CHANGES = 8;
/** … but looks each time that so many more have come. A power of two. */
const LOOKS = 32;

interface KnownLine {
  /** Of the line that `entry` and `name` are from, or the last one that had none. */
  version: number;
  name: FieldName;
  /** Name and colon as they came. */
  nameText: string;
  entry: FieldEntry | null;
  /** Values in a row that did not repeat. */
  changes: number;
}

export class LineMemory {
  readonly #cache: FieldCache;
  readonly #lines: KnownLine[] = [];
  /** After `entryAt`: the name of that field. */
  name: FieldName;

  constructor(cache: FieldCache, anyName: FieldName) {
    this.#cache = cache;
    this.name = anyName;
  }

  /** The entry of a field; null when it is none that repeats. It must be called with the fields of one connection alone. */
  entryAt(fields: Http1Fields, index: number): FieldEntry | null {
    const known = (this.#lines[index] ??= { version: -1, name: this.name, nameText: "", entry: null, changes: 0 });
    const version = fields.version(index);
    if (known.entry !== null && known.version === version) {
      this.name = known.name;
      return known.entry;
    }
    return this.#find(known, version, fields, index);
  }

  #find(known: KnownLine, version: number, fields: Http1Fields, index: number): FieldEntry | null {
    const { text } = fields;
    const nameStart = fields.nameStart(index);
    const nameEnd = fields.nameEnd(index);
    // The colon is compared, too, or a longer name could be taken for this one.
    if (known.nameText.length !== nameEnd - nameStart + 1 || !text.startsWith(known.nameText, nameStart)) {
      known.nameText = flat(text.slice(nameStart, nameEnd + 1));
      known.name = this.#cache.names.inText(text, nameStart, nameEnd);
      known.changes = 0;
    }
    this.name = known.name;
    known.version = version;
    known.entry = null;
    if (++known.changes > CHANGES && known.changes % LOOKS !== 0) return null;
    known.entry = this.#cache.entryInText(known.name, text, fields.valueStart(index), fields.valueEnd(index));
    if (known.entry !== null) known.changes = 0;
    return known.entry;
  }
}
