// A worker of a fleet without sockets (fleet-world.ts): the real gate, balancer, attempts and connection handler, and visits that connect to a
// machine and end when they are told to.

import { pino } from "pino";

import type { AppEntry } from "../../src/catalog/entry.ts";
import type { LoadTable } from "../../src/catalog/load-table.ts";
import { Deadlines } from "../../src/core/deadlines.ts";
import { ProxyError, type ErrorCode } from "../../src/core/errors.ts";
import { RequestIds } from "../../src/core/request-id.ts";
import { Asleep } from "../../src/edge/asleep.ts";
import { Attempts } from "../../src/edge/attempts.ts";
import { edgeApp, type EdgeApp, type EdgeMachine, type EdgeService } from "../../src/edge/edge-app.ts";
import { ConnectionHandler, type Carried, type RoutedConnection } from "../../src/edge/handle-connection.ts";
import { PassiveHealth } from "../../src/edge/passive-health.ts";
import { Places } from "../../src/edge/places.ts";
import { SignedCookies } from "../../src/edge/signed-cookies.ts";
import { WakeHints } from "../../src/edge/wake-hints.ts";
import { Balancer } from "../../src/routing/balancer.ts";
import { Router } from "../../src/routing/router.ts";
import { Traffic } from "../../src/telemetry/traffic.ts";
import { Pools } from "../../src/upstream/pools.ts";
import { Gate, type Waiting } from "../../src/wake/gate.ts";
import type { Waker } from "../../src/wake/waker.ts";
import type { VirtualMachine } from "./fleet-world.ts";

const TICK_MS = 5;
const ATTEMPTS = 40;
const ENDS = { sourceIp: "203.0.113.1", sourcePort: 1, destinationIp: "192.0.2.1", destinationPort: 80 };

export interface VirtualWorkerOptions {
  readonly load: LoadTable;
  readonly random: () => number;
  readonly maxWaiting: number;
  readonly wake: (worker: VirtualWorker, isWaitedFor: boolean, ...asked: Parameters<Waker["wake"]>) => void;
  readonly machine: (id: string) => VirtualMachine;
  /** Other threads come between looking and claiming, and between looking and waiting. */
  readonly between: (busy: VirtualWorker) => void;
}

/** One who waits for a place that another worker gives back. */
interface Ear {
  readonly slot: number;
  readonly seen: number;
  readonly wake: () => void;
}

export class VirtualWorker {
  readonly deadlines = new Deadlines(TICK_MS);
  readonly load: LoadTable;
  readonly gate: Gate;
  readonly visits: Visit[] = [];
  /** From the main thread and to it, in order; each is an arrival. */
  readonly inbox: (() => void)[] = [];
  readonly outbox: (() => void)[] = [];
  /** What must never be: one who came later was let in first. */
  readonly faults: string[] = [];
  readonly #ears: Ear[] = [];
  readonly #signals: LoadTable["signals"];
  readonly #router = new Router<EdgeService, EdgeApp>();
  readonly #balancer: Balancer;
  readonly #attempts: Attempts;
  readonly #handler: ConnectionHandler;
  readonly #options: VirtualWorkerOptions;
  readonly #parts: Parameters<typeof edgeApp>[1];
  /** By place in line: when it was held last. */
  readonly #heldAs = new Map<Waiting, number>();
  #holds = 0;

