// Wakes a machine because a request needs one: the nearest that can be woken, once however many ask, the next one when it fails.
// Main thread; the workers' gates (gate.ts) ask by message, the host does the work.

import type { Logger } from "pino";

import { isInTarget, type Target } from "../core/aim.ts";
import type { App, Service } from "../core/app.ts";
import { ProxyError } from "../core/errors.ts";
import type { MachineRecord, MachineState } from "../core/machine.ts";
import { SingleFlight } from "../core/single-flight.ts";
import { wakeOrder, type WakeReason } from "./wake-order.ts";
import { WakeTimes } from "./wake-times.ts";

/** What the waker needs of the host. */
export interface WakeableMachines {
  machines(app: string): readonly MachineRecord[];
  startableInMs(app: string, id: string): number;
  start(app: string, id: string, options: { readonly timeoutMs: number }): Promise<Woken>;
}

/** `startMs` is 0 when the machine ran already. */
export interface Woken {
  readonly record: MachineRecord;
  readonly startMs: number;
}

export interface WokeEvent {
  readonly app: string;
  /** The machine's short name. */
  readonly name: string;
  readonly region: string;
  /** From the first request's question until the machine could take it. */
  readonly totalMs: number;
  /** The part of it from launch or resume until the port accepted. */
  readonly startMs: number;
}

export interface WakerOptions {
  /** This edge's region. */
  readonly region: string;
  readonly host: WakeableMachines;
  /** The app as it is configured now. */
  readonly app: (name: string) => App | undefined;
  readonly rttMs: (region: string) => number;
  /** Slots held on a machine. */
  readonly inFlight: (machineId: string) => number;
  readonly onWoke: (event: WokeEvent) => void;
  /** Nothing could be woken. Once for all who asked, and not at all when everything runs already. */
  readonly onFailed: (app: string, service: string, error: unknown) => void;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export class Waker {
  readonly #options: WakerOptions;
  readonly #flights = new SingleFlight<Woken>();
  /** What is learned from every wake. */
  readonly times = new WakeTimes();

  constructor(options: WakerOptions) {
    this.#options = options;
  }

  /**
   * Resolves when a machine of the service runs that the request may go to. Everyone who asks while a wake of the service is under way
   * gets its outcome. Throws `app_not_found`, `no_machine` (none may be woken, or for "busy": none is left to wake),
   * `wake_failed` (all that could be tried failed), `wake_timeout` or `draining`.
   *
   * @param target which machines will do; null: any
   */
  wake(appName: string, serviceKey: string, reason: WakeReason = "asleep", target: Target | null = null): Promise<Woken> {
    return this.#flights.run(`${appName} ${serviceKey} ${target?.key ?? ""}`, async () => {
      try {
        return await this.#wake(appName, serviceKey, reason, target);
      } catch (error) {
        const isAllAwake = reason === "busy" && error instanceof ProxyError && error.code === "no_machine";
        if (!isAllAwake) this.#options.onFailed(appName, serviceKey, error);
        throw error;
      }
    });
  }

  async #wake(appName: string, serviceKey: string, reason: WakeReason, target: Target | null): Promise<Woken> {
    const begunAt = performance.now();
    const [app, service] = this.#find(appName, serviceKey);
    const candidates = this.#candidates(app, service, reason, target);
    // Whoever waits for what is nearer has another way to go, and must not have given up by then.
    const timeoutMs = reason === "near" ? app.wakeTimeoutMs / 2 : app.wakeTimeoutMs;
    let failure: unknown = null;
    for (const { id, name, region, state } of candidates) {
      const leftMs = timeoutMs - (performance.now() - begunAt);
      if (leftMs <= 0 && state !== "started") continue;
      try {
        const woken = await this.#options.host.start(app.name, id, { timeoutMs: leftMs });
        if (state !== "started") this.#woke(woken, state, performance.now() - begunAt);
        return woken;
      } catch (error) {
        const isOver = error instanceof ProxyError && (error.code === "wake_timeout" || error.code === "draining");
        if (isOver && reason !== "near") throw error;
        this.#options.log.warn({ err: error, app: app.name, machine: id, region }, `machine "${name}" cannot be woken, trying the next`);
        failure = error;
      }
    }
    if (failure === null) throw new ProxyError("no_machine", nothingToWake(app, service, reason));
    throw failure instanceof ProxyError && failure.code === "wake_failed"
      ? failure
      : new ProxyError("wake_failed", undefined, { cause: failure });
  }

  #find(appName: string, serviceKey: string): [App, Service] {
    const app = this.#options.app(appName);
    const service = app?.services.find((candidate) => candidate.key === serviceKey);
    if (app === undefined || service === undefined)
      throw new ProxyError("app_not_found", `there is no service "${serviceKey}" of app "${appName}"`);
    return [app, service];
  }

  #candidates(app: App, service: Service, reason: WakeReason, target: Target | null): MachineRecord[] {
    const { host, region, rttMs, inFlight, now } = this.#options;
    const startableInMs = (machine: MachineRecord): number => host.startableInMs(machine.app, machine.id);
    const wakeMs = (of: string, state: MachineState): number => this.times.expectedMs(of, state);
    const machines = host.machines(app.name).filter((machine) => target === null || isInTarget(target, machine));
    return wakeOrder(app, service, machines, reason, { nowMs: now(), region, rttMs, inFlight, startableInMs, wakeMs });
  }

  #woke({ record, startMs }: Woken, from: MachineState, totalMs: number): void {
    const { app, name, region } = record;
    this.times.learn(app, from, startMs);
    this.#options.onWoke({ app, name, region, totalMs, startMs });
  }
}

function nothingToWake(app: App, service: Service, reason: WakeReason): string {
  if (reason === "busy") return `every machine of app "${app.name}" runs already`;
  if (!service.autoStart) return `no machine of app "${app.name}" runs, and auto_start_machines is off for port ${service.internalPort}`;
  return `app "${app.name}" has no machine that could be woken for port ${service.internalPort}`;
}
