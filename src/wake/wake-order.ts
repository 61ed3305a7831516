// Which machine answers a wake: every machine that could, best first. Pure.

import type { App, Service } from "../core/app.ts";
import { isAwaitable, isWakeable, type MachineRecord, type MachineState } from "../core/machine.ts";

/** asleep: nothing of the service can take the request; busy: what runs is at its soft limit. */
export type WakeReason = "asleep" | "busy";

/** The world as the choice sees it. */
export interface WakeView {
  readonly nowMs: number;
  /** This edge's region. */
  readonly region: string;
  rttMs(region: string): number;
  /** How long a machine's crashes keep it from being started. */
  startableInMs(machine: MachineRecord): number;
  inFlight(machineId: string): number;
}

/**
 * Nearest first. At the same distance, what is ready soonest: running, starting, suspended, stopped. What has just crashed, or has been
 * starting for longer than a request waits, comes after everything else, so that it cannot keep others from being woken.
 *
 * With "local-preferred" what can be waited for in this edge's region goes before everything else, as in routing/rank.ts.
 *
 * A running machine in the list means that there is nothing to wake: the question was asked before the news of it arrived.
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
      view.inFlight(machine.id) < service.concurrency.softLimit &&
      (!staysHome || machine.region === view.region),
  );
  if (reason === "busy" && relaxed !== undefined) return [relaxed];
  const candidates = reachable.filter((machine) => {
    if (machine.state === "started") return reason === "asleep" && machine.health !== "critical";
    return service.autoStart || machine.state === "starting";
  });
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

function sortKey(app: App, machine: MachineRecord, view: WakeView): number[] {
  const isLate = machine.state === "starting" && view.nowMs - machine.changedAtMs > app.wakeTimeoutMs;
  const isCrashed = isWakeable(machine.state) && view.startableInMs(machine) > 0;
  return [isLate || isCrashed ? 1 : 0, view.rttMs(machine.region), READY_SOONEST[machine.state]];
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
