// Hot path. A clock that all threads of a computer read alike, and that nobody sets.

/** The clock of `performance.now()` begins anew in each thread; the one behind it does not. */
export class SharedClock {
  readonly #offsetMs: number;

  constructor() {
    this.#offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  }

  /** Milliseconds. */
  now(): number {
    return this.#offsetMs + performance.now();
  }
}
