// The record of one machine: every change of it is told to the listeners and written to the store from here, and from nowhere else.

import type { Logger } from "pino";

import type { MachineRecord } from "../core/machine.ts";
import type { MachinePlan } from "./machine-plan.ts";
import type { RecordJournal } from "./record-journal.ts";
import { encodeMachine, machineKey, type StoredMachine } from "./stored-machine.ts";

export interface PublishedRecordOptions {
  readonly node: string;
  readonly journal: RecordJournal;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Must not throw. */
  onChange(record: MachineRecord): void;
}

/** The fields of a machine of which nothing runs. */
export const GONE = { state: "stopped", handle: null, pid: null } as const;

export class PublishedRecord {
  readonly log: Logger;
  /** With what the machine was launched last: its plan may have changed since. */
  launched: MachinePlan;
  readonly #options: PublishedRecordOptions;
  #value: MachineRecord;

  /** @param stored what an earlier node wrote about it; null for a new machine */
  constructor(plan: MachinePlan, stored: StoredMachine | null, options: PublishedRecordOptions) {
    const { id, app, name, group, region } = plan.launch;
    this.#options = options;
    this.launched = plan;
    this.log = options.log.child({ app, machine: id, region });
    this.#value = {
      id,
      app,
      name,
      group,
      region,
      node: options.node,
      state: stored?.state ?? "created",
      health: this.#freshHealth(),
      checks: [],
      cordoned: stored?.cordoned ?? false,
      addresses: stored?.addresses ?? {},
      pid: stored?.pid ?? null,
      handle: stored?.handle ?? null,
      configHash: stored?.configHash ?? plan.configHash,
      changedAtMs: stored?.changedAtMs ?? options.now(),
      reason: stored?.reason ?? "",
    };
  }

  get value(): MachineRecord {
    return this.#value;
  }

  /** Applies the change and publishes. A change of state makes every verdict on its health void. */
  change(change: Partial<MachineRecord>): void {
    const moved = change.state !== undefined && change.state !== this.#value.state;
    const news = moved ? { changedAtMs: this.#options.now(), health: this.#freshHealth(), checks: [] } : {};
    this.#value = { ...this.#value, ...news, ...change };
    this.publish();
  }

  publish(): void {
    this.#options.onChange(this.#value);
    this.#options.journal.write(machineKey(this.#value), encodeMachine(this.#value, this.launched));
  }

  /** Forgets it in the store. */
  forget(): void {
    this.#options.journal.write(machineKey(this.#value), null);
  }

  /** Waits, but not for long, until the store has what was published. */
  async stored(boundMs: number): Promise<void> {
    await this.#options.journal.flushed(boundMs);
  }

  #freshHealth(): MachineRecord["health"] {
    return this.launched.hasChecks ? "unknown" : "passing";
  }
}
