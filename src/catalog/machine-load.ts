// The load table seen by machine instead of by slot: a machine that several services lead to has a slot for each.

import type { LoadTable } from "./load-table.ts";

export class MachineLoad {
  readonly #load: LoadTable;
  readonly #slotsOf: (machineId: string) => Iterable<number>;

  constructor(load: LoadTable, slotsOf: (machineId: string) => Iterable<number>) {
    this.#load = load;
    this.#slotsOf = slotsOf;
  }

  /** Refuses new claims on all of the machine's slots if nothing is in flight on any; otherwise changes nothing. */
  closeWhenIdle(machineId: string): boolean {
    const closed: number[] = [];
    for (const slot of this.#slotsOf(machineId)) {
      if (this.#load.isClosed(slot) && this.#load.count(slot) === 0) continue;
      if (!this.#load.closeWhenIdle(slot)) {
        for (const other of closed) this.#load.open(other);
        return false;
      }
      closed.push(slot);
    }
    return true;
  }

  close(machineId: string): void {
    for (const slot of this.#slotsOf(machineId)) this.#load.close(slot);
  }

  open(machineId: string): void {
    for (const slot of this.#slotsOf(machineId)) this.#load.open(slot);
  }

  inFlight(machineId: string): number {
    let sum = 0;
    for (const slot of this.#slotsOf(machineId)) sum += this.#load.count(slot);
    return sum;
  }

  activity(machineId: string): number {
    let sum = 0;
    for (const slot of this.#slotsOf(machineId)) sum = (sum + this.#load.activity(slot)) | 0;
    return sum;
  }
}
