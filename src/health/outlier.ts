// Hot path. What one worker has seen of a machine of one service: how often it failed in a row, and whether it is left alone for that
// (DESIGN Health). Kept as long as the machine runs; one that was started anew is judged anew.

import type { OutlierRules } from "../core/app.ts";
import type { Deadlines, Timed } from "../core/deadlines.ts";

/** The longest ejection is so many times the first. */
const LONGEST = 10;

export class Outlier implements Timed {
  deadlineMs = Infinity;
  /** In a row: connections that failed or were reset. */
  failures = 0;
  /** In a row: responses 5xx, and time-outs. */
  serverErrors = 0;
  isEjected = false;
  /** Ejections, less what good conduct since has made up for. */
  times = 0;
  #readmittedMs = 0;
  #onReadmitted: () => void = () => {};

  /**
   * Each ejection is longer than the one before by the first, up to ten times that; each such time without one makes up for one.
   *
   * @returns how long, in milliseconds
   */
  eject({ baseMs }: OutlierRules, deadlines: Deadlines, onReadmitted: () => void): number {
    const madeUpFor = Math.floor((deadlines.nowMs - this.#readmittedMs) / baseMs);
    this.times = Math.max(0, this.times - madeUpFor) + 1;
    const forMs = baseMs * Math.min(this.times, LONGEST);
    this.isEjected = true;
    this.failures = this.serverErrors = 0;
    this.#onReadmitted = () => {
      this.readmit(deadlines);
      onReadmitted();
    };
    deadlines.add(this);
    this.deadlineMs = deadlines.after(forMs);
    return forMs;
  }

  /** Tells nobody. */
  readmit(deadlines: Deadlines): void {
    this.isEjected = false;
    this.failures = this.serverErrors = 0;
    this.deadlineMs = Infinity;
    this.#readmittedMs = deadlines.nowMs;
    deadlines.remove(this);
  }

  onDeadline(): void {
    this.#onReadmitted();
  }
}
