// Hot path. Claims a place on the best machine that has one, or says why there is none. Reference section 3.1, DESIGN Routing.

import { CLAIMED, MAX_SLOTS, NO_LIMIT, type LoadTable } from "../catalog/load-table.ts";
import type { Candidate, Look, Ranked } from "./rank.ts";
import { ResponseTimes } from "./response-times.ts";
import { WarmUp } from "./warm-up.ts";

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
  /** Milliseconds of a clock that may be coarse but goes forward. */
  readonly now: () => number;
}

/**
 * The most machines of a group that are looked at for one request, unless it cannot be known otherwise that there is no place. In a larger
 * group that is busy through and through, one that falls below its soft limit on another worker may be found some requests later.
 */
const MOST_LOOKS = 32;

export class Balancer {
  readonly #load: LoadTable;
  readonly #random: () => number;
  readonly #now: () => number;
  readonly #times = new ResponseTimes();
  readonly #warmUp = new WarmUp();
  /** By slot: where in its group the machine was when it was chosen last. */
  readonly #indexes = new Int32Array(MAX_SLOTS);
  /** Slot on which a place was given back last. */
  #freed = 0;

  constructor(options: BalancerOptions) {
    this.#load = options.load;
    this.#random = options.random;
    this.#now = options.now;
  }

