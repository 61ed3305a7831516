// Hot path. Passive health of machines, as one worker sees it: whoever fails several times in a row is left alone for a while, and never
// more than a part of a service (DESIGN Health). An ejection changes how the service is ranked, so that requests pay nothing for it.

import type { Address, OutlierRules } from "../core/app.ts";
import type { Deadlines } from "../core/deadlines.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { Health, MachineState } from "../core/machine.ts";
import { Outlier } from "./outlier.ts";

/** A machine of one service. */
export interface Watched {
  readonly id: string;
  readonly state: MachineState;
  readonly health: Health;
  readonly cordoned: boolean;
  readonly address: Address | null;
  readonly outlier: Outlier;
}

export interface WatchedService<Machine extends Watched> {
  readonly outliers: OutlierRules;
  readonly machines: readonly Machine[];
}

export interface Ejection {
  readonly forMs: number;
  /** How many ejections in short order this is. */
  readonly times: number;
  /** For people. */
  readonly reason: string;
}

export interface OutliersOptions<Service extends WatchedService<Machine>, Machine extends Watched> {
  readonly deadlines: Deadlines;
  /** The service as it is now; undefined when it is gone. */
  readonly current: (service: Service) => Service | undefined;
  /** The service is to be ranked anew. */
  readonly onEjected: (service: Service, machine: Machine, ejection: Ejection) => void;
  /** The same. */
  readonly onReadmitted: (service: Service) => void;
}

/** What says that a machine cannot be reached, or that it breaks connections off. */
const FAILURES: ReadonlySet<ErrorCode> = new Set([
  "connect_refused",
  "connect_timeout",
  "connect_failed",
  "upstream_reset",
  "upstream_closed",
  "response_truncated",
]);

export class Outliers<Service extends WatchedService<Machine>, Machine extends Watched> {
  readonly #options: OutliersOptions<Service, Machine>;

  constructor(options: OutliersOptions<Service, Machine>) {
    this.#options = options;
  }

  /** An attempt, or the response to it, failed with this code; of no interest where that says nothing about the machine. */
  failed(service: Service, machine: Machine, code: ErrorCode): void {
    if (code === "upstream_timeout") return this.#countServerError(service, machine);
    if (!FAILURES.has(code)) return;
    const { consecutive } = service.outliers;
    const { outlier } = machine;
    // Where it may not be ejected, that is looked at anew after as many more. With 0 the remainder is no number.
    if (++outlier.failures % consecutive === 0) this.#eject(service, machine, `${outlier.failures} failed or broken connections in a row`);
  }

  /** A whole response, or a connection that stands. @param status 0 where there is none */
  answered(service: Service, machine: Machine, status: number): void {
    const { outlier } = machine;
    if (outlier.failures !== 0) outlier.failures = 0;
    if (status >= 500) this.#countServerError(service, machine);
    else if (outlier.serverErrors !== 0) outlier.serverErrors = 0;
  }

  #countServerError(service: Service, machine: Machine): void {
    const { fiveXx } = service.outliers;
    const { outlier } = machine;
    if (++outlier.serverErrors % fiveXx === 0) this.#eject(service, machine, `${outlier.serverErrors} responses 5xx in a row`);
  }

  #eject(asItWas: Service, { outlier }: Machine, reason: string): void {
    const { current, deadlines, onEjected, onReadmitted } = this.#options;
    const service = current(asItWas);
    // One that was started anew meanwhile has another.
    const machine = service?.machines.find((one) => one.outlier === outlier);
    if (service === undefined || machine === undefined || outlier.isEjected || !isUp(machine)) return;
    if (countEjected(service) >= mostEjected(service)) return;
    const forMs = outlier.eject(service.outliers, deadlines, () => {
      const now = current(service);
      if (now !== undefined) onReadmitted(now);
    });
    onEjected(service, machine, { forMs, times: outlier.times, reason });
  }
}

/** What a worker knows of a machine, given what it knew of it before its app changed. */
export function outlierOf(machine: Omit<Watched, "outlier">, before: Watched | undefined): Outlier {
  const isSame = before?.id === machine.id && before.state === "started" && machine.state === "started";
  return isSame ? before.outlier : new Outlier();
}

/** Where a service has fewer machines than it had, more may be ejected than should be: those come back that would do so first. */
export function readmitExcess(service: WatchedService<Watched>, deadlines: Deadlines): void {
  const excess = countEjected(service) - mostEjected(service);
  if (excess <= 0) return;
  const ejected = service.machines.filter((machine) => machine.outlier.isEjected && isUp(machine));
  const soonest = ejected.toSorted((a, b) => a.outlier.deadlineMs - b.outlier.deadlineMs);
  for (const { outlier } of soonest.slice(0, excess)) outlier.readmit(deadlines);
}

function mostEjected({ machines, outliers }: WatchedService<Watched>): number {
  return Math.floor(machines.filter(isUp).length * outliers.maxEjected);
}

function countEjected({ machines }: WatchedService<Watched>): number {
  return machines.filter((machine) => machine.outlier.isEjected && isUp(machine)).length;
}

function isUp({ state, health, cordoned, address }: Watched): boolean {
  return state === "started" && health !== "critical" && !cordoned && address !== null;
}
