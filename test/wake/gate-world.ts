// A gate before one machine, and requests that come, look for a place and go as the edge has them do.

import type { Aim } from "../../src/core/aim.ts";
import { CLAIMED, LoadTable } from "../../src/catalog/load-table.ts";
import { Deadlines } from "../../src/core/deadlines.ts";
import type { ProxyError } from "../../src/core/errors.ts";
import { Gate, type GatedService, type WaitReason, type Waiting } from "../../src/wake/gate.ts";

const TICK_MS = 2;
export const MACHINE = 0;
export const SERVICE: GatedService = { app: "hello", key: "tcp-8080", wakeTimeoutMs: 60_000, waitSlot: 1 };
export const OTHER: GatedService = { app: "other", key: "tcp-8080", wakeTimeoutMs: 60_000, waitSlot: 2 };

/** A request before a machine that takes `limit` at once, or sleeps. */
export class Request implements Waiting {
  readonly #world: World;
  readonly name: string;
  readonly service: GatedService;
  waitsFor: WaitReason = "asleep";
  aim: Aim | null = null;
  state = "new";
  /** Runs as soon as a place was claimed. */
  onClaimed: () => void = () => undefined;
  onRefused: () => void = () => undefined;

  constructor(world: World, name: string, service: GatedService) {
    this.#world = world;
    this.name = name;
    this.service = service;
  }

  /** Comes in as the edge has it: behind those who wait, or straight to the machine. */
  arrive(): this {
    if (this.#world.gate.isHolding(this.service)) this.hold(this.waitsFor);
    else if (!this.#try()) this.hold(this.waitsFor);
    return this;
  }

  hold(waitsFor: WaitReason): this {
    this.waitsFor = waitsFor;
    this.state = "held";
    this.#world.gate.hold(this.service, this);
    return this;
  }

  onGateOpen(): boolean {
    this.#world.looks.push(this.name);
    return this.#try();
  }

  onGateFailed(error: ProxyError): void {
    this.state = error.code;
    this.#world.refused.push(`${this.name} ${error.code}`);
    this.onRefused();
  }

  /** Gives its place back as the edge does: to those here first, then to other workers. */
  finish(): void {
    const { load, gate } = this.#world;
    this.state = "done";
    load.release(MACHINE);
    if (gate.isHolding(this.service)) gate.onReleased(this.service);
    if (!gate.isHolding(this.service)) load.signal(this.service.waitSlot);
  }

  #try(): boolean {
    if (this.#world.isAsleep) this.waitsFor = "asleep";
    else if (this.#world.load.claim(MACHINE, this.#world.limit) === CLAIMED) {
      this.state = "served";
      this.#world.served.push(this.name);
      this.onClaimed();
      return true;
    } else this.waitsFor = "full";
    return false;
  }
}

export class World {
  readonly load: LoadTable;
  readonly deadlines = new Deadlines(TICK_MS);
  readonly gate: Gate;
  readonly wakes: string[] = [];
  readonly served: string[] = [];
  readonly refused: string[] = [];
  /** Who looked for a place, from within the gate. */
  readonly looks: string[] = [];
  isAsleep = true;
  limit = 1;
  /** Waits for signals that were ever begun. */
  ears = 0;

  constructor(options: { load?: LoadTable; worker?: number; maxWaiting?: number } = {}) {
    this.load = new LoadTable((options.load ?? LoadTable.create()).buffer, options.worker ?? 1);
    const { load } = this;
    const waitForSignal = load.waitForSignal.bind(load);
    load.waitForSignal = (slot, seen) => (this.ears++, waitForSignal(slot, seen));
    this.gate = new Gate({
      load,
      deadlines: this.deadlines,
      maxWaiting: options.maxWaiting ?? 100,
      requestWake: (app, service, target) => void this.wakes.push([app, service, ...(target?.regions ?? [])].join(" ")),
    });
  }

  request(name: string, service = SERVICE): Request {
    return new Request(this, name, service);
  }

  arrivals(...names: string[]): Request[] {
    return names.map((name) => this.request(name).arrive());
  }

  wake(): void {
    this.isAsleep = false;
    this.gate.onWoken(SERVICE.app, SERVICE.key);
  }
}

/** Lets what is due happen. */
export const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Waits until something is so; a wake-up that was lost shows as a failure and not as a test that never ends. */
export async function until(condition: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error(`waited in vain for ${condition.toString()}`);
    await turn();
  }
}
