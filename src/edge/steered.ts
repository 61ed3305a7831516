// What a request brings along that is on its way by more than nearness: what its client or a machine asked for, how far it has come with
// that, and what the next machine is to hear of it. Reference sections 4.1 to 4.7.

import type { Aim } from "../core/aim.ts";
import type { RequestHead } from "../http/message.ts";
import type { AddedField } from "../upstream/forward.ts";
import type { Bond } from "./affinity.ts";
import type { EdgeMachine } from "./edge-app.ts";
import type { IdleWatch } from "./idle-watch.ts";
import type { Remembered } from "./replay-cache.ts";
import type { ReplayOrder } from "./replay-order.ts";

/** A replay under way, or done. */
export interface Replay {
  readonly order: ReplayOrder;
  /** The machine that asked for it, and the app that it did so for. */
  readonly machine: EdgeMachine;
  readonly app: string;
  /** How the request was changed by then; null: as it came. */
  readonly head: RequestHead | null;
  /** Clock of performance.now(). */
  readonly startedMs: number;
  /** When it was asked for, in microseconds since the epoch. */
  readonly timeUs: number;
}

/** A replay that nobody asked for this time, because it is remembered. */
export interface Recalled {
  readonly entry: Remembered;
  /** What the request would be without it: the app that it is for, and what its client asked of that. */
  readonly app: string;
  readonly aim: Aim | null;
  readonly bond: Bond | null;
}

export class Steered {
  /** The machine that the client would like best; null: none. */
  preferred: string | null = null;
  /** The last one; null: none yet. */
  replay: Replay | null = null;
  /** Until a machine asks for a replay anew, or the target cannot be reached; null: none. */
  recalled: Recalled | null = null;
  /** What is remembered was not looked at, as the client asked for. */
  skipsCache = false;
  /** Replays so far. */
  hops = 0;
  /** What machines are sent in the place of what came, since one of them has changed it; null: nothing. */
  head: RequestHead | null = null;
  /** Apps that have let the request in. */
  readonly apps: string[] = [];
  /** Value of `fly-replay-failed`: it is on its way back, and may not be replayed again. */
  failed: string | null = null;
  /** No connection to the target of the last replay stands yet. */
  isSeeking = false;
  /** Of that; null where no time was given. */
  patience: IdleWatch | null = null;

  /** For the machine that the request goes to now. */
  fields(machine: EdgeMachine): AddedField[] {
    const { preferred, replay, failed, recalled } = this;
    const fields: AddedField[] = [];
    if (failed !== null) fields.push(["fly-replay-failed", failed]);
    else if (recalled !== null) fields.push(["fly-replay-cache-status", "hit"]);
    else if (replay !== null)
      fields.push(["fly-replay-src", sourceOf(replay)], ["fly-replay-cache-status", this.skipsCache ? "bypass" : "miss"]);
    else if (preferred !== null && preferred !== machine.id) fields.push(["fly-preferred-instance-unavailable", preferred]);
    return fields;
  }

  /** The connection had rested, and was gone when it was needed: the target was not reached. Who is on the way back has nowhere else to go. */
  onStale(): void {
    this.isSeeking = this.failed === null;
  }

  /** A connection stands, which is success as far as a replay goes; or all is over. */
  onReached(): void {
    this.isSeeking = false;
    this.patience?.stop();
    this.patience = null;
  }
}

function sourceOf({ machine, timeUs, order }: Replay): string {
  const state = order.state === null ? "" : `;state=${order.state}`;
  return `instance=${machine.id};region=${machine.region};t=${timeUs}${state}`;
}
