// How a watch follows a store: it keeps a position, asks the engine for the next change after it, and sleeps on the store's
// bell when there is none. It holds no backlog, so a slow consumer costs nothing and several changes of a key become one.

import { ProxyError } from "../core/errors.ts";
import { assertPrefix, assertRevision } from "./grammar.ts";
import type { Change } from "./store.ts";

/** How many deletions a store remembers, the newest, so that watches can tell of them. */
export const MAX_TOMBSTONES = 10_000;

/** One look at the store, all of it from the same moment. */
export interface Look {
  /** Of the keys under the prefix, the one that changed first after the position; null when none did. */
  readonly next: Change | null;
  /** Revision of the last change of any key. */
  readonly head: number;
  /** The newest deletion that was forgotten; 0 when none was. */
  readonly compacted: number;
}

/** What an engine provides. */
export interface WatchSource {
  readonly bell: Bell;
  /** Throws `store_unavailable`, also when the store is closed. */
  look(prefix: string, after: number): Look;
}

/** `Store.watch`. */
export async function* watchChanges(source: WatchSource, prefix: string, after: number, signal: AbortSignal): AsyncGenerator<Change, void> {
  assertPrefix(prefix);
  assertRevision(after);
  const { bell } = source;
  let position = after;
  let look = source.look(prefix, position);
  // Deletions up to here cannot matter: the consumer knows of them or, when it starts from nothing, never saw what they deleted.
  const settled = after === 0 ? look.head : after;
  while (!signal.aborted && !bell.closed) {
    assertRemembered(look, position, settled);
    if (look.next !== null) {
      position = look.next.revision;
      yield look.next;
    } else {
      position = look.head;
      await bell.wait(signal);
    }
    if (signal.aborted || bell.closed) return;
    look = source.look(prefix, position);
  }
}

function assertRemembered(look: Look, position: number, settled: number): void {
  if (position > look.head) {
    throw new ProxyError("store_compacted", `revision ${position} is ahead of the store, which is at ${look.head}: list it anew`);
  }
  if (look.compacted > Math.max(position, settled)) {
    throw new ProxyError(
      "store_compacted",
      `deletions up to revision ${look.compacted} are forgotten, and the watch is at ${position}: list the store anew`,
    );
  }
}

/** Wakes the watches of one store when something changed, and ends them when it closes. */
export class Bell {
  readonly #waiting = new Set<() => void>();
  #closed = false;

  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves at the next `ring`, at `close`, or when `signal` aborts. */
  wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener("abort", wake);
        this.#waiting.delete(wake);
        resolve();
      };
      signal.addEventListener("abort", wake);
      this.#waiting.add(wake);
    });
  }

  ring(): void {
    for (const wake of this.#waiting) wake();
  }

  close(): void {
    this.#closed = true;
    this.ring();
  }
}
