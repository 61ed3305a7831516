// How an order waits for a CA: it looks again and again, soon at first, and a look that fails costs nothing but the look.

import { setTimeout as sleep } from "node:timers/promises";

import { ProxyError } from "../../core/errors.ts";
import { acmeProblemOf } from "./problem.ts";

export interface PatienceOptions {
  /** What the CA's last answer asked for, in milliseconds; null: nothing. */
  askedPauseMs(): number | null;
  readonly signal: AbortSignal;
  /** Multiplies pauses. */
  readonly pace: number;
}

/** Between looks. The first ones come whatever pause the CA asks for: most answers are there by then. */
const LOOKS_MS = [250, 500, 1000, 2000, 3000, 5000];
const UNASKED_LOOKS = 3;
const LONGEST_PAUSE_MS = 30_000;
const MAX_MISSES = 5;

export class Patience {
  readonly #options: PatienceOptions;
  /** Since the CA was given something to do. */
  #looks = 0;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** The CA was given something to do. */
  renew(): void {
    this.#looks = 0;
  }

  /** Until the next look; rejects when `signal` aborts. */
  async pause(): Promise<void> {
    const { askedPauseMs, signal, pace } = this.#options;
    const askedMs = this.#looks < UNASKED_LOOKS ? 0 : Math.min(askedPauseMs() ?? 0, LONGEST_PAUSE_MS);
    const ownMs = LOOKS_MS[Math.min(this.#looks, LOOKS_MS.length - 1)]!;
    this.#looks += 1;
    await sleep(Math.max(ownMs, askedMs) * pace, undefined, { signal });
  }

  /** A question that changes nothing, asked again when the CA could not be reached or failed. A refusal is an answer. */
  async ask<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    for (let misses = 1; ; misses++) {
      try {
        return await question();
      } catch (error) {
        const problem = acmeProblemOf(error);
        if (misses > MAX_MISSES || isOurs(error) || (problem !== null && problem.kind !== "failing")) throw error;
        await this.pause();
      }
    }
  }
}

/** Did it go wrong here, in the store or by the signal, and not between us and the CA? */
export function isOurs(error: unknown): boolean {
  return !(error instanceof ProxyError) || error.code !== "certificate_unavailable";
}
