// A node without sockets, under a seeded scheduler: workers with their gates and load table views, the waker, and a host whose driver does one
// thing when it is told to. All of it is the real code; what is drawn is the order in which messages, answers, timers and the driver's work
// arrive. The machines count for themselves who is on them.

import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { setImmediate as turnOfLoop } from "node:timers/promises";

import { pino } from "pino";

import { Catalog } from "../../src/catalog/catalog.ts";
import { LoadTable } from "../../src/catalog/load-table.ts";
import { MachineLoad } from "../../src/catalog/machine-load.ts";
import type { App } from "../../src/core/app.ts";
import { ProxyError } from "../../src/core/errors.ts";
import type { MachineRecord } from "../../src/core/machine.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import type { Adopted, Driver, Launched, LaunchSpec } from "../../src/wake/driver.ts";
import { Host } from "../../src/wake/host.ts";
import type { LoadControl } from "../../src/wake/load-control.ts";
import { Waker } from "../../src/wake/waker.ts";
import { VirtualWorker, type Visit } from "./virtual-worker.ts";

/** One for all fleets, as it is large; what they leave in it is nothing but counters. */
const TABLE = LoadTable.create();
const MOST_SLOTS = 16;

/** What a machine itself knows. */
export class VirtualMachine {
  isUp = false;
  isFrozen = false;
  /** Whose connection stands. */
  readonly visits = new Set<Visit>();
  mostAtOnce = 0;

  get canAnswer(): boolean {
    return this.isUp && !this.isFrozen;
  }
}

export interface FleetOptions {
  readonly app: App;
  readonly workers: number;
  readonly maxWaiting: number;
  readonly drainMs: number;
  readonly random: () => number;
  /** Moves the clock that `performance.now` reads. */
  readonly tick: (ms: number) => void;
}

/** Work of the driver that was begun and is not done. */
interface Pending {
  readonly name: string;
  readonly finish: () => void;
}

export class Fleet implements AsyncDisposable {
  readonly machines = new Map<string, VirtualMachine>();
  readonly workers: VirtualWorker[];
  readonly host: Host;
  readonly load = TABLE;
  readonly pending: Pending[] = [];
  /** The driver fails what it is asked for. */
  readonly broken = { suspend: false, resume: false, start: false };
  /** What must never be: a machine that goes to sleep under somebody. */
  readonly faults: string[] = [];
  /** Machines that took leave of what they had in flight. */
  leaves = 0;
  sleeps = 0;
  /** What other threads do between two steps of one: after each look at the load table, and before each claim. */
  between: (busy: VirtualWorker | null) => void = () => {};
  readonly #asked: Promise<void>[] = [];
  readonly #known = new Set<string>();
  readonly #catalog: Catalog;
  readonly #waker: Waker;
  readonly #machineLoad: MachineLoad;
  readonly #store = new MemoryStore();
  readonly #port: Server;
  readonly #options: FleetOptions;

