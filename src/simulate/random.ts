// Chance that a seed repeats: the same scenario with the same seed is the same day again.

export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** In [0, 1), by mulberry32. */
  readonly next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    const state = this.#state;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };

  /** Exponentially distributed: the time to the next of many independent events. */
  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean;
  }

  /** Evenly between `mean * (1 - spread)` and `mean * (1 + spread)`. */
  around(mean: number, spread: number): number {
    return mean * (1 + spread * (2 * this.next() - 1));
  }
}
