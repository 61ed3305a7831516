// How long an app's machines take to wake, learned from how long they took: from a freeze it is milliseconds, from nothing it may be seconds.

import type { MachineState } from "../core/machine.ts";

/** Before the first wake, as Fly's users see them (reference section 6.2). */
const FROM_SUSPENDED_MS = 300;
const FROM_STOPPED_MS = 2000;
/** Weight of the newest wake in the average. */
const NEWEST = 0.3;

interface Times {
  suspendedMs: number | null;
  stoppedMs: number | null;
}

export class WakeTimes {
  readonly #byApp = new Map<string, Times>();

  /** A machine in this state took so long until its port accepted. */
  learn(app: string, from: MachineState, ms: number): void {
    let times = this.#byApp.get(app);
    if (times === undefined) this.#byApp.set(app, (times = { suspendedMs: null, stoppedMs: null }));
    if (from === "suspended") times.suspendedMs = average(times.suspendedMs, ms);
    else if (from === "stopped" || from === "created" || from === "failed") times.stoppedMs = average(times.stoppedMs, ms);
  }

  /** Until a machine in this state could be asked, in whole milliseconds. For one that is starting: no more than a resume, since it is on its way. */
  expectedMs(app: string, from: MachineState): number {
    if (from === "started") return 0;
    const times = this.#byApp.get(app);
    const suspendedMs = times?.suspendedMs ?? FROM_SUSPENDED_MS;
    const stoppedMs = times?.stoppedMs ?? FROM_STOPPED_MS;
    if (from === "suspended" || from === "suspending") return Math.round(suspendedMs);
    return Math.round(from === "starting" ? Math.min(suspendedMs, stoppedMs) : stoppedMs);
  }

  /** Those of apps that are no more. */
  forget(app: string): void {
    this.#byApp.delete(app);
  }
}

function average(known: number | null, newest: number): number {
  return known === null ? newest : known + NEWEST * (newest - known);
}
