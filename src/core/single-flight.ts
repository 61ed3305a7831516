// Joins callers of the same work: while one run is under way, others with the same key get its result.

export class SingleFlight<Value> {
  readonly #running = new Map<string, Promise<Value>>();

  /** How many keys are being worked on. */
  get size(): number {
    return this.#running.size;
  }

  /** Runs `work`, or joins the run under way for `key`. A failed run is not remembered. */
  run(key: string, work: () => Promise<Value>): Promise<Value> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const started = work().finally(() => this.#running.delete(key));
    this.#running.set(key, started);
    return started;
  }
}
