// The host: what this node runs. It keeps one HostedMachine for each machine of its apps, brings them in line with the config, finds
// them again after a restart, and is the single writer of their records. Everything else asks it by app and id.

import type { Logger } from "pino";

import type { App, DriverName } from "../core/app.ts";
import type { BackoffOptions } from "../core/backoff.ts";
import { ProxyError } from "../core/errors.ts";
import type { CheckResult, Health, MachineRecord } from "../core/machine.ts";
import type { Driver, DriverEvents, MachineExit } from "./driver.ts";
import { HostedMachine, type HostedMachineOptions, type Started, type StartOptions } from "./hosted-machine.ts";
import type { LoadControl } from "./load-control.ts";
import { planMachines, type MachinePlan } from "./machine-plan.ts";
import { RecordJournal, type RecordStore } from "./record-journal.ts";
import { CrashHistory } from "./restart-policy.ts";
import { decodeMachine, machineKey, machinesPrefix, orphanSpec, type StoredMachine } from "./stored-machine.ts";

export interface HostOptions {
  readonly node: string;
  readonly drivers: ReadonlyMap<DriverName, Driver>;
  readonly store: RecordStore;
  readonly load: LoadControl;
  readonly log: Logger;
  /** Synchronous, in the order in which things happen; must not throw. */
  readonly onChange: (record: MachineRecord) => void;
  readonly onRemoved: (app: string, id: string) => void;
  /** A machine with load is about to sleep or to end: its WebSockets should be ended in their own language. Default: nobody does. */
  readonly onLeaving?: (machineId: string) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: () => number;
  /** How long requests in flight may hold up a stop, a suspend or a restart. @default 30 s */
  readonly drainMs?: number;
  /** Between a crash and the next start. @default 100 ms to 10 s */
  readonly backoff?: BackoffOptions;
  /** What machines are told as FLY_PRIVATE_IP. @default 127.0.0.1 */
  readonly privateAddress?: string;
}

export interface CloseOptions {
  /** true: machines run on, and the next node adopts them. false: all are ended. */
  readonly keepMachines: boolean;
}

const DEFAULT_DRAIN_MS = 30_000;
const DEFAULT_BACKOFF: BackoffOptions = { minMs: 100, maxMs: 10_000 };
const CLOSE_FLUSH_MS = 2000;

export class Host implements DriverEvents {
  readonly #options: HostOptions;
  readonly #journal: RecordJournal;
  readonly #machineOptions: HostedMachineOptions;
  readonly #log: Logger;
  /** By id: ids are unique on a node. */
  readonly #machines = new Map<string, HostedMachine>();
  /** Machines that must not sleep and were started for it: one that ended since, or was stopped by hand, stays as it is. */
  readonly #broughtUp = new Set<string>();
  #applied: readonly App[] = [];

