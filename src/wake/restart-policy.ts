// What becomes of a machine that ended by itself: `[[restart]]`, reference sections 1.9 and 9.7. And how soon one that keeps
// crashing may be started again, whoever asks, so that a broken app under traffic is not a fork bomb.

import type { ProcessGroup } from "../core/app.ts";
import { backoffMs, type BackoffOptions } from "../core/backoff.ts";
import type { MachineExit } from "./driver.ts";

const WINDOW_MS = 5 * 60_000;

/** stop: as it wished; restart: once more, after its back-off; give_up: the retries are used up. */
export type ExitDecision = "stop" | "restart" | "give_up";

/**
 * @param failures how often the machine failed in the window, this time included
 *
 * An exit whose code nobody saw (an adopted process) counts as a failure: a machine that is up once too often does less harm than one
 * that stays down.
 */
export function decideExit(restart: ProcessGroup["restart"], exit: MachineExit, failures: number): ExitDecision {
  if (restart.policy === "never") return "stop";
  if (restart.policy === "always") return "restart";
  if (exit.exitCode === 0) return "stop";
  return failures > restart.retries ? "give_up" : "restart";
}

/** The failures of one machine within the window. Times are milliseconds of any one clock. */
export class CrashHistory {
  readonly #backoff: BackoffOptions;
  readonly #random: () => number;
  #failedAtMs: number[] = [];
  #notBeforeMs = 0;

  constructor(backoff: BackoffOptions, random: () => number) {
    this.#backoff = backoff;
    this.#random = random;
  }

  /** Notes a failure and returns how many there are in the window now. */
  note(nowMs: number): number {
    this.#failedAtMs = this.#failedAtMs.filter((failedAtMs) => nowMs - failedAtMs < WINDOW_MS);
    this.#failedAtMs.push(nowMs);
    this.#notBeforeMs = nowMs + backoffMs(this.#failedAtMs.length, this.#backoff, this.#random());
    return this.#failedAtMs.length;
  }

  /** How long until the machine may be started again; 0: now. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#notBeforeMs - nowMs);
  }

  /** Somebody changed something: a new chance. */
  clear(): void {
    this.#failedAtMs = [];
    this.#notBeforeMs = 0;
  }
}

/** `exited with code 1`, for logs and reasons. */
export function describeExit(exit: MachineExit): string {
  if (exit.signal !== null) return `was ended by ${exit.signal}`;
  return exit.exitCode === null ? "ended" : `exited with code ${exit.exitCode}`;
}
