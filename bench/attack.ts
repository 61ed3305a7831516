// What an attack is: a program on the load's core that goes at a proxy until it is ended, and what the proxy may give it.

import type { RunningContestant } from "./contestant.ts";
import type { Program } from "./measure.ts";

export interface Attack {
  readonly name: string;
  /** Connections that it tries to hold; 0 for one that does not hold any. */
  readonly holds: number;
  /** MB that the proxy may grow by meanwhile. */
  readonly mostMb: number;
  /** Why it cannot be tried on this contestant; null when it can. */
  missing(target: RunningContestant): Promise<string | null>;
  /** Resolves when it has begun. */
  start(target: RunningContestant): Promise<Program>;
}
