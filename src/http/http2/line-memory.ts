// Hot path. What a machine's last responses had in each line of their heads: the next one most likely has the same there, and then one
// comparison of text tells which entry it is. One is kept for each connection to a machine.

import type { FieldCache } from "./field-cache.ts";
import { flat, type FieldEntry, type FieldName } from "./field-entry.ts";

/** After so many other values in a row nobody expects one to come again … */
const CHANGES = 8;
/** … but looks each time that so many more have come. A power of two. */
const LOOKS = 32;

interface KnownLine {
  /** Of the entry: name, colon, white space and value as they came. */
  text: string;
  entry: FieldEntry | null;
  /** Of the last line: name and colon as they came. */
  nameText: string;
  name: FieldName;
  /** Other values in a row. */
  changes: number;
}

export class LineMemory {
  readonly #cache: FieldCache;
  readonly #lines: KnownLine[] = [];
  /** After `entryAt`: the name of that line. */
  name: FieldName;

  constructor(cache: FieldCache, anyName: FieldName) {
    this.#cache = cache;
    this.name = anyName;
  }

  /**
   * The entry of the field whose name begins `line` and is `nameLength` long, and whose value begins at `valueStart` and ends the line; null
   * when it is none that repeats. `index` counts the lines of the head.
   */
  entryAt(index: number, line: string, nameLength: number, valueStart: number): FieldEntry | null {
    const known = this.#lines[index];
    if (known === undefined) return this.#add(index, line, nameLength, valueStart);
    if (known.entry !== null && known.text === line) {
      this.name = known.entry.field;
      known.changes = 0;
      return known.entry;
    }
    // The colon is compared, too, or a longer name could be taken for this one.
    if (known.nameText.length !== nameLength + 1 || !line.startsWith(known.nameText)) {
      known.nameText = flat(line.slice(0, nameLength + 1));
      known.name = this.#cache.nameInText(line, 0, nameLength);
      known.changes = 0;
    }
    this.name = known.name;
    if (++known.changes > CHANGES && known.changes % LOOKS !== 0) return null;
    return this.#look(known, line, valueStart);
  }

  #add(index: number, line: string, nameLength: number, valueStart: number): FieldEntry | null {
    const nameText = flat(line.slice(0, nameLength + 1));
    const name = this.#cache.nameInText(line, 0, nameLength);
    const known: KnownLine = { text: "", nameText, name, entry: null, changes: 0 };
    if (index === this.#lines.length) this.#lines.push(known);
    this.name = name;
    return this.#look(known, line, valueStart);
  }

  #look(known: KnownLine, line: string, valueStart: number): FieldEntry | null {
    const entry = this.#cache.entryInText(known.name, line, valueStart, line.length);
    if (entry === null) return null;
    known.text = flat(line);
    known.entry = entry;
    known.changes = 0;
    return entry;
  }
}
