// A host with a real load table, a store in memory and a driver, and eyes on everything that it publishes.

import { EventEmitter, once } from "node:events";
import { PassThrough } from "node:stream";

import { pino } from "pino";

import { LoadTable, CLAIMED, NO_LIMIT } from "../../src/catalog/load-table.ts";
import type { App, DriverName } from "../../src/core/app.ts";
import type { MachineRecord, MachineState } from "../../src/core/machine.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import type { Driver } from "../../src/wake/driver.ts";
import { Host, type HostOptions } from "../../src/wake/host.ts";
import type { LoadControl } from "../../src/wake/load-control.ts";
import { sampleApp } from "./sample-app.ts";
import { ServerDriver } from "./server-driver.ts";

/** A load table with one slot a machine. */
export class MachineLoad implements LoadControl {
  readonly #table = LoadTable.create();
  readonly #slots = new Map<string, number>();

  closeWhenIdle(machineId: string): boolean {
    return this.#table.closeWhenIdle(this.#slot(machineId));
  }
  close(machineId: string): void {
    this.#table.close(this.#slot(machineId));
  }
  open(machineId: string): void {
    this.#table.open(this.#slot(machineId));
  }
  inFlight(machineId: string): number {
    return this.#table.count(this.#slot(machineId));
  }
  activity(machineId: string): number {
    return this.#table.activity(this.#slot(machineId));
  }
  isClosed(machineId: string): boolean {
    return this.#table.isClosed(this.#slot(machineId));
  }
  /** As a worker does it. */
  claim(machineId: string): boolean {
    return this.#table.claim(this.#slot(machineId), NO_LIMIT) === CLAIMED;
  }
  release(machineId: string): void {
    this.#table.release(this.#slot(machineId));
  }

  #slot(machineId: string): number {
    const slot = this.#slots.get(machineId) ?? this.#slots.size;
    this.#slots.set(machineId, slot);
    return slot;
  }
}

export interface RigOptions extends Partial<Pick<HostOptions, "store" | "now" | "drainMs" | "drivers" | "backoff">> {
  readonly driver?: ServerDriver;
}

export class HostRig implements AsyncDisposable {
  readonly store = new MemoryStore();
  readonly load = new MachineLoad();
  readonly driver: ServerDriver;
  readonly host: Host;
  /** `hello-ams starting`, once for each change of state. */
  readonly states: string[] = [];
  readonly removed: string[] = [];
  /** Machines that took leave of what they had in flight. */
  readonly leaving: string[] = [];
  /** Records that said started while the slot was closed, or the other way round; but for the first of a machine, which makes its slot. */
  readonly falseNews: MachineRecord[] = [];
  /** Log lines, parsed. */
  readonly lines: Record<string, unknown>[] = [];
  readonly #news = new EventEmitter();

  constructor({ driver = new ServerDriver(), ...options }: RigOptions = {}) {
    this.driver = driver;
    const drivers: ReadonlyMap<DriverName, Driver> = options.drivers ?? new Map([[driver.name, driver]]);
    const output = new PassThrough();
    output.on("data", (line: Buffer) => this.lines.push(JSON.parse(line.toString())));
    this.host = new Host({
      node: "ams-1",
      drivers,
      store: options.store ?? this.store,
      load: this.load,
      log: pino({ base: null }, output),
      onChange: (record) => this.#onChange(record),
      onRemoved: (_app, id) => {
        this.removed.push(id);
        this.#news.emit("news");
      },
      onLeaving: (id) => void this.leaving.push(id),
      now: options.now ?? Date.now,
      random: () => 0.5,
      drainMs: options.drainMs ?? 10_000,
      backoff: options.backoff ?? { minMs: 2, maxMs: 20 },
    });
    driver.events = this.host;
  }

  record(id = "hello-ams"): MachineRecord {
    const record = this.host.machines().find((candidate) => candidate.id === id);
    if (record === undefined) throw new Error(`there is no machine ${id}`);
    return record;
  }

  async stored(id = "hello-ams"): Promise<MachineRecord | null> {
    const entry = await this.store.get(`machines/ams-1/${id.split("-")[0]}/${id}`);
    return entry === null ? null : JSON.parse(entry.value);
  }

  /** Resolves when the condition holds; looks after every published change. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.#news, "news", { signal: AbortSignal.timeout(5000) });
  }

  async untilState(state: MachineState, id = "hello-ams"): Promise<void> {
    await this.until(() => this.record(id).state === state);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host.close({ keepMachines: false });
    await this.driver.endAll();
    await this.store.close();
  }

  #onChange(record: MachineRecord): void {
    const isNew = !this.states.some((state) => state.startsWith(`${record.id} `));
    if (!isNew && this.load.isClosed(record.id) === (record.state === "started")) this.falseNews.push(record);
    const line = `${record.id} ${record.state}`;
    if (this.states.findLast((state) => state.startsWith(`${record.id} `)) !== line) this.states.push(line);
    this.#news.emit("news");
  }
}

/** A host whose only machine, hello-ams, runs. */
export async function startedRig(options: RigOptions = {}, changes: Partial<App> = {}): Promise<HostRig> {
  const rig = new HostRig(options);
  await rig.host.applyApps([sampleApp(changes)]);
  await rig.host.start("hello", "hello-ams");
  return rig;
}
