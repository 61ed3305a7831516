// Shares the main thread between all machines that write output, so that a flood of one neither stalls the node nor starves
// the others: one small step a turn of the event loop, in turn, and a rest after each in proportion to what it took.

/** Something that has output to hand on, a bounded amount at a time. */
export interface Pumped {
  /** Does one bounded step. Returns whether there may be more. Never throws. */
  step(): boolean;
}

/** 3: output takes at most a quarter of the thread, consumers of the lines included. */
const REST_PER_WORK = 3;

export class OutputPump {
  /** In the order of their turns. */
  readonly #waiting = new Set<Pumped>();
  /** Milliseconds of performance.now() until which the pump rests. */
  #restUntil = 0;
  #isScheduled = false;

  /** The object has something to do. Returns at once; its step follows in a later turn. */
  add(pumped: Pumped): void {
    this.#waiting.add(pumped);
    this.#schedule();
  }

  /** Its turn never comes again, unless it is added anew. */
  remove(pumped: Pumped): void {
    this.#waiting.delete(pumped);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return;
    this.#isScheduled = true;
    const restMs = this.#restUntil - performance.now();
    // Timers are no finer than a millisecond; shorter rests add up until they are worth one.
    if (restMs < 1) setImmediate(() => this.#turn());
    else setTimeout(() => this.#turn(), restMs);
  }

  #turn(): void {
    this.#isScheduled = false;
    const [pumped] = this.#waiting;
    if (pumped === undefined) return;
    this.#waiting.delete(pumped);
    const began = performance.now();
    if (pumped.step()) this.#waiting.add(pumped);
    const ended = performance.now();
    this.#restUntil = Math.max(this.#restUntil, ended) + (ended - began) * REST_PER_WORK;
    this.#schedule();
  }
}
