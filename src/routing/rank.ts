// Which machines of a service come first: done once whenever the service changes, so that a request only walks a short list.

import type { Address } from "../core/app.ts";
import type { Health, MachineState } from "../core/machine.ts";
import { isWakeable } from "../core/machine.ts";

/** What routing needs to know of a machine. */
export interface Candidate {
  readonly id: string;
  readonly region: string;
  readonly address: Address | null;
  readonly slot: number;
  readonly rttMs: number;
  readonly state: MachineState;
  readonly health: Health;
  readonly cordoned: boolean;
}

export interface Ranked<Machine extends Candidate> {
  /** Machines that may get traffic, in groups that are equally good, nearest first. */
  readonly groups: readonly (readonly Machine[])[];
  /** Is there one that a request could wake, if need be as soon as it has fallen asleep? */
  readonly hasWakeable: boolean;
  /** Is one on its way already? */
  readonly hasStarting: boolean;
  /** Started, but failing a check. */
  readonly unhealthy: number;
  /** The groups are of machines that fail their checks, for want of any other, and nothing can be woken. */
  readonly isPanic: boolean;
  /** What there is when waking fails; null where that is the same. */
  readonly withoutWake: Ranked<Machine> | null;
}

export const UNHEALTHY = "failing its health check";

/** Why a machine gets no traffic now; null when it may. */
export function exclusion(machine: Candidate): string | null {
  if (machine.cordoned) return "cordoned";
  if (machine.state !== "started") return machine.state;
  if (machine.health === "critical") return UNHEALTHY;
  return machine.address === null ? "no address" : null;
}

/**
 * Groups by region, nearest first (a region is as near as its nearest machine); within a region machines whose checks pass come before those that have not answered yet
 * (DESIGN, Routing; reference section 3.1). Regions at the same distance are told apart by name, so that the order is stable. Where every
 * machine that runs fails its checks, those have the traffic unless another can be woken: a broken check must not be an outage.
 */
export function rank<Machine extends Candidate>(machines: readonly Machine[], autoStart: boolean): Ranked<Machine> {
  const usable = machines.filter((machine) => exclusion(machine) === null);
  const critical = machines.filter((machine) => exclusion(machine) === UNHEALTHY);
  const others = machines.filter((machine) => !machine.cordoned);
  const ranked = {
    groups: grouped(usable),
    hasWakeable: autoStart && others.some((machine) => isWakeable(machine.state) || isFallingAsleep(machine.state)),
    hasStarting: others.some((machine) => machine.state === "starting"),
    unhealthy: critical.length,
    isPanic: false,
    withoutWake: null,
  };
  const reachable = critical.filter((machine) => machine.address !== null);
  if (usable.length > 0 || reachable.length === 0) return ranked;
  const panic = { ...ranked, groups: grouped(reachable), hasWakeable: false, hasStarting: false, isPanic: true };
  return ranked.hasWakeable || ranked.hasStarting ? { ...ranked, withoutWake: panic } : panic;
}

function grouped<Machine extends Candidate>(machines: readonly Machine[]): Machine[][] {
  const distances = new Map<string, number>();
  for (const { region, rttMs } of machines) distances.set(region, Math.min(rttMs, distances.get(region) ?? Infinity));
  const groups = new Map<string, Machine[]>();
  for (const machine of machines.toSorted((a, b) => distances.get(a.region)! - distances.get(b.region)! || compare(a, b))) {
    const key = `${machine.region} ${machine.health}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [machine]);
    else group.push(machine);
  }
  return [...groups.values()];
}

/** "passing" comes before "unknown" by name too; critical machines are never among them. */
function compare(a: Candidate, b: Candidate): number {
  return a.region.localeCompare(b.region) || a.health.localeCompare(b.health) || a.id.localeCompare(b.id);
}

function isFallingAsleep(state: MachineState): boolean {
  return state === "stopping" || state === "suspending";
}