  /**
   * Claims a place on a machine of the service; give it back with `release`. The nearest group with room wins. In it a machine below its
   * soft limit: of two picked at random the one with less to do (what is in flight, times how long it takes to answer), or with "pack" the
   * first. Otherwise the one below the hard limit that has least to do. Soft limits never send traffic to another region; with
   * "local-preferred" what leaves home goes to a group below its soft limit first.
   *
   * @param tried machines that failed this request already
   */
  claim<Machine extends Candidate>(service: Balanced<Machine>, tried: readonly Machine[] | null): Machine | Refusal {
    const { groups, looks, homeGroups, reach } = service.ranked;
    const atHome = this.#claimIn(service, 0, homeGroups, false, tried);
    if (atHome !== null) return atHome;
    if (homeGroups < reach) {
      // One that is about to sleep is woken again.
      if (this.#refusal(groups, homeGroups, tried) === "asleep") return "asleep";
      const away = this.#claimIn(service, homeGroups, reach, true, tried) ?? this.#claimIn(service, homeGroups, reach, false, tried);
      if (away !== null) return away;
    }
    if (forgetFull(looks, reach)) {
      const missed = this.#claimIn(service, 0, reach, false, tried);
      if (missed !== null) return missed;
    }
    const { hasWakeable, hasStarting, unhealthy } = service.ranked;
    const refusal = this.#refusal(groups, reach, tried);
    if (refusal !== null) return refusal;
    if (hasWakeable || hasStarting) return "asleep";
    return unhealthy > 0 ? "unhealthy" : "none";
  }

  /** Is a machine at or above its soft limit, counting the request that just claimed a place? */
  isBusy(machine: Candidate, softLimit: number): boolean {
    return this.#load.count(machine.slot) >= softLimit;
  }

  release(machine: Candidate): void {
    this.#load.release(machine.slot);
    this.#freed = machine.slot;
  }

  /** The machine has answered: so long after it was asked, or connected to. */
  observe(machine: Candidate, ms: number): void {
    this.#times.observe(machine.slot, ms, this.#now());
  }

  /** Machines of a service as they are now known, whenever that changes: those that have just woken are not overrun. */
  learn(machines: readonly Candidate[]): void {
    const nowMs = this.#now();
    for (const { slot, state } of machines) this.#warmUp.learn(slot, state, nowMs);
  }

  #claimIn<Machine extends Candidate>(
    { ranked, softLimit, hardLimit }: Balanced<Machine>,
    from: number,
    to: number,
    onlyBelowSoft: boolean,
    tried: readonly Machine[] | null,
  ): Machine | null {
    const hard = hardLimit ?? NO_LIMIT;
    const soft = Math.min(softLimit, hard);
    for (let g = from; g < to; g++) {
      const group = ranked.groups[g]!;
      for (;;) {
        const index = this.#choose(ranked, g, soft, hard, tried);
        if (index === -1) break;
        const machine = group[index]!;
        if (onlyBelowSoft && this.#load.taken(machine.slot) >= soft) break;
        // If another worker took the last place, or the machine went to sleep, between looking and claiming: look again.
        if (this.#load.claim(machine.slot, hard) !== CLAIMED) continue;
        this.#indexes[machine.slot] = index;
        return machine;
      }
    }
    return null;
  }

  /** Index of the best machine of a group; -1 when none has room. */
  #choose(ranked: Ranked<Candidate>, g: number, soft: number, hard: number, tried: readonly Candidate[] | null): number {
    const look = ranked.looks[g]!;
    if (look.slots.length === 1) return this.#hasRoom(look, 0, hard, tried) ? 0 : -1;
    const index =
      ranked.balance === "pack" ? this.#first(look, soft, tried) : this.#betterOfTwo(look, soft, tried, ranked.balance === "closest");
    if (index === -1) return this.#search(look, soft, hard, tried);
    look.isSaturated = look.isFull = false;
    return index;
  }

  #betterOfTwo(look: Look, soft: number, tried: readonly Candidate[] | null, isTimed: boolean): number {
    const { slots } = look;
    const { length } = slots;
    const first = Math.floor(this.#random() * length);
    const second = (first + 1 + Math.floor(this.#random() * (length - 1))) % length;
    if (!this.#hasRoom(look, first, soft, tried)) return this.#hasRoom(look, second, soft, tried) ? second : -1;
    if (!this.#hasRoom(look, second, soft, tried)) return first;
    const nowMs = this.#now();
    const firstShare = this.#warmUp.share(slots[first]!, nowMs);
    const secondShare = this.#warmUp.share(slots[second]!, nowMs);
    if (firstShare !== secondShare) {
      const isFirstColder = firstShare < secondShare;
      const share = isFirstColder ? firstShare / secondShare : secondShare / firstShare;
      if (this.#random() >= share) return isFirstColder ? second : first;
    }
    const firstMs = isTimed ? this.#times.of(slots[first]!, nowMs) : 0;
    const secondMs = isTimed ? this.#times.of(slots[second]!, nowMs) : 0;
    return hasLessToDo(this.#load.taken(slots[second]!), secondMs, this.#load.taken(slots[first]!), firstMs) ? second : first;
  }

  /** The first one below its soft limit, as far as that can be known in a large group. */
  #first(look: Look, soft: number, tried: readonly Candidate[] | null): number {
    const { length } = look.slots;
    let from = 0;
    if (length > MOST_LOOKS) {
      from = look.cursor;
      // Those before it were busy. Places that others gave back are come upon by chance.
      const freed = this.#freedIndex(look);
      if (freed !== -1 && freed < from && this.#hasRoom(look, freed, soft, tried)) from = freed;
      const before = Math.floor(this.#random() * from);
      if (this.#hasRoom(look, before, soft, tried)) from = before;
    }
    const to = Math.min(length, from + MOST_LOOKS);
    for (let index = from; index < to; index++) {
      if (!this.#hasRoom(look, index, soft, tried)) continue;
      look.cursor = index;
      return index;
    }
    return -1;
  }

  /** One below its soft limit, or else the one below the hard limit that has least to do; -1 when there is none. */
  #search(look: Look, soft: number, hard: number, tried: readonly Candidate[] | null): number {
    const { slots } = look;
    const { length } = slots;
    const nowMs = this.#now();
    let best = this.#freedIndex(look);
    if (best !== -1 && !this.#hasRoom(look, best, hard, tried)) best = -1;
    let bestTaken = best === -1 ? 0 : this.#load.taken(slots[best]!);
    let bestMs = best === -1 ? 0 : this.#times.of(slots[best]!, nowMs);
    if (best !== -1 && bestTaken < soft) return best;
    let index = look.cursor;
    let looks = 0;
    while (looks < length && (looks < MOST_LOOKS || !look.isSaturated || (best === -1 && !look.isFull))) {
      const slot = slots[index]!;
      const taken = this.#load.taken(slot);
      if (taken < hard && (tried === null || !isTried(slot, tried))) {
        if (taken < soft) {
          look.cursor = index;
          return index;
        }
        const ms = this.#times.of(slot, nowMs);
        if (best === -1 || hasLessToDo(taken, ms, bestTaken, bestMs)) {
          best = index;
          bestTaken = taken;
          bestMs = ms;
        }
      }
      looks++;
      index = index + 1 === length ? 0 : index + 1;
    }
    look.cursor = index;
    if (looks === length) look.isSaturated = true;
    if (best !== -1) look.isFull = false;
    else if (looks === length) look.isFull = true;
    return best;
  }

  /** Where in the group the machine is on which a place was given back last; -1 when it is of another one. */
  #freedIndex({ slots }: Look): number {
    const index = this.#indexes[this.#freed]!;
    return index < slots.length && slots[index] === this.#freed ? index : -1;
  }

  #hasRoom({ slots }: Look, index: number, limit: number, tried: readonly Candidate[] | null): boolean {
    const slot = slots[index]!;
    return this.#load.taken(slot) < limit && (tried === null || !isTried(slot, tried));
  }

  /** Why none of the first groups took a request; null when there is no machine in them. */
  #refusal(groups: readonly (readonly Candidate[])[], to: number, tried: readonly Candidate[] | null): "full" | "asleep" | null {
    let isShut = false;
    for (let g = 0; g < to; g++) {
      const group = groups[g]!;
      for (let i = 0; i < group.length; i++) {
        const { slot } = group[i]!;
        if (tried !== null && isTried(slot, tried)) continue;
        // Whatever is not shut had no place a moment ago; if it has one now, whoever waits finds it when looking once more.
        if (!this.#load.isClosed(slot)) return "full";
        isShut = true;
      }
    }
    return isShut ? "asleep" : null;
  }
}

/** Of one machine against another. One whose times are not known (0) is taken to answer as soon as the other. */
function hasLessToDo(taken: number, ms: number, otherTaken: number, otherMs: number): boolean {
  return ms === 0 || otherMs === 0 ? taken < otherTaken : (taken + 1) * ms < (otherTaken + 1) * otherMs;
}

/** By slot, since the machine may have become another object of a newer entry meanwhile. */
function isTried(slot: number, tried: readonly Candidate[]): boolean {
  for (let i = 0; i < tried.length; i++) if (tried[i]!.slot === slot) return true;
  return false;
}

/** Nobody is refused by what was so a while ago. True: some group has to be looked through once more. */
function forgetFull(looks: readonly Look[], to: number): boolean {
  let hasForgotten = false;
  for (let g = 0; g < to; g++) {
    const look = looks[g]!;
    if (!look.isFull || look.slots.length <= MOST_LOOKS) continue;
    look.isFull = false;
    hasForgotten = true;
  }
  return hasForgotten;
}
