// Keeps the checks of this node's started machines going: the first probe after the grace period, then one an interval, until the
// machine sleeps, changes or goes. What a check says goes to a callback; who publishes it is the host (wake/host.ts).

import { setTimeout as delay } from "node:timers/promises";

import type { Logger } from "pino";

import type { Address, Service, ServiceCheck } from "../core/app.ts";
import type { CheckResult, MachineRecord } from "../core/machine.ts";
import { probe, type ProbeOutcome } from "./probe.ts";
import { ProbeLimit } from "./probe-limit.ts";

export interface CheckerOptions {
  /**
   * All results of a machine, in the order of its services: when its checks begin, and whenever the status or the output of one
   * has changed. A machine without checks gets one empty list.
   */
  readonly onResult: (machineId: string, results: readonly CheckResult[]) => void;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: () => number;
  /** Probes at once, over all machines. @default 64 */
  readonly maxProbes?: number;
}

const DEFAULT_MAX_PROBES = 64;

/** An interval is this much longer or shorter at random, so that probes spread out. */
const JITTER = 0.1;

/** The checks of one run of one machine. */
interface Watch {
  /** Tells one run, or one set of checks, from the next. */
  readonly key: string;
  readonly machine: MachineRecord;
  readonly stop: AbortController;
  readonly results: CheckResult[];
}

interface Target {
  readonly check: ServiceCheck;
  readonly service: Service;
  readonly address: Address;
}

export class Checker {
  readonly #options: CheckerOptions;
  readonly #limit: ProbeLimit;
  /** By machine id. */
  readonly #watches = new Map<string, Watch>();

  constructor(options: CheckerOptions) {
    this.#options = options;
    this.#limit = new ProbeLimit(options.maxProbes ?? DEFAULT_MAX_PROBES);
  }

  /**
   * To be called with every change of a record: begins when the machine is started, goes on undisturbed while nothing that
   * matters has changed, and stops when it is not started any more.
   *
   * @param services those of the app; the ones of other process groups are left out here
   */
  watch(machine: MachineRecord, services: readonly Service[]): void {
    if (machine.state !== "started") return this.forget(machine.id);
    const targets = targetsOf(machine, services);
    const key = JSON.stringify([machine.changedAtMs, targets.map(({ check, address }) => [check, address])]);
    if (this.#watches.get(machine.id)?.key === key) return;
    this.forget(machine.id);
    const results = targets.map(
      ({ check }) => ({ name: check.name, status: "critical", output: "not checked yet", updatedAtMs: 0 }) as const,
    );
    const watch: Watch = { key, machine, stop: new AbortController(), results };
    this.#watches.set(machine.id, watch);
    this.#options.onResult(machine.id, [...results]);
    targets.forEach((target, index) => void this.#keepProbing(watch, target, index));
  }

  forget(machineId: string): void {
    this.#watches.get(machineId)?.stop.abort();
    this.#watches.delete(machineId);
  }

  /** Ends all checks. */
  close(): void {
    for (const machineId of [...this.#watches.keys()]) this.forget(machineId);
  }

  async #keepProbing(watch: Watch, target: Target, index: number): Promise<void> {
    const { signal } = watch.stop;
    const { check, address } = target;
    let pauseMs = check.gracePeriodMs;
    for (;;) {
      if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const outcome = await this.#limit.run(async () => (signal.aborted ? null : await probe(check, address, signal)));
      // The machine sleeps or changed meanwhile: what the probe saw is of no interest, and mostly our own doing.
      if (signal.aborted || outcome === null) return;
      this.#note(watch, target, index, outcome);
      pauseMs = check.intervalMs * (1 - JITTER + 2 * JITTER * this.#options.random());
    }
  }

  #note(watch: Watch, { check, service }: Target, index: number, outcome: ProbeOutcome): void {
    const before = watch.results[index];
    const status = outcome.passes ? "passing" : "critical";
    const turned = before === undefined || before.updatedAtMs === 0 || before.status !== status;
    if (!turned && before.output === outcome.output) return;
    const updatedAtMs = turned ? this.#options.now() : before.updatedAtMs;
    watch.results[index] = { name: check.name, status, output: outcome.output, updatedAtMs };
    if (turned) this.#tell(watch.machine, check, service, outcome);
    this.#options.onResult(watch.machine.id, [...watch.results]);
  }

  #tell({ app, id, region }: MachineRecord, check: ServiceCheck, service: Service, { passes, output }: ProbeOutcome): void {
    const fields = { app, machine: id, region, output };
    const title = `Health check '${check.name}' on port ${service.internalPort}`;
    if (passes) return this.#options.log.info(fields, `${title} is now passing.`);
    const ports = service.ports.map(({ start, end }) => (start === end ? `${start}` : `${start}-${end}`)).join(", ");
    const affected = `Services exposed on ports [${ports}] will have intermittent failures until the health check passes.`;
    this.#options.log.warn(fields, `${title} has failed. Your app is not responding properly. ${affected}`);
  }
}

/** A check of a port that the machine has no address for cannot be made; the driver gives one for every port of its services. */
function targetsOf(machine: MachineRecord, services: readonly Service[]): Target[] {
  return services.flatMap((service) => {
    const address = machine.addresses[service.internalPort];
    if (address === undefined || !service.groups.includes(machine.group)) return [];
    return service.checks.map((check) => ({ check, service, address }));
  });
}
