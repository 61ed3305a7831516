// What becomes of requests while the machine that is nearest sleeps and one further off is awake: they take the way there, or wait. Pure; asked
// whenever an app changes, not for each request. DESIGN, Routing.

import { isWakeable } from "../core/machine.ts";
import type { Candidate, Ranked, RankRules } from "./rank.ts";

/**
 * - none: nothing nearer could be woken than what is awake
 * - detour: what is awake further off answers, and what is nearer is woken meanwhile
 * - wait: requests are held until what is nearer is awake
 */
export type Detour = "none" | "detour" | "wait";

/** Browsers that would wait for a wake no longer than this are held, whatever `wait_page` says: a page would only flicker. */
export const WORTH_A_PAGE_MS = 1000;

/** How an app wants its requests routed. */
export interface DetourRules extends RankRules {
  readonly warmDetour: boolean;
}

/** A machine with what is expected of it. */
export interface Sleeper extends Candidate {
  /** How long it would take until it could be asked, in milliseconds; 0 when it is awake. */
  readonly wakeMs: number;
}

/** A detour is taken where the app allows it, and a round trip is shorter than one to the nearer machine and its wake before that. */
export function detourOf<Machine extends Sleeper>(
  ranked: Ranked<Machine>,
  machines: readonly Machine[],
  autoStart: boolean,
  { regionPolicy, balance, warmDetour }: DetourRules,
): Detour {
  // Others say themselves what goes before what: nearness counts for nothing, or home for all.
  if (regionPolicy !== "any" || balance === "spread") return "none";
  const warm = ranked.groups[0]?.[0];
  // Whoever fails its checks is asked for want of a better one, and after all others.
  if (warm === undefined || warm.health === "critical") return "none";
  const rttMs = Math.min(...ranked.groups[0]!.map((machine) => machine.rttMs));
  const nearer = machines.filter((machine) => {
    if (machine.cordoned || machine.region === warm.region || machine.rttMs >= rttMs) return false;
    return canWake(machine, autoStart) || machine.state === "starting";
  });
  if (nearer.length === 0) return "none";
  const soonestMs = Math.min(...nearer.map((machine) => machine.rttMs + machine.wakeMs));
  return warmDetour && rttMs < soonestMs ? "detour" : "wait";
}

function canWake({ state }: Candidate, autoStart: boolean): boolean {
  return autoStart && (isWakeable(state) || state === "stopping" || state === "suspending");
}
