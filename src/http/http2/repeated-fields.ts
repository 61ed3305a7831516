// Hot path. The fields of a request that the next requests on its connection have again, in the same order: what was found out about them, and
// their lines for HTTP/1.1 as one piece of text. Immutable, because requests that have them may still be under way when others come.

import { flat } from "../flat.ts";
import type { FieldEntry } from "./field-entry.ts";

export class RepeatedFields {
  /** Which known names occur, a bit for each id. */
  readonly low: number;
  readonly high: number;
  readonly #entries: readonly FieldEntry[];
  #drops: Uint8Array | null = null;
  #kept = "";

  constructor(entries: readonly FieldEntry[], low: number, high: number) {
    this.#entries = entries;
    this.low = low;
    this.high = high;
  }

  /** Are these the entries from `base` to `count`? One that repeats is the same object each time. */
  are(entries: readonly FieldEntry[], base: number, count: number): boolean {
    const own = this.#entries;
    if (own.length !== count - base) return false;
    for (let i = 0; i < own.length; i++) if (own[i] !== entries[base + i]) return false;
    return true;
  }

  /** The lines of all fields but those that `drops` holds 1 for at their id; the same table each time is cheapest. */
  kept(drops: Uint8Array): string {
    if (this.#drops === drops) return this.#kept;
    let kept = "";
    for (const { id, line } of this.#entries) if (drops[id] !== 1) kept += line;
    this.#drops = drops;
    this.#kept = flat(kept);
    return this.#kept;
  }
}
