// Which machines of a service come first: done once whenever the service changes, so that a request only walks a short list.

import type { Address, Balance, RegionPolicy } from "../core/app.ts";
import type { Health, MachineState } from "../core/machine.ts";
import { isAwaitable, isWakeable } from "../core/machine.ts";

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

/** How an app wants its machines ranked. */
export interface RankRules {
  /** The edge's own, called home here. */
  readonly region: string;
  readonly regionPolicy: RegionPolicy;
  readonly balance: Balance;
}

/** Fly's rule, reference section 3.1. */
const FLY_RULES: RankRules = { region: "", regionPolicy: "any", balance: "closest" };

export interface Ranked<Machine extends Candidate> {
  /** Machines that may get traffic, in groups that are equally good, nearest first. */
  readonly groups: readonly (readonly Machine[])[];
  /** The same groups as the balancer sees them. */
  readonly looks: readonly Look[];
  readonly balance: Balance;
  /** The first groups, which come before all others whatever their load: those at home with "local-preferred", or else all. */
  readonly homeGroups: number;
  /** The first groups, which requests may go to now: those at home while a machine there can be waited for, or else all. */
  readonly reach: number;
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

/** How far the balancer has looked through a group; all but `slots` is its own to write. */
export interface Look {
  readonly slots: Int32Array;
  /** Where it goes on looking. */
  cursor: number;
  /** It has looked everywhere, and found none below its soft limit. */
  isSaturated: boolean;
  /** Nor one below its hard limit. */
  isFull: boolean;
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
 * (DESIGN, Routing; reference section 3.1). Regions at the same distance are told apart by name, so that the order is stable. With
 * `balance = "spread"` all regions that come alike are one. Where every machine that runs fails its checks, those have the traffic unless
 * another can be woken: a broken check must not be an outage.
 */
export function rank<Machine extends Candidate>(
  machines: readonly Machine[],
  autoStart: boolean,
  rules: RankRules = FLY_RULES,
): Ranked<Machine> {
  const { region: home, regionPolicy } = rules;
  const isAtHome = ({ region }: Candidate): boolean => region === home;
  const others = machines.filter((machine) => !machine.cordoned && (regionPolicy !== "local-only" || isAtHome(machine)));
  const usable = others.filter((machine) => exclusion(machine) === null);
  const critical = others.filter((machine) => exclusion(machine) === UNHEALTHY);
  const ranked: Ranked<Machine> = {
    ...inGroups(usable, rules),
    hasWakeable: autoStart && others.some((machine) => isWakeable(machine.state) || isFallingAsleep(machine.state)),
    hasStarting: others.some((machine) => machine.state === "starting"),
    unhealthy: critical.length,
    isPanic: false,
    withoutWake: null,
  };
  if (usable.length > 0) {
    const canWaitAtHome = ({ region, state }: Candidate): boolean =>
      region === home && isAwaitable(state) && (autoStart || state === "starting");
    if (regionPolicy !== "local-preferred" || !others.some(canWaitAtHome)) return ranked;
    return { ...ranked, reach: ranked.homeGroups, withoutWake: { ...ranked, hasWakeable: false, hasStarting: false } };
  }
  const reachable = critical.filter((machine) => machine.address !== null);
  if (reachable.length === 0) return ranked;
  const panic = { ...ranked, ...inGroups(reachable, rules), hasWakeable: false, hasStarting: false, isPanic: true };
  return ranked.hasWakeable || ranked.hasStarting ? { ...ranked, withoutWake: panic } : panic;
}

function inGroups<Machine extends Candidate>(
  machines: readonly Machine[],
  { region, regionPolicy, balance }: RankRules,
): Pick<Ranked<Machine>, "groups" | "looks" | "balance" | "homeGroups" | "reach"> {
  const prefersHome = regionPolicy === "local-preferred";
  const local = prefersHome
    ? grouped(
        machines.filter((machine) => machine.region === region),
        balance,
      )
    : [];
  const away = grouped(prefersHome ? machines.filter((machine) => machine.region !== region) : machines, balance);
  const groups = [...local, ...away];
  return { groups, looks: groups.map(lookAt), balance, homeGroups: prefersHome ? local.length : groups.length, reach: groups.length };
}

function grouped<Machine extends Candidate>(usable: readonly Machine[], balance: Balance): Machine[][] {
  const isSpread = balance === "spread";
  const distances = new Map<string, number>();
  if (!isSpread) for (const { region, rttMs } of usable) distances.set(region, Math.min(rttMs, distances.get(region) ?? Infinity));
  const distance = ({ region }: Machine): number => distances.get(region) ?? 0;
  // "passing" comes before "unknown" by name too; critical machines are never among them.
  const byPlace = (a: Machine, b: Machine): number =>
    distance(a) - distance(b) || (isSpread ? 0 : compare(a.region, b.region)) || compare(a.health, b.health) || compare(a.id, b.id);
  const groups = new Map<string, Machine[]>();
  for (const machine of usable.toSorted(byPlace)) {
    const key = isSpread ? machine.health : `${machine.region} ${machine.health}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [machine]);
    else group.push(machine);
  }
  return [...groups.values()];
}

function lookAt(group: readonly Candidate[]): Look {
  return { slots: Int32Array.from(group, ({ slot }) => slot), cursor: 0, isSaturated: false, isFull: false };
}

/** Many times quicker than by locale, which matters with ten thousand machines. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isFallingAsleep(state: MachineState): boolean {
  return state === "stopping" || state === "suspending";
}
