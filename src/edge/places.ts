// Hot path. Gives back a place on a machine, and lets in one of those who wait for it.

import type { LoadTable } from "../catalog/load-table.ts";
import type { Balancer } from "../routing/balancer.ts";
import type { Gate } from "../wake/gate.ts";
import type { EdgeMachine, EdgeService } from "./edge-app.ts";

export interface PlacesOptions {
  readonly balancer: Balancer;
  readonly gate: Gate;
  readonly load: LoadTable;
  /** A number in [0, 1). */
  readonly random: () => number;
}

export class Places {
  readonly #options: PlacesOptions;

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  release(service: EdgeService, machine: EdgeMachine): void {
    this.#options.balancer.release(machine);
    if (service.hardLimit !== null) this.#passOn(service);
  }

  /**
   * A place became free: it goes to the worker of one who waits, drawn among all of them. If each worker served its own first, those of
   * the others would wait for as long as there is load.
   */
  #passOn(service: EdgeService): void {
    const { gate, load, random } = this.#options;
    const waiting = load.count(service.waitSlot);
    if (waiting === 0) return;
    const isOurs = random() * waiting < load.held(service.waitSlot);
    if (isOurs) gate.onReleased(service);
    if (!isOurs || !gate.isHolding(service)) load.signal(service.waitSlot);
  }
}