  constructor(options: HostOptions) {
    const { store, log, random, node, load, onChange } = options;
    this.#options = options;
    this.#log = log;
    this.#journal = new RecordJournal(store, log, random);
    this.#machineOptions = {
      node,
      load,
      journal: this.#journal,
      log,
      drainMs: options.drainMs ?? DEFAULT_DRAIN_MS,
      now: options.now,
      onChange,
      onRemoved: (app, id) => {
        this.#machines.delete(id);
        options.onRemoved(app, id);
      },
      onLeaving: options.onLeaving ?? (() => {}),
    };
  }

  /** All machines of this node, or those of one app, in the order in which they were first seen. */
  machines(app?: string): MachineRecord[] {
    const records = [...this.#machines.values()].map((machine) => machine.record);
    return app === undefined ? records : records.filter((record) => record.app === app);
  }

  machine(app: string, id: string): MachineRecord | undefined {
    const record = this.#machines.get(id)?.record;
    return record?.app === app ? record : undefined;
  }

  /**
   * At boot, before `applyApps`: finds the machines that an earlier node left running, and ends those whose app or entry is gone
   * meanwhile. Resolves when all are known; adopted ones are published as started once their port accepts. Never rejects.
   */
  async adopt(apps: readonly App[]): Promise<void> {
    const stored = await this.#storedMachines();
    const plans = this.#plan(apps);
    for (const machine of stored.values()) {
      const plan = plans.get(machine.id);
      if (plan?.launch.app === machine.app && plan.driver.name === machine.launch.driver) continue;
      stored.delete(machine.id);
      await this.#endOrphan(machine);
    }
    const adoptions = [...plans.values()].map(async (plan) => {
      const known = stored.get(plan.launch.id) ?? null;
      await this.#add(plan, known).adopt(known);
    });
    await Promise.all(adoptions);
  }

  /**
   * Makes the machines those of `apps`: new ones are recorded, and started where they must not sleep; removed ones drain and end;
   * changed ones are started anew after their requests in flight, if they ran. What has not changed is not touched. Resolves when all
   * that is done; failures are in the records and in the log. Never rejects.
   */
  async applyApps(apps: readonly App[]): Promise<void> {
    this.#applied = apps;
    const plans = this.#plan(apps);
    const work: Promise<unknown>[] = [];
    for (const machine of this.#machines.values()) if (!isPlanned(machine, plans)) work.push(this.#remove(machine));
    let moved = false;
    for (const [id, plan] of plans) {
      const known = this.#machines.get(id);
      if (known !== undefined && known.record.app !== plan.launch.app) {
        moved = true;
        continue;
      }
      const machine = known ?? this.#add(plan, null);
      if (known === undefined) machine.publish();
      else work.push(machine.apply(plan));
      if (this.#mustBringUp(plan)) work.push(machine.start());
    }
    // The machines have recorded and logged their failures already.
    await Promise.allSettled(work);
    // An id that went from one app to another is free only now.
    if (moved && this.#applied === apps) await this.applyApps(apps);
  }

  /** Starts or resumes a machine, or joins the start under way. Errors: see HostedMachine. */
  async start(app: string, id: string, options?: StartOptions): Promise<Started> {
    return await this.#find(app, id).start(options);
  }

  async stop(app: string, id: string): Promise<MachineRecord> {
    return await this.#find(app, id).stop();
  }

  async suspend(app: string, id: string): Promise<MachineRecord> {
    return await this.#find(app, id).suspend();
  }

  /** Puts a machine to sleep; false if it stays awake. See HostedMachine. */
  async sleep(app: string, id: string, how: "stop" | "suspend", isIdle: boolean): Promise<boolean> {
    return await this.#find(app, id).sleep(how, isIdle);
  }

  /** How long its crashes keep a machine from being started; 0: not at all. */
  startableInMs(app: string, id: string): number {
    return this.#find(app, id).startableInMs();
  }

  setCordoned(app: string, id: string, cordoned: boolean): void {
    this.#find(app, id).setCordoned(cordoned);
  }

  /** The verdict on a machine's checks; one that comes too late is dropped. */
  setHealth(machineId: string, health: Health, checks: readonly CheckResult[]): void {
    this.#machines.get(machineId)?.setHealth(health, checks);
  }

  onExit(machineId: string, exit: MachineExit): void {
    this.#machines.get(machineId)?.exited(exit);
  }

  onOutput(machineId: string, stream: "stdout" | "stderr", line: string): void {
    this.#machines.get(machineId)?.output(stream, line);
  }

  /** Ends all machines at once, or leaves them for the next node; then closes the drivers. The store stays open. */
  async close({ keepMachines }: CloseOptions): Promise<void> {
    await Promise.all([...this.#machines.values()].map((machine) => machine.close(keepMachines)));
    await this.#journal.close(CLOSE_FLUSH_MS);
    await Promise.all([...this.#options.drivers.values()].map((driver) => driver.close()));
  }

  #find(app: string, id: string): HostedMachine {
    const machine = this.#machines.get(id);
    if (machine?.record.app !== app) throw new ProxyError("machine_not_found", `app "${app}" has no machine "${id}"`);
    return machine;
  }

  #add(plan: MachinePlan, stored: StoredMachine | null): HostedMachine {
    const { backoff = DEFAULT_BACKOFF, random } = this.#options;
    const machine = new HostedMachine(plan, stored, new CrashHistory(backoff, random), this.#machineOptions);
    this.#machines.set(plan.launch.id, machine);
    return machine;
  }

  #remove(machine: HostedMachine): Promise<void> {
    this.#broughtUp.delete(machine.record.id);
    return machine.remove();
  }

  #mustBringUp({ alwaysOn, launch }: MachinePlan): boolean {
    if (!alwaysOn) {
      this.#broughtUp.delete(launch.id);
      return false;
    }
    if (this.#broughtUp.has(launch.id)) return false;
    this.#broughtUp.add(launch.id);
    return true;
  }

  /** By machine id. What cannot be run here is logged and left out. */
  #plan(apps: readonly App[]): Map<string, MachinePlan> {
    const { drivers, privateAddress = "127.0.0.1" } = this.#options;
    const plans = new Map<string, MachinePlan>();
    for (const app of apps) {
      const driver = drivers.get(app.driver);
      if (driver === undefined) {
        this.#log.error({ app: app.name, driver: app.driver }, "this node has no such driver, leaving the machines of the app alone");
        continue;
      }
      for (const plan of planMachines(app, driver, privateAddress)) {
        const { id } = plan.launch;
        const other = plans.get(id)?.launch.app;
        if (other === undefined) plans.set(id, plan);
        else this.#log.error({ app: app.name, machine: id, other }, "another machine has this id, leaving this one out");
      }
    }
    return plans;
  }

  async #storedMachines(): Promise<Map<string, StoredMachine>> {
    const stored = new Map<string, StoredMachine>();
    try {
      for (const { key, value } of await this.#options.store.list(machinesPrefix(this.#options.node))) {
        const machine = decodeMachine(value);
        if (machine === null) this.#log.warn({ key }, "stored machine cannot be read, going on without it");
        else if (machine.node === this.#options.node) stored.set(machine.id, machine);
      }
    } catch (error) {
      this.#log.error({ err: error }, "stored machines cannot be read; only what the drivers find by themselves is adopted");
    }
    return stored;
  }

  async #endOrphan(orphan: StoredMachine): Promise<void> {
    const driver = this.#options.drivers.get(orphan.launch.driver);
    const log = this.#log.child({ app: orphan.app, machine: orphan.id, region: orphan.region });
    try {
      // Without its driver nobody can tell whether it runs; the record stays until one can.
      if (driver === undefined) throw new ProxyError("not_supported", `this node has no driver "${orphan.launch.driver}"`);
      const found = driver.canStart ? await driver.adopt(orphanSpec(orphan), orphan.handle) : null;
      if (found !== null) await driver.stop(orphanSpec(orphan), found.handle);
      this.#journal.write(machineKey(orphan), null);
      log.info({ ran: found !== null }, "machine is no longer declared, removed");
    } catch (error) {
      log.error({ err: error }, "machine is no longer declared, but cannot be ended");
    }
  }
}

function isPlanned(machine: HostedMachine, plans: ReadonlyMap<string, MachinePlan>): boolean {
  return plans.get(machine.record.id)?.launch.app === machine.record.app;
}
