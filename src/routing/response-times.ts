// Hot path. How long each machine takes to answer, as this worker has seen it: an exponentially weighted mean by slot of the load table.

import { MAX_SLOTS } from "../catalog/load-table.ts";

/** What is older than this counts as nothing: whoever was slow gets another chance. */
const STALE_MS = 10_000;
/** A time this long after the last one weighs half. */
const HALF_MS = 1000;
/** Of times that come quickly one after the other. */
const LEAST_WEIGHT = 1 / 16;
/** So that one slow answer moves the mean by little more than half, and only many of them move it far. */
const MOST_TIMES_KNOWN = 10;
/** Nothing is so quick that it has no time at all. */
const LEAST_MS = 0.01;

export class ResponseTimes {
  readonly #ms = new Float64Array(MAX_SLOTS);
  readonly #atMs = new Float64Array(MAX_SLOTS).fill(-Infinity);

  /** @param nowMs of a clock that may be coarse but goes forward */
  observe(slot: number, ms: number, nowMs: number): void {
    const known = this.of(slot, nowMs);
    const ageMs = nowMs - this.#atMs[slot]!;
    this.#atMs[slot] = nowMs;
    const observed = Math.max(ms, LEAST_MS);
    if (known === 0) {
      this.#ms[slot] = observed;
      return;
    }
    const weight = Math.max(LEAST_WEIGHT, ageMs / (ageMs + HALF_MS));
    this.#ms[slot] = known + weight * (Math.min(observed, known * MOST_TIMES_KNOWN) - known);
  }

  /** In milliseconds; 0: not known, or not any more. */
  of(slot: number, nowMs: number): number {
    return nowMs - this.#atMs[slot]! > STALE_MS ? 0 : this.#ms[slot]!;
  }
}