  constructor(options: VirtualWorkerOptions) {
    const { load, random, maxWaiting, wake } = options;
    const { deadlines } = this;
    this.#options = options;
    this.load = load;
    // Who is woken when, the scheduler says.
    load.waitForSignal = (slot, seen) =>
      this.#signals(slot) === seen
        ? new Promise<void>((resolve) => void this.#ears.push({ slot, seen, wake: resolve }))
        : Promise.resolve();
    this.#signals = load.signals.bind(load);
    load.signals = (slot) => {
      options.between(this);
      return this.#signals(slot);
    };
    const claim = load.claim.bind(load);
    load.claim = (slot, limit) => {
      options.between(this);
      return claim(slot, limit);
    };
    this.gate = new Gate({
      load,
      deadlines,
      maxWaiting,
      requestWake: (app, key, target) =>
        wake(this, true, app, key, target === null ? this.#attempts.wakeReason(app, key) : "asleep", target),
    });
    const hold = this.gate.hold.bind(this.gate);
    this.gate.hold = (service, waiting) => {
      hold(service, waiting);
      this.#heldAs.set(waiting, this.#holds++);
    };
    this.#balancer = new Balancer({ load, random, now: () => deadlines.nowMs });
    const health = new PassiveHealth({
      router: this.#router,
      deadlines,
      log: pino({ enabled: false }),
      onReadmitted: (app) => this.gate.onAppChanged(app),
    });
    const hints = new WakeHints(deadlines, ({ app, key }, reason, target) =>
      wake(this, false, app, key, reason === "detour" ? "near" : reason, target),
    );
    this.#attempts = new Attempts({
      router: this.#router,
      balancer: this.#balancer,
      gate: this.gate,
      places: new Places({ balancer: this.#balancer, gate: this.gate, load, random }),
      deadlines,
      random,
      maxAttempts: ATTEMPTS,
      maxWaiting,
      onBusy: (service, target) => hints.give(service, "busy", target),
      onDetour: (service) => hints.give(service, "detour", null),
      onPanic: () => {},
      onServedAfterWake: () => {},
    });
    const asleep = new Asleep({ router: this.#router, gate: this.gate, load, deadlines, requestWake: noRules });
    this.#handler = new ConnectionHandler({ attempts: this.#attempts, asleep, outliers: health.outliers, ids: new RequestIds("ams") });
    this.#parts = {
      region: "ams",
      // Of addresses that nobody connects to.
      pools: new Pools({} as ConstructorParameters<typeof Pools>[0], {} as ConstructorParameters<typeof Pools>[1]),
      traffic: new Traffic(),
      deadlines,
      cookies: new SignedCookies({ keys: [], now: Date.now }),
      createAccess: noRules,
      createWakeGuard: noRules,
    };
  }

  learn(entry: AppEntry): void {
    this.#router.set(edgeApp(entry, this.#parts, this.#router.app(entry.name)));
    for (const { machines } of entry.services) this.#balancer.learn(machines);
    this.gate.onAppChanged(entry.name);
  }

  onWoken(app: string, key: string): void {
    this.#attempts.onWakeOver(app, key);
    this.gate.onWoken(app, key);
  }

  onWakeFailed(app: string, key: string, error: ProxyError): void {
    this.#attempts.onWakeOver(app, key);
    this.gate.onWakeFailed(app, key, error);
  }

  arrive(): void {
    const service = this.#router.app("hello")?.services[0];
    if (service !== undefined) this.visits.push(new Visit(this, service));
  }

  open(service: EdgeService, carried: Carried): RoutedConnection {
    return this.#handler.open({ kind: "tcp", ends: ENDS, serverName: null }, service, carried);
  }

  machine(id: string): VirtualMachine {
    return this.#options.machine(id);
  }

  /** Ears for which a signal has come. */
  get rung(): number {
    return this.#ears.filter(({ slot, seen }) => this.#signals(slot) !== seen).length;
  }

  hear(): void {
    const index = this.#ears.findIndex(({ slot, seen }) => this.#signals(slot) !== seen);
    if (index !== -1) this.#ears.splice(index, 1)[0]!.wake();
  }

  /** It goes to a machine: does anybody wait here who was before it? */
  expectTurnOf(one: RoutedConnection): void {
    if (one.attempts > 1) return;
    const own = this.#heldAs.get(one) ?? Infinity;
    const before = this.visits.filter(
      ({ connection }) => connection !== one && connection.isWaiting && this.#heldAs.get(connection)! < own,
    );
    if (before.length > 0) this.faults.push(`${before.length} who came earlier wait on`);
  }

  stop(): void {
    this.deadlines.stop();
  }
}

/** One who comes, connects to a machine when it is told to, and stays until it is told to end. */
export class Visit implements Carried {
  state: "routing" | "connecting" | "connected" | "done" | "cut off" | "left" | ErrorCode = "routing";
  readonly connection: RoutedConnection;
  readonly #worker: VirtualWorker;
  #machine: EdgeMachine | null = null;

  constructor(worker: VirtualWorker, service: EdgeService) {
    this.#worker = worker;
    this.connection = worker.open(service, this);
    this.connection.begin();
  }

  get isOver(): boolean {
    return this.state !== "routing" && this.state !== "connecting" && this.state !== "connected";
  }

  attempt(machine: EdgeMachine): void {
    this.#worker.expectTurnOf(this.connection);
    this.#machine = machine;
    this.state = "connecting";
  }

  refuse(code: ErrorCode): void {
    this.#end(code);
  }

  /** @returns false when the machine was not there */
  connect(): boolean {
    const machine = this.#worker.machine(this.#machine!.id);
    if (machine.canAnswer) {
      machine.visits.add(this);
      machine.mostAtOnce = Math.max(machine.mostAtOnce, machine.visits.size);
      this.state = "connected";
      this.connection.onConnected(1);
      return true;
    }
    this.state = "routing";
    this.connection.onAttemptFailed(new ProxyError("connect_refused"));
    return false;
  }

  finish(): void {
    this.#end("done");
  }

  leave(): void {
    this.#end("left");
  }

  cutOff(): void {
    this.#end("cut off");
  }

  #end(state: Visit["state"]): void {
    if (this.isOver) return;
    this.state = state;
    if (this.#machine !== null) this.#worker.machine(this.#machine.id).visits.delete(this);
    this.connection.end();
  }
}

function noRules(): never {
  throw new Error("the app has no such rules");
}
