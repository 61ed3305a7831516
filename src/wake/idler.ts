// Puts machines to sleep that are not needed, as sleep-plan.ts has it. Load is what the edge sees: something in flight, or a claim since the
// last look; probes and background work are none (reference section 6.1). A component of the node.

import { setTimeout as delay } from "node:timers/promises";

import type { Logger } from "pino";

import { leastAggressiveAutoStop, type App } from "../core/app.ts";
import type { Component } from "../core/component.ts";
import type { MachineRecord } from "../core/machine.ts";
import type { LoadControl } from "./load-control.ts";
import { minRunning, servicesOf } from "./machine-plan.ts";
import { chooseSleeper, observe, type Sleeper, type Watched } from "./sleep-plan.ts";

/** What the idler needs of the host. */
export interface SleepyMachines {
  machines(): readonly MachineRecord[];
  /** @param isIdle false: it may have load, which it gets rid of first */
  sleep(app: string, id: string, how: "stop" | "suspend", isIdle: boolean): Promise<boolean>;
}

export interface IdlerOptions {
  readonly host: SleepyMachines;
  /** The apps as they are configured now. */
  readonly apps: () => readonly App[];
  readonly load: Pick<LoadControl, "inFlight" | "activity">;
  /** The machine says that it is busy. */
  readonly isBusy: (machineId: string) => boolean;
  readonly log: Logger;
  /** Milliseconds of a clock that never jumps, so that a corrected wall clock puts nothing to sleep. @default performance.now */
  readonly now?: () => number;
}

/** The machines of a region and process group that run. */
interface Running {
  readonly members: string;
  readonly sinceMs: number;
}

const LONGEST_PAUSE_MS = 1000;
const SHORTEST_PAUSE_MS = 10;

export class Idler implements Component {
  readonly name = "idler";
  readonly #options: IdlerOptions;
  readonly #now: () => number;
  #watched = new Map<string, Watched>();
  #running = new Map<string, Running>();
  /** On their way to sleep. */
  readonly #leaving = new Set<string>();

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
    const watched = new Map<string, Watched>();
    const running = new Map<string, Running>();
    const sleeping: Promise<void>[] = [];
    for (const [key, machines] of groups) {
      const app = declared.get(machines[0]?.app ?? "");
      if (app === undefined) continue;
      const awake = machines.filter(({ state, id }) => state === "started" && !this.#leaving.has(id));
      const softLimit = softLimitOf(app, machines[0]?.group ?? "");
      for (const machine of awake) watched.set(machine.id, this.#look(machine, softLimit));
      const members = awake.map(({ id, changedAtMs }) => `${id} ${changedAtMs}`).join();
      const before = this.#running.get(key);
      const group = before?.members === members ? before : { members, sinceMs: this.#now() };
      running.set(key, group);
      const chosen = this.#choose(app, awake, watched, softLimit, group.sinceMs);
      if (chosen !== null) sleeping.push(this.#sleep(app, chosen, machines));
    }
    this.#watched = watched;
    this.#running = running;
    return Promise.all(sleeping);
  }

  #look({ id, changedAtMs }: MachineRecord, softLimit: number): Watched {
    const { load } = this.#options;
    const look = { id, run: changedAtMs, inFlight: load.inFlight(id), activity: load.activity(id) };
    return observe(this.#watched.get(id), look, softLimit, this.#now());
  }

  /** `awake` are those of one region and process group. */
  #choose(
    app: App,
    awake: readonly MachineRecord[],
    watched: ReadonlyMap<string, Watched>,
    softLimit: number,
    settledSinceMs: number,
  ): Sleeper | null {
    const [first] = awake;
    if (first === undefined || leastAggressiveAutoStop(servicesOf(app, first.group)) === "off") return null;
    const running = awake.map(({ id }) => watched.get(id)!);
    const keep = minRunning(app, first.group, first.region);
    const { isBusy } = this.#options;
    return chooseSleeper({ running, keep, softLimit, idleTimeoutMs: app.idleTimeoutMs, settledSinceMs, isBusy }, this.#now());
  }

  async #sleep(app: App, { id, isIdle }: Sleeper, machines: readonly MachineRecord[]): Promise<void> {
    const { host, log } = this.#options;
    const { group, region } = machines.find((machine) => machine.id === id)!;
    const how = leastAggressiveAutoStop(servicesOf(app, group)) === "suspend" ? "suspend" : "stop";
    const left = machines.filter((machine) => machine.state === "started" && machine.id !== id && !this.#leaving.has(machine.id)).length;
    this.#leaving.add(id);
    try {
      // A request was quicker, or something on it would not end: what follows is counted anew.
      if (!(await host.sleep(app.name, id, how, isIdle))) return;
      const verb = how === "suspend" ? "autosuspending" : "autostopping";
      const where = `(region=${region}, process group=${group})`;
      log.info(
        { app: app.name, machine: id, region },
        `App ${app.name} has excess capacity, ${verb} machine ${id}. ${left} out of ${machines.length} machines left running ${where}`,
      );
    } catch (error) {
      log.warn({ err: error, app: app.name, machine: id, region }, "machine cannot be put to sleep");
    } finally {
      this.#leaving.delete(id);
    }
  }
}

/** The lowest of the group's services, against all that a machine has in flight: where there are several, they sleep rather too seldom. */
function softLimitOf(app: App, group: string): number {
  return servicesOf(app, group).reduce((least, { concurrency }) => Math.min(least, concurrency.softLimit), Infinity);
}
