// Hot path. Claims a place on the best machine that has one, or says why there is none. Reference section 3.1, DESIGN Routing.

import { CLAIMED, NO_LIMIT, type LoadTable } from "../catalog/load-table.ts";
import type { Candidate, Ranked } from "./rank.ts";

/**
 * - asleep: nothing can take the request now, but a machine can be woken or is on its way
 * - full: every machine is at its hard limit
 * - unhealthy: machines run, but they fail their checks or failed this request, and none can be woken
 * - none: there is no machine at all
 */
export type Refusal = "asleep" | "full" | "unhealthy" | "none";

export interface Balanced<Machine extends Candidate> {
  readonly ranked: Ranked<Machine>;
  readonly softLimit: number;
  readonly hardLimit: number | null;
}

/** What one worker's choices are made with. */
export interface BalancerOptions {
  readonly load: LoadTable;
  /** A number in [0, 1). */
  readonly random: () => number;
}

export class Balancer {
  readonly #load: LoadTable;
  readonly #random: () => number;

  constructor(options: BalancerOptions) {
    this.#load = options.load;
    this.#random = options.random;
  }

  /**
   * Claims a place on a machine of the service; give it back with `release`. The nearest region with room wins: there a machine
   * below its soft limit, of two picked at random the less loaded one, or else the least loaded one below the hard limit. Soft
   * limits never send traffic to another region.
   *
   * @param tried machines that failed this request already
   */
  claim<Machine extends Candidate>(service: Balanced<Machine>, tried: readonly Machine[] | null): Machine | Refusal {
    const { groups, hasWakeable, hasStarting, unhealthy } = service.ranked;
    const hardLimit = service.hardLimit ?? NO_LIMIT;
    let isFull = false;
    let isShut = false;
    for (let g = 0; g < groups.length; g++) {
      const group = groups[g]!;
      for (;;) {
        const machine = this.#pick(group, service.softLimit, hardLimit, tried);
        if (machine === null) break;
        // If another worker took the last place, or the machine went to sleep, between looking and claiming: look again.
        if (this.#load.claim(machine.slot, hardLimit) === CLAIMED) return machine;
      }
      for (let i = 0; i < group.length; i++) {
        const machine = group[i]!;
        if (isTried(machine, tried)) continue;
        // Whatever is not shut had no place a moment ago; if it has one now, whoever waits finds it when looking once more.
        if (this.#load.isClosed(machine.slot)) isShut = true;
        else isFull = true;
      }
    }
    if (isFull) return "full";
    if (isShut || hasWakeable || hasStarting) return "asleep";
    return unhealthy > 0 ? "unhealthy" : "none";
  }

  /** Is a machine at or above its soft limit, counting the request that just claimed a place? */
  isBusy(machine: Candidate, softLimit: number): boolean {
    return this.#load.count(machine.slot) >= softLimit;
  }

  release(machine: Candidate): void {
    this.#load.release(machine.slot);
  }

  #pick<Machine extends Candidate>(
    group: readonly Machine[],
    softLimit: number,
    hardLimit: number,
    tried: readonly Machine[] | null,
  ): Machine | null {
    if (group.length === 1) return this.#hasRoom(group[0]!, hardLimit, tried) ? group[0]! : null;
    const index = Math.floor(this.#random() * group.length);
    const step = 1 + Math.floor(this.#random() * (group.length - 1));
    const first = group[index]!;
    const second = group[(index + step) % group.length]!;
    const better = this.#load.count(second.slot) < this.#load.count(first.slot) ? second : first;
    if (this.#hasRoom(better, Math.min(softLimit, hardLimit), tried)) return better;
    return this.#leastLoaded(group, hardLimit, tried);
  }

  #leastLoaded<Machine extends Candidate>(group: readonly Machine[], limit: number, tried: readonly Machine[] | null): Machine | null {
    let best: Machine | null = null;
    let bestCount = Infinity;
    for (let i = 0; i < group.length; i++) {
      const machine = group[i]!;
      const count = this.#load.count(machine.slot);
      if (count >= bestCount || !this.#hasRoom(machine, limit, tried)) continue;
      best = machine;
      bestCount = count;
    }
    return best;
  }

  #hasRoom<Machine extends Candidate>(machine: Machine, limit: number, tried: readonly Machine[] | null): boolean {
    if (isTried(machine, tried)) return false;
    return !this.#load.isClosed(machine.slot) && this.#load.count(machine.slot) < limit;
  }
}

/** By slot, since the machine may have become another object of a newer entry meanwhile. */
function isTried(machine: Candidate, tried: readonly Candidate[] | null): boolean {
  if (tried === null) return false;
  for (let i = 0; i < tried.length; i++) if (tried[i]!.slot === machine.slot) return true;
  return false;
}
