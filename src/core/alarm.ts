// Wakes one component by the wall clock: at a time that may be moved to an earlier one while it sleeps. Clock and timers are given, so that a
// test can move both.

/** Calls back once, after `ms`; what it returns cancels that. */
export type StartTimer = (callback: () => void, ms: number) => () => void;

export interface AlarmOptions {
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly startTimer?: StartTimer | undefined;
  /** The clock is looked at this often at least: timers stand still while a machine sleeps, and end at 24 days. */
  readonly longestMs: number;
}

export class Alarm {
  readonly #now: () => number;
  readonly #startTimer: StartTimer;
  readonly #longestMs: number;
  /** Set while somebody sleeps. */
  #wakeBy: ((atMs: number) => void) | null = null;

  constructor({ now = Date.now, startTimer: start = startTimer, longestMs }: AlarmOptions) {
    this.#now = now;
    this.#startTimer = start;
    this.#longestMs = longestMs;
  }

  /** Ends the sleep at this time, if it is earlier than what was set; at once, if it has passed. Nothing while nobody sleeps. */
  wakeBy(atMs: number): void {
    this.#wakeBy?.(atMs);
  }

  /** Resolves at the time, or earlier: when `wakeBy` says so, the longest sleep is over, or `signal` aborts. One sleeps at a time. */
  sleep(untilMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      let wakeMs = Infinity;
      let cancel = (): void => {};
      const end = (): void => {
        cancel();
        signal.removeEventListener("abort", end);
        this.#wakeBy = null;
        resolve();
      };
      this.#wakeBy = (atMs) => {
        if (atMs >= wakeMs) return;
        wakeMs = atMs;
        cancel();
        const leftMs = atMs - this.#now();
        if (leftMs <= 0) end();
        else cancel = this.#startTimer(end, leftMs);
      };
      signal.addEventListener("abort", end);
      this.#wakeBy(signal.aborted ? -Infinity : Math.min(untilMs, this.#now() + this.#longestMs));
    });
  }
}

/** By Node's own timers. */
export function startTimer(callback: () => void, ms: number): () => void {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}
