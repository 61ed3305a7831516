// Which slot of the load table belongs to whom. A slot that becomes free rests before it is given to another, because a worker may hold
// an entry of before for a moment longer.

import { MAX_SLOTS, type LoadTable } from "./load-table.ts";

const REST_MS = 60_000;

export class Slots {
  readonly #load: LoadTable;
  readonly #now: () => number;
  readonly #byKey = new Map<string, number>();
  readonly #resting: { readonly slot: number; readonly sinceMs: number }[] = [];
  #next = 0;

  /** @param now milliseconds of a clock that does not jump */
  constructor(load: LoadTable, now: () => number) {
    this.#load = load;
    this.#now = now;
  }

  get(key: string): number | undefined {
    return this.#byKey.get(key);
  }

  /** The slot of the key, a new one if it has none; null when the table is full. */
  assign(key: string): number | null {
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const slot = this.#rested() ?? (this.#next < MAX_SLOTS ? this.#next++ : null);
    if (slot !== null) this.#byKey.set(key, slot);
    return slot;
  }

  retire(key: string): void {
    const slot = this.#byKey.get(key);
    if (slot === undefined) return;
    this.#byKey.delete(key);
    this.#resting.push({ slot, sinceMs: this.#now() });
  }

  #rested(): number | null {
    const oldest = this.#resting[0];
    if (oldest === undefined || this.#now() - oldest.sinceMs < REST_MS || this.#load.count(oldest.slot) > 0) return null;
    this.#resting.shift();
    this.#load.reset(oldest.slot);
    return oldest.slot;
  }
}
