// Cuts what is silent for too long, for services that set a limit to it.

import type { Deadlines, Timed } from "../core/deadlines.ts";

export class IdleWatch implements Timed {
  deadlineMs = Infinity;
  readonly #deadlines: Deadlines;
  readonly #timeoutMs: number;
  readonly #onIdle: () => void;

  /** Begins at once. */
  constructor(deadlines: Deadlines, timeoutMs: number, onIdle: () => void) {
    this.#deadlines = deadlines;
    this.#timeoutMs = timeoutMs;
    this.#onIdle = onIdle;
    deadlines.add(this);
    this.touch();
  }

  /** Something moved. */
  touch(): void {
    this.deadlineMs = this.#deadlines.after(this.#timeoutMs);
  }

  stop(): void {
    this.#deadlines.remove(this);
  }

  onDeadline(): void {
    this.#onIdle();
  }
}
