// The waits of one request, or connection, for which every machine refused the connection: each was tried once, and after a while all are
// tried anew, longer and longer apart. So a machine that is just being restarted costs its clients a wait, and no error (reference sections
// 3.3 and 3.5). Made only for those that need it.

import { backoffMs } from "../core/backoff.ts";
import type { Deadlines, Timed } from "../core/deadlines.ts";

/** With a machine alone, forty attempts take about eight seconds; reference section 2.7 has eight to ten for fifteen. */
const WAIT = { minMs: 50, maxMs: 250 };
/**
 * A machine that refuses is often just being restarted; one that does not answer at all is gone, and each attempt to find out takes as long
 * as `upstream_connect`. HAProxy makes four connects of five seconds by default.
 */
const MOST_TIME_OUTS = 3;

export interface BackOffOptions {
  readonly deadlines: Deadlines;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** How long all waits and the attempts between them may take. */
  readonly withinMs: number;
  readonly onOver: () => void;
}

export class BackOff implements Timed {
  deadlineMs = Infinity;
  readonly #options: BackOffOptions;
  readonly #untilMs: number;
  #rounds = 0;
  #timeOuts = 0;

  constructor(options: BackOffOptions) {
    this.#options = options;
    this.#untilMs = options.deadlines.nowMs + options.withinMs;
  }

  get isWaiting(): boolean {
    return this.deadlineMs !== Infinity;
  }

  /** One more machine did not answer at all. False: its time is up, and no other one is to be tried. */
  outlasts(): boolean {
    this.#timeOuts++;
    return this.#options.deadlines.nowMs <= this.#untilMs;
  }

  /**
   * False: its time is up, or it was lost on machines that do not answer.
   *
   * @param others who wait as well: all together may try a thousand times a second
   */
  begin(others: number): boolean {
    if (this.#timeOuts >= MOST_TIME_OUTS) return false;
    const { deadlines, random } = this.#options;
    const waitMs = backoffMs(++this.#rounds, { ...WAIT, maxMs: Math.max(WAIT.maxMs, 2 * others) }, random());
    const deadlineMs = deadlines.nowMs + waitMs;
    if (deadlineMs > this.#untilMs) return false;
    this.deadlineMs = deadlineMs;
    deadlines.add(this);
    return true;
  }

  stop(): void {
    this.deadlineMs = Infinity;
    this.#options.deadlines.remove(this);
  }

  onDeadline(): void {
    this.stop();
    this.#options.onOver();
  }
}