  private constructor(options: FleetOptions, port: Server) {
    const { app } = options;
    this.#options = options;
    this.#port = port;
    for (let slot = 0; slot < MOST_SLOTS; slot++) this.load.reset(slot);
    for (const { id } of app.machines) this.machines.set(id, new VirtualMachine());
    this.#catalog = new Catalog({
      load: this.load,
      rttMs: () => 1,
      wakeMs: () => 10,
      onEntry: (entry) => this.workers.forEach((worker) => worker.inbox.push(() => worker.learn(entry))),
      onRemoved: () => {},
      onFull: () => {},
      now: () => performance.now(),
    });
    this.#machineLoad = new MachineLoad(this.load, (id) => this.#catalog.slotsOf(id));
    const log = pino({ enabled: false });
    this.host = new Host({
      node: "ams-1",
      drivers: new Map([["process", this.#driver()]]),
      store: this.#store,
      load: this.#raced(),
      log,
      onChange: (record) => this.#onChange(record),
      onRemoved: (name, id) => this.#catalog.removeMachine(name, id),
      onLeaving: () => void this.leaves++,
      now: () => performance.now(),
      random: options.random,
      drainMs: options.drainMs,
      backoff: { minMs: 2, maxMs: 20 },
    });
    this.#waker = new Waker({
      region: "ams",
      host: this.host,
      app: (name) => this.#catalog.app(name),
      rttMs: () => 1,
      inFlight: (id) => this.#machineLoad.inFlight(id),
      onWoke: () => {},
      onFailed: () => {},
      log,
      now: () => performance.now(),
    });
    this.workers = Array.from({ length: options.workers }, (_, index) => {
      const { random, maxWaiting } = options;
      const load = new LoadTable(this.load.buffer, index + 1);
      const machine = (id: string): VirtualMachine => this.machines.get(id)!;
      return new VirtualWorker({
        load,
        random,
        maxWaiting,
        machine,
        wake: this.wake.bind(this),
        between: (worker) => this.between(worker),
      });
    });
  }

  static async start(options: FleetOptions): Promise<Fleet> {
    const port = createServer((socket) => socket.on("error", () => {}).end()).listen(0, "127.0.0.1");
    await once(port, "listening");
    const fleet = new Fleet(options, port);
    fleet.#catalog.setApp(options.app);
    void fleet.host.applyApps([options.app]);
    await fleet.settle();
    fleet.#deliver();
    return fleet;
  }

  get ids(): string[] {
    return [...this.machines.keys()];
  }

  /** On which all who wait are counted. */
  get waitSlot(): number {
    return this.#catalog.entries[0]!.services[0]!.waitSlot;
  }

  get visits(): Visit[] {
    return this.workers.flatMap(({ visits }) => visits);
  }

  inFlight(id: string): number {
    return this.#machineLoad.inFlight(id);
  }

  /** Lets go on whatever waits for nothing that is drawn. */
  async settle(): Promise<void> {
    let turns = 0;
    const isConnecting = (): boolean =>
      this.pending.length === 0 && this.host.machines().some(({ id, state }) => state === "starting" && this.machines.get(id)!.canAnswer);
    do {
      if (++turns > 1000) throw new Error(`nothing goes on: ${JSON.stringify(this.host.machines())}`);
      await turnOfLoop();
      // A connection that was given up because so much time passed at once is made anew after a pause.
      if (turns % 20 === 0) this.pass(25);
    } while (turns < 3 || isConnecting());
  }

  /** Each machine is awake with a chance of two thirds, and all know it. */
  async wakeSome(): Promise<void> {
    for (const id of this.ids) if (this.#options.random() < 0.67) void this.host.start(this.#options.app.name, id);
    await this.settle();
    for (const { finish } of this.pending.splice(0)) finish();
    await this.settle();
    this.#deliver();
  }

  pass(ms: number): void {
    // No further than a tick of the workers' clocks at a time.
    for (let leftMs = ms; leftMs > 0; leftMs -= 5) this.#options.tick(Math.min(5, leftMs));
  }

  sleep(id: string, isIdle: boolean): void {
    const { name, services } = this.#options.app;
    const how = services[0]!.autoStop === "stop" ? "stop" : "suspend";
    const asleep = this.host.sleep(name, id, how, isIdle).then(
      (hasSlept) => void (this.sleeps += hasSlept ? 1 : 0),
      // It crashed meanwhile, or could not be ended.
      (error: unknown) => void (error instanceof ProxyError || this.faults.push(String(error))),
    );
    this.#asked.push(asleep);
  }

  /** The machine ends by itself, and whoever was on it is cut off. */
  crash(id: string): void {
    const machine = this.machines.get(id)!;
    if (!machine.isUp) return;
    machine.isUp = machine.isFrozen = false;
    for (const visit of [...machine.visits]) visit.cutOff();
    this.host.onExit(id, { exitCode: 1, signal: null });
  }

  /** A worker's question, on the main thread. */
  wake(worker: VirtualWorker, isWaitedFor: boolean, ...asked: Parameters<Waker["wake"]>): void {
    const [app, key] = asked;
    const answer = (arrival: () => void): void => void (isWaitedFor && worker.inbox.push(arrival));
    worker.outbox.push(() => {
      this.#waker.wake(...asked).then(
        () => answer(() => worker.onWoken(app, key)),
        (error: unknown) => answer(() => worker.onWakeFailed(app, key, error instanceof ProxyError ? error : new ProxyError("internal"))),
      );
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.workers) worker.stop();
    let isClosed = false;
    const closed = this.host.close({ keepMachines: true });
    void Promise.all([closed, ...this.#asked]).then(() => (isClosed = true));
    while (!isClosed) {
      while (this.pending.length > 0) this.pending.shift()!.finish();
      this.pass(5);
      await turnOfLoop();
    }
    await this.#store.close();
    this.#port.close();
    await once(this.#port, "close");
  }

  /** What the main thread does to the load table, and what other threads do right after it. */
  #raced(): LoadControl {
    const load = this.#machineLoad;
    const then = <Result>(result: Result): Result => {
      this.between(null);
      return result;
    };
    return {
      closeWhenIdle: (id) => then(load.closeWhenIdle(id)),
      close: (id) => then(load.close(id)),
      open: (id) => then(load.open(id)),
      inFlight: (id) => then(load.inFlight(id)),
      activity: (id) => then(load.activity(id)),
    };
  }

  /** Whoever reads that it is started finds its slot open, and nobody who reads anything else. */
  #onChange(record: MachineRecord): void {
    const isKnown = this.#known.has(record.id);
    this.#known.add(record.id);
    this.#catalog.setMachine(record);
    const isOpen = [...this.#catalog.slotsOf(record.id)].every((slot) => !this.load.isClosed(slot));
    if (isKnown && isOpen !== (record.state === "started"))
      this.faults.push(`${record.id} is ${record.state}, and ${isOpen ? "open" : "shut"}`);
  }

  #deliver(): void {
    for (const { inbox } of this.workers) for (const arrival of inbox.splice(0)) arrival();
  }

  #driver(): Driver {
    const { port } = this.#port.address() as AddressInfo;
    const address = { host: "127.0.0.1", port };
    let launches = 0;
    const asked = (what: string, { id }: LaunchSpec): Promise<VirtualMachine> =>
      new Promise((resolve) => void this.pending.push({ name: `${what} ${id}`, finish: () => resolve(this.machines.get(id)!) }));
    /** It must not be under anybody that it is put to sleep. */
    const expectEmpty = (what: string, { id }: LaunchSpec): void => {
      const { visits } = this.machines.get(id)!;
      if (visits.size > 0 || this.inFlight(id) > 0)
        this.faults.push(`${what} ${id} under ${visits.size} connections, ${this.inFlight(id)} places`);
    };
    return {
      name: "process",
      canStart: true,
      canSuspend: true,
      start: async (machine): Promise<Launched> => {
        const one = await asked("start", machine);
        if (this.broken.start) throw new ProxyError("spawn_failed", "no space left");
        one.isUp = true;
        one.isFrozen = false;
        const addresses = Object.fromEntries(machine.internalPorts.map((internal) => [internal, address]));
        return { handle: { launch: ++launches }, addresses, pid: launches };
      },
      suspend: async (machine) => {
        expectEmpty("suspend", machine);
        const one = await asked("suspend", machine);
        expectEmpty("suspended", machine);
        if (this.broken.suspend) throw new ProxyError("not_supported", "it cannot be frozen");
        one.isFrozen = true;
      },
      resume: async (machine) => {
        const one = await asked("resume", machine);
        if (this.broken.resume || !one.isUp) throw new ProxyError("machine_state", "it is gone");
        one.isFrozen = false;
      },
      stop: async (machine) => {
        expectEmpty("stop", machine);
        const one = await asked("stop", machine);
        expectEmpty("stopped", machine);
        one.isUp = one.isFrozen = false;
      },
      adopt: async (): Promise<Adopted | null> => null,
      close: async () => {},
    };
  }
}
