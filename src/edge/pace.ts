// Hot path. How long a client that is waited for may still take. It may be silent for so long, and each wait uses some of that up;
// what it moves gives it back, at the least rate that is accepted. So whoever keeps that rate has the whole silence left whenever he
// pauses, and whoever trickles runs out of it. Costs a few additions a chunk, nothing a byte.

import type { Deadlines } from "../core/deadlines.ts";

export interface PaceLimits {
  /** The longest silence of a client in the middle of a body, its own or the one it reads. */
  readonly silenceMs: number;
  /** What a client has to move on average; 0: anything. */
  readonly bytesPerSecond: number;
}

export class Pace {
  /** By the clock of the deadlines; Infinity while nobody waits. */
  deadlineMs = Infinity;
  readonly #deadlines: Deadlines;
  readonly #silenceMs: number;
  readonly #msPerByte: number;
  /** What is left while nobody waits. */
  #leftMs: number;

  constructor(deadlines: Deadlines, { silenceMs, bytesPerSecond }: PaceLimits) {
    this.#deadlines = deadlines;
    this.#silenceMs = silenceMs;
    this.#msPerByte = bytesPerSecond === 0 ? Infinity : 1000 / bytesPerSecond;
    this.#leftMs = this.#wholeMs();
  }

  /** From now on the client is waited for. */
  wait(): void {
    if (this.deadlineMs === Infinity) this.deadlineMs = this.#deadlines.nowMs + this.#leftMs;
  }

  /** So many bytes came, or went. */
  moved(bytes: number): void {
    if (this.deadlineMs === Infinity || bytes <= 0) return;
    this.deadlineMs = Math.min(this.#deadlines.after(this.#silenceMs), this.deadlineMs + bytes * this.#msPerByte);
  }

  /** Nobody waits for the client any more, for now. */
  rest(): void {
    if (this.deadlineMs === Infinity) return;
    this.#leftMs = this.deadlineMs - this.#deadlines.nowMs;
    this.deadlineMs = Infinity;
  }

  /** Another message begins. */
  reset(): void {
    this.deadlineMs = Infinity;
    this.#leftMs = this.#wholeMs();
  }

  #wholeMs(): number {
    return this.#deadlines.after(this.#silenceMs) - this.#deadlines.nowMs;
  }
}
