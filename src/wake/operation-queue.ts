// One thing at a time for each machine: start, stop, suspend and the rest wait for what was asked before them.

export class OperationQueue {
  #last: { readonly kind: string; readonly result: Promise<unknown> } | null = null;

  /** Is nothing under way or waiting? */
  get idle(): boolean {
    return this.#last === null;
  }

  /**
   * Runs `work` after everything queued so far. When the last thing queued is of the same `kind` and not over, joins it instead: ten
   * callers that ask for a start get one. A failed operation does not stop the next.
   *
   * @param kind two operations of one kind always resolve to the same type
   */
  run<Result>(kind: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#last?.kind === kind) return this.#last.result as Promise<Result>;
    return this.append(kind, work);
  }

  /** As `run`, but never joins: for an operation that queues its own successor. */
  append<Result>(kind: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last?.result ?? Promise.resolve();
    const result = before.then(work, work);
    const entry = { kind, result };
    this.#last = entry;
    const over = (): void => {
      if (this.#last === entry) this.#last = null;
    };
    result.then(over, over);
    return result;
  }

  /** Resolves when everything queued so far is over, however it ended. */
  async settled(): Promise<void> {
    await this.#last?.result.catch(() => {});
  }
}
