// Keeps the checks of this node's started machines going: the first probe after the grace period, then one an interval, sooner after a
// failure, until the machine sleeps, changes or goes. What a check says goes to a callback; who publishes it is the host (wake/host.ts).

import { setTimeout as delay } from "node:timers/promises";

import type { Logger } from "pino";

import type { Address, App, ServiceCheck, ServicePort } from "../core/app.ts";
import type { CheckResult, MachineRecord } from "../core/machine.ts";
import { probe, type ProbeOutcome } from "./probe.ts";
import { ProbeLimit } from "./probe-limit.ts";

export interface CheckerOptions {
  /**
   * All results of a machine, those of its services first: when its checks begin, and whenever the status or the output of one
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

const FIRST_RETRY_MS = 1000;

type CheckedApp = Pick<App, "services" | "checks">;

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
  readonly kind: CheckResult["kind"];
  readonly port: number;
  readonly address: Address;
  /** Public ports that lead to a machine only while it passes. */
  readonly exposed: readonly ServicePort[];
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
   * @param app what is for other process groups is left out here
   */
  watch(machine: MachineRecord, app: CheckedApp): void {
    if (machine.state !== "started") return this.forget(machine.id);
    const targets = targetsOf(machine, app);
    const key = JSON.stringify([machine.changedAtMs, targets.map(({ check, kind, address }) => [check, kind, address])]);
    if (this.#watches.get(machine.id)?.key === key) return;
    this.forget(machine.id);
    const results = targets.map(
      ({ check, kind }) => ({ name: check.name, kind, status: "critical", output: "not checked yet", updatedAtMs: 0 }) as const,
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
    let failures = 0;
    for (;;) {
      if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const outcome = await this.#limit.run(async () => (signal.aborted ? null : await probe(check, address, signal)));
      // The machine sleeps or changed meanwhile: what the probe saw is of no interest, and mostly our own doing.
      if (signal.aborted || outcome === null) return;
      this.#note(watch, target, index, outcome);
      failures = outcome.status === "critical" ? failures + 1 : 0;
      pauseMs = pauseAfter(failures, check.intervalMs) * (1 - JITTER + 2 * JITTER * this.#options.random());
    }
  }

  #note(watch: Watch, target: Target, index: number, outcome: ProbeOutcome): void {
    const before = watch.results[index];
    const { status } = outcome;
    const turned = before === undefined || before.updatedAtMs === 0 || before.status !== status;
    if (!turned && before.output === outcome.output) return;
    const updatedAtMs = turned ? this.#options.now() : before.updatedAtMs;
    watch.results[index] = { name: target.check.name, kind: target.kind, status, output: outcome.output, updatedAtMs };
    if (turned) this.#tell(watch.machine, target, outcome);
    this.#options.onResult(watch.machine.id, [...watch.results]);
  }

  #tell({ app, id, region }: MachineRecord, { check, port, exposed }: Target, { status, output }: ProbeOutcome): void {
    const fields = { app, machine: id, region, output };
    const title = `Health check '${check.name}' on port ${port}`;
    if (status === "passing") return this.#options.log.info(fields, `${title} is now passing.`);
    if (status === "warning") return this.#options.log.warn(fields, `${title} is now a warning.`);
    const ports = exposed.map(({ start, end }) => (start === end ? `${start}` : `${start}-${end}`)).join(", ");
    const affected = ` Services exposed on ports [${ports}] will have intermittent failures until the health check passes.`;
    this.#options.log.warn(fields, `${title} has failed. Your app is not responding properly.${ports === "" ? "" : affected}`);
  }
}

/**
 * How long to wait, in milliseconds: an interval, but after a failure a second, then twice as long each time up to the interval. So a
 * blip is over soon, and a machine that stays down is asked no more often than one that is well. Fly's is unknown (reference 14).
 *
 * @param failures in a row
 */
export function pauseAfter(failures: number, intervalMs: number): number {
  return failures === 0 ? intervalMs : Math.min(intervalMs, FIRST_RETRY_MS * 2 ** (failures - 1));
}

/** A check of a service's port that the machine has no address for cannot be made; the driver gives one for every port of its services. */
function targetsOf(machine: MachineRecord, { services, checks }: CheckedApp): Target[] {
  const own = services.filter(({ groups }) => groups.includes(machine.group));
  const ofServices = own.flatMap(({ internalPort: port, checks: serviceChecks, ports: exposed }): Target[] => {
    const address = machine.addresses[port];
    return address === undefined ? [] : serviceChecks.map((check) => ({ check, kind: "service", port, address, exposed }));
  });
  const [somewhere] = Object.values(machine.addresses);
  const others = checks.flatMap(({ check, kind, port, groups }): Target[] => {
    const address = machine.addresses[port] ?? (somewhere === undefined ? undefined : { host: somewhere.host, port });
    if (address === undefined || !groups.includes(machine.group)) return [];
    const exposed = kind === "readiness" ? own.flatMap(({ ports }) => ports) : [];
    return [{ check, kind, port, address, exposed }];
  });
  return [...ofServices, ...others];
}
