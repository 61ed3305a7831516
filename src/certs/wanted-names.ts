// Names that somebody waits for: a client's handshake, or an operator. However many wait for one, it is ordered once, and all hear of it.

import type { ProxyError } from "../core/errors.ts";

interface Wanted {
  isForced: boolean;
  readonly settled: PromiseWithResolvers<void>;
}

export class WantedNames {
  readonly #wanted = new Map<string, Wanted>();

  get names(): string[] {
    return [...this.#wanted.keys()];
  }

  has(name: string): boolean {
    return this.#wanted.has(name);
  }

  /** Does an operator want it, whatever is planned? */
  isForced(name: string): boolean {
    return this.#wanted.get(name)?.isForced === true;
  }

  /** Resolves, or rejects, with `settle`. */
  add(name: string, isForced: boolean): Promise<void> {
    let wanted = this.#wanted.get(name);
    if (wanted === undefined) {
      wanted = { isForced, settled: Promise.withResolvers() };
      // Who asked may have left by then.
      wanted.settled.promise.catch(() => {});
      this.#wanted.set(name, wanted);
    }
    wanted.isForced ||= isForced;
    return wanted.settled.promise;
  }

  /** @param error null: it is there */
  settle(name: string, error: ProxyError | null): void {
    const wanted = this.#wanted.get(name);
    this.#wanted.delete(name);
    if (error === null) wanted?.settled.resolve();
    else wanted?.settled.reject(error);
  }
}
