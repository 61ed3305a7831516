// Puts machines to sleep that had no load for idle_timeout. Load is what the edge sees: something in flight, or a claim since the last
// look; probes and background work are none (reference section 6.1). A component of the node.

import { setTimeout as delay } from "node:timers/promises";

import type { Logger } from "pino";

import { leastAggressiveAutoStop, type App } from "../core/app.ts";
import type { Component } from "../core/component.ts";
import type { MachineRecord } from "../core/machine.ts";
import type { LoadControl } from "./load-control.ts";
import { minRunning, servicesOf } from "./machine-plan.ts";

/** What the idler needs of the host. */
export interface SleepyMachines {
  machines(): readonly MachineRecord[];
  sleep(app: string, id: string, how: "stop" | "suspend"): Promise<boolean>;
}

export interface IdlerOptions {
  readonly host: SleepyMachines;
  /** The apps as they are configured now. */
  readonly apps: () => readonly App[];
  readonly load: Pick<LoadControl, "inFlight" | "activity">;
  readonly log: Logger;
  /** Milliseconds of a clock that never jumps, so that a corrected wall clock puts nothing to sleep. @default performance.now */
  readonly now?: () => number;
}

/** Since when a machine is idle, and what was seen then. */
interface Idle {
  sinceMs: number;
  activity: number;
  /** Of the record: tells one run of a machine from the next. */
  readonly changedAtMs: number;
}

const LONGEST_PAUSE_MS = 1000;
const SHORTEST_PAUSE_MS = 10;

export class Idler implements Component {
  readonly name = "idler";
  readonly #options: IdlerOptions;
  readonly #now: () => number;
  #idle = new Map<string, Idle>();

  constructor(options: IdlerOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // A stop may take as long as kill_timeout; the other machines do not wait for it.
      void this.pass();
      await delay(this.pauseMs(), undefined, { signal }).catch(() => {});
    }
  }

  /** A quarter of the shortest idle_timeout, a second at most. */
  pauseMs(): number {
    const shortest = this.#options.apps().reduce((least, app) => Math.min(least, app.idleTimeoutMs / 4), LONGEST_PAUSE_MS);
    return Math.max(SHORTEST_PAUSE_MS, shortest);
  }

  /**
   * Looks at every machine once, and sends at most one of each region and process group to sleep. What it sees and decides it does
   * before it returns; the promise resolves when those it chose are asleep.
   */
  pass(): Promise<unknown> {
    const { apps, host } = this.#options;
    const declared = new Map(apps().map((app) => [app.name, app]));
    const groups = Map.groupBy(host.machines(), ({ app, region, group }) => `${app} ${region} ${group}`);
    const seen = new Map<string, Idle>();
    const sleeping: Promise<void>[] = [];
    for (const machines of groups.values()) {
      const app = declared.get(machines[0]?.app ?? "");
      if (app === undefined) continue;
      for (const machine of machines) if (machine.state === "started") seen.set(machine.id, this.#look(machine));
      const chosen = this.#choose(app, machines, seen);
      if (chosen !== null) sleeping.push(this.#sleep(app, chosen, machines));
    }
    this.#idle = seen;
    return Promise.all(sleeping);
  }

  #look({ id, changedAtMs }: MachineRecord): Idle {
    const { load } = this.#options;
    const activity = load.activity(id);
    const before = this.#idle.get(id);
    const isIdle = before?.changedAtMs === changedAtMs && before.activity === activity && load.inFlight(id) === 0;
    return isIdle ? before : { sinceMs: this.#now(), activity, changedAtMs };
  }

  /** The machine that has been idle longest, if it may sleep. `machines` are those of one region and process group. */
  #choose(app: App, machines: readonly MachineRecord[], seen: ReadonlyMap<string, Idle>): MachineRecord | null {
    const [first] = machines;
    if (first === undefined) return null;
    const services = servicesOf(app, first.group);
    if (leastAggressiveAutoStop(services) === "off") return null;
    const running = machines.filter((machine) => machine.state === "started");
    const kept = first.region === app.primaryRegion ? minRunning(services) : 0;
    if (running.length <= kept) return null;
    const sinceMs = (machine: MachineRecord): number => seen.get(machine.id)?.sinceMs ?? Infinity;
    const longest = running.reduce((a, b) => (sinceMs(b) < sinceMs(a) ? b : a));
    return this.#now() - sinceMs(longest) >= app.idleTimeoutMs ? longest : null;
  }

  async #sleep(app: App, machine: MachineRecord, machines: readonly MachineRecord[]): Promise<void> {
    const { host, log } = this.#options;
    const how = leastAggressiveAutoStop(servicesOf(app, machine.group)) === "suspend" ? "suspend" : "stop";
    const left = machines.filter(({ state, id }) => state === "started" && id !== machine.id).length;
    try {
      // A request was quicker: the next look sees it.
      if (!(await host.sleep(app.name, machine.id, how))) return;
      const verb = how === "suspend" ? "autosuspending" : "autostopping";
      const where = `(region=${machine.region}, process group=${machine.group})`;
      log.info(
        { app: app.name, machine: machine.id, region: machine.region },
        `App ${app.name} has excess capacity, ${verb} machine ${machine.id}. ${left} out of ${machines.length} machines left running ${where}`,
      );
    } catch (error) {
      log.warn({ err: error, app: app.name, machine: machine.id, region: machine.region }, "machine cannot be put to sleep");
    }
  }
}
