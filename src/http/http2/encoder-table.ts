// Hot path. The dynamic table of an encoder: which entries and which names the peer has, found by identity.

import { DynamicTable } from "./dynamic-table.ts";
import type { FieldEntry, FieldName } from "./field-entry.ts";
import { STATIC_ENTRIES } from "./static-table.ts";

/** An entry, or, of a field whose value changes, what is left of it: its name. */
type Slot = FieldEntry | { readonly field: FieldName; readonly size: number };

export class EncoderTable {
  readonly #table: DynamicTable<Slot>;
  /** Entries that were ever added. An entry's number is how many there were before it, its index follows from that. */
  #added = 0;
  readonly #numbers = new Map<Slot, number>();
  /** The latest number of each name that is not in the static table. */
  readonly #names = new Map<FieldName, number>();

  constructor(capacity: number) {
    this.#table = new DynamicTable(capacity);
  }

  get capacity(): number {
    return this.#table.capacity;
  }

  /** 0 when it is not in the table. */
  indexOf(entry: FieldEntry): number {
    const number = this.#numbers.get(entry);
    return number === undefined ? 0 : STATIC_ENTRIES + this.#added - number;
  }

  /** Of an entry with this name, in either table; 0 when there is none. */
  indexOfName(field: FieldName): number {
    if (field.staticIndex !== 0) return field.staticIndex;
    const number = this.#names.get(field);
    return number === undefined ? 0 : STATIC_ENTRIES + this.#added - number;
  }

  /** Its size must not be above the capacity. */
  add(slot: Slot): void {
    this.#evictTo(this.#table.capacity - slot.size);
    this.#table.add(slot);
    this.#numbers.set(slot, this.#added);
    if (slot.field.staticIndex === 0) this.#names.set(slot.field, this.#added);
    this.#added++;
  }

  resize(capacity: number): void {
    this.#evictTo(capacity);
    this.#table.resize(capacity);
  }

  #evictTo(size: number): void {
    while (this.#table.size > size) {
      const number = this.#added - this.#table.count;
      const slot = this.#table.removeOldest();
      this.#numbers.delete(slot);
      if (this.#names.get(slot.field) === number) this.#names.delete(slot.field);
    }
  }
}
