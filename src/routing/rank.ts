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
  /** Started, but no check of theirs passes. */
  readonly unhealthy: number;
}

/** Why a machine gets no traffic now; null when it may. */
export function exclusion(machine: Candidate): string | null {
  if (machine.cordoned) return "cordoned";
  if (machine.state !== "started") return machine.state;
  if (machine.health === "critical") return "failing its health check";
  return machine.address === null ? "no address" : null;
}

/**
 * Groups by region, nearest first (a region is as near as its nearest machine); within a region machines whose checks pass come before those that have not answered yet
 * (DESIGN, Routing; reference section 3.1). Regions at the same distance are told apart by name, so that the order is stable.
 */
export function rank<Machine extends Candidate>(machines: readonly Machine[], autoStart: boolean): Ranked<Machine> {
  const usable = machines.filter((machine) => exclusion(machine) === null);
  const distances = new Map<string, number>();
  for (const { region, rttMs } of usable) distances.set(region, Math.min(rttMs, distances.get(region) ?? Infinity));
  const groups = new Map<string, Machine[]>();
  for (const machine of usable.toSorted((a, b) => distances.get(a.region)! - distances.get(b.region)! || compare(a, b))) {
    const key = `${machine.region} ${machine.health}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [machine]);
    else group.push(machine);
  }
  const others = machines.filter((machine) => !machine.cordoned);
  return {
    groups: [...groups.values()],
    hasWakeable: autoStart && others.some((machine) => isWakeable(machine.state) || isFallingAsleep(machine.state)),
    hasStarting: others.some((machine) => machine.state === "starting"),
    unhealthy: others.filter((machine) => machine.state === "started" && machine.health === "critical").length,
  };
}

/** "passing" comes before "unknown" by name too; a critical machine is not in the list. */
function compare(a: Candidate, b: Candidate): number {
  return a.region.localeCompare(b.region) || a.health.localeCompare(b.health) || a.id.localeCompare(b.id);
}

function isFallingAsleep(state: MachineState): boolean {
  return state === "stopping" || state === "suspending";
}
