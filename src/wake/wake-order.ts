// Which machine answers a wake: every machine that could, best first. Pure.

import type { App, Service } from "../core/app.ts";
import { isAwaitable, isWakeable, type MachineRecord, type MachineState } from "../core/machine.ts";

/** asleep: nothing of the service can take the request; busy: what runs is at its soft limit; near: what runs is further off than what sleeps. */
export type WakeReason = "asleep" | "busy" | "near";

/** The world as the choice sees it. */
export interface WakeView {
  readonly nowMs: number;
  /** This edge's region. */
  readonly region: string;
  rttMs(region: string): number;
  /** How long a machine's crashes keep it from being started. */
  startableInMs(machine: MachineRecord): number;
  inFlight(machineId: string): number;
  /** How long a wake from this state is expected to take. */
  wakeMs(app: string, state: MachineState): number;
}

/**
 * By the expected time to the first byte: the round trip, and the wake from the state it is in. Apps without `warm_detour` have their nearest
 * region first, as Fly has it (reference section 6.2). What has just crashed, or has been starting for longer than a request waits, comes
 * after everything else, so that it cannot keep others from being woken.
 *
 * With "local-preferred" what can be waited for in this edge's region goes before everything else, as in routing/rank.ts.
 *
 * A running machine in the list means that there is nothing to wake: the question was asked before the news of it arrived, or for "near"
 * everything nearer comes before it.
 */
export function wakeOrder(
  app: App,
  service: Service,
  machines: readonly MachineRecord[],
  reason: WakeReason,
  view: WakeView,
): MachineRecord[] {
  const reachable = machines.filter((machine) => {
    if (!service.groups.includes(machine.group) || machine.cordoned) return false;
    return app.regionPolicy !== "local-only" || machine.region === view.region;
  });
  const isFirst = ({ region, state }: MachineRecord): boolean =>
    app.regionPolicy === "local-preferred" && region === view.region && isAwaitable(state) && (service.autoStart || state === "starting");
  const staysHome = reachable.some(isFirst);
  const relaxed = reachable.find(
    (machine) =>
      machine.state === "started" &&
      machine.health !== "critical" &&
      view.inFlight(machine.id) < service.concurrency.softLimit &&
      (!staysHome || machine.region === view.region),
  );
  if (reason === "busy" && relaxed !== undefined) return [relaxed];
  const isHelpful = ({ state, health }: MachineRecord): boolean => state === "started" && reason !== "busy" && health !== "critical";
  const candidates = reachable.filter((machine) => {
    if (machine.state === "started") return isHelpful(machine);
    return service.autoStart || machine.state === "starting";
  });
  if (reason === "near") return nearerFirst(app, candidates, view);
  const keys = new Map(candidates.map((machine) => [machine, [isFirst(machine) ? 0 : 1, ...sortKey(app, machine, view)]]));
  return candidates.toSorted((a, b) => compare(keys.get(a) ?? [], keys.get(b) ?? []));
}

const READY_SOONEST: Readonly<Record<MachineState, number>> = {
  started: 0,
  starting: 1,
  suspended: 2,
  suspending: 3,
  created: 4,
  stopped: 4,
  failed: 5,
  stopping: 6,
};

/** What can be woken nearer than all that runs, then what runs. */
function nearerFirst(app: App, candidates: readonly MachineRecord[], view: WakeView): MachineRecord[] {
  const running = candidates.filter(({ state }) => state === "started");
  const warmMs = Math.min(...running.map(({ region }) => view.rttMs(region)));
  const nearer = candidates.filter((machine) => {
    return machine.state !== "started" && view.rttMs(machine.region) < warmMs && !isHopeless(app, machine, view);
  });
  const byKey = (a: MachineRecord, b: MachineRecord): number => compare(sortKey(app, a, view), sortKey(app, b, view));
  return [...nearer.toSorted(byKey), ...running.toSorted(byKey)];
}

function sortKey(app: App, machine: MachineRecord, view: WakeView): number[] {
  const rttMs = view.rttMs(machine.region);
  const firstByteMs = rttMs + view.wakeMs(app.name, machine.state);
  const time = app.warmDetour ? [firstByteMs, rttMs] : [rttMs, firstByteMs];
  return [isHopeless(app, machine, view) ? 1 : 0, ...time, READY_SOONEST[machine.state]];
}

function isHopeless(app: App, machine: MachineRecord, view: WakeView): boolean {
  const isLate = machine.state === "starting" && view.nowMs - machine.changedAtMs > app.wakeTimeoutMs;
  return isLate || (isWakeable(machine.state) && view.startableInMs(machine) > 0);
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
