// Hot path. The dynamic table of HPACK (RFC 7541 section 2.3.2) as both ends keep it: a ring of entries, the newest at 0.

/** The protocol's initial value of SETTINGS_HEADER_TABLE_SIZE (RFC 9113 section 6.5.2), which this side leaves as it is. */
export const DEFAULT_TABLE_BYTES = 4096;
/** Connections with few fields are many: the ring starts small. A power of two, as it stays. */
const FIRST_SLOTS = 16;

export class DynamicTable<Entry extends { readonly size: number }> {
  count = 0;
  /** Sum of the entries' sizes (RFC 7541 section 4.1). */
  size = 0;
  /** Its maximum size as the encoder has set it. */
  capacity: number;
  #ring: (Entry | null)[] = [];
  /** Where the newest is. */
  #head = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** `index` must be below `count`. */
  at(index: number): Entry {
    return this.#ring[(this.#head - index) & (this.#ring.length - 1)]!;
  }

  /** Makes room and adds; an entry that is larger than the whole table leaves it empty (RFC 7541 section 4.4). */
  add(entry: Entry): void {
    while (this.count > 0 && this.size + entry.size > this.capacity) this.removeOldest();
    if (entry.size > this.capacity) return;
    if (this.count === this.#ring.length) this.#grow();
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = entry;
    this.count++;
    this.size += entry.size;
  }

  /** RFC 7541 section 4.3. */
  resize(capacity: number): void {
    this.capacity = capacity;
    while (this.size > capacity) this.removeOldest();
  }

  /** There must be one. */
  removeOldest(): Entry {
    this.count--;
    const slot = (this.#head - this.count) & (this.#ring.length - 1);
    const entry = this.#ring[slot]!;
    this.#ring[slot] = null;
    this.size -= entry.size;
    return entry;
  }

  #grow(): void {
    const slots = Math.max(FIRST_SLOTS, this.#ring.length * 2);
    const grown: (Entry | null)[] = [];
    for (let index = this.count - 1; index >= 0; index--) grown.push(this.at(index));
    while (grown.length < slots) grown.push(null);
    this.#ring = grown;
    this.#head = this.count - 1;
  }
}
