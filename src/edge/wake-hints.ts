// Asks the main thread for a machine to be woken though nobody waits for it: the running ones are busy, or further off than one that sleeps. What
// asks is every request, so that it is thinned out here.

import type { Deadlines } from "../core/deadlines.ts";
import type { Target } from "../core/aim.ts";
import type { EdgeService } from "./edge-app.ts";

export type WakeHint = "busy" | "detour";

/** Another machine is asked for at most this often. */
const PAUSE_MS = 1000;

export class WakeHints {
  readonly #deadlines: Pick<Deadlines, "nowMs">;
  readonly #send: (service: EdgeService, reason: WakeHint, target: Target | null) => void;
  /** When last; forgotten with each new entry of the app, since what was asked for then is over. */
  readonly #sentMs = { busy: new WeakMap<EdgeService, number>(), detour: new WeakMap<EdgeService, number>() };

  constructor(deadlines: Pick<Deadlines, "nowMs">, send: (service: EdgeService, reason: WakeHint, target: Target | null) => void) {
    this.#deadlines = deadlines;
    this.#send = send;
  }

  /**
   * @param service where there is a target, what that leaves of it
   * @param target which machines would help; null: any
   */
  give(service: EdgeService, reason: WakeHint, target: Target | null): void {
    const { nowMs } = this.#deadlines;
    const sentMs = this.#sentMs[reason];
    if (nowMs - (sentMs.get(service) ?? -Infinity) < PAUSE_MS) return;
    sentMs.set(service, nowMs);
    this.#send(service, reason, target);
  }
}
