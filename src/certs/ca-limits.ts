// How much an authority is asked for. Its own 429 has the last word; these are to hear it seldom. Both are kept by each node for itself, from
// what the store tells all of them.

import { registeredDomain } from "./public-name.ts";

const WEEK_MS = 7 * 86_400_000;
/** How often a directory in trouble is tried, unless it named a time itself. */
const TRY_EVERY_MS = 60_000;
const LONGEST_PAUSE_MS = 15 * 60_000;
/** One name may be to blame for its failure; two in a row are not. */
const NAMES_IN_TROUBLE = 2;

/** New names under each registered domain within a week. Renewals do not count: authorities let them pass. */
export class WeeklyLimit {
  readonly #limit: number;
  readonly #orderedAtMs = new Map<string, number[]>();

  /** @param limit 0: none */
  constructor(limit: number, firstOrders: Iterable<{ readonly name: string; readonly atMs: number }>, nowMs: number) {
    this.#limit = limit;
    if (limit === 0) return;
    for (const { name, atMs } of firstOrders) if (atMs > nowMs - WEEK_MS) this.#list(name).push(atMs);
    for (const list of this.#orderedAtMs.values()) list.sort((a, b) => a - b);
  }

  /** From when on one more name of this domain may be ordered. */
  freeAtMs(name: string): number {
    const list = this.#orderedAtMs.get(registeredDomain(name)) ?? [];
    return this.#limit === 0 || list.length < this.#limit ? -Infinity : list[list.length - this.#limit]! + WEEK_MS;
  }

  /** A new name is on its way. */
  add(name: string, nowMs: number): void {
    if (this.#limit !== 0) this.#list(name).push(nowMs);
  }

  #list(name: string): number[] {
    const domain = registeredDomain(name);
    let list = this.#orderedAtMs.get(domain);
    if (list === undefined) this.#orderedAtMs.set(domain, (list = []));
    return list;
  }
}

/**
 * Whether a directory is well enough to be asked. While it is not, one order a minute finds out when it is again, and no other name
 * collects failures that are not its own.
 */
export class DirectoryPace {
  /** Names that it failed since it last gave a sensible answer. */
  readonly #failed = new Set<string>();
  #opensAtMs = -Infinity;

  /** From when on an order may begin. */
  get opensAtMs(): number {
    return this.#failed.size < NAMES_IN_TROUBLE ? -Infinity : this.#opensAtMs;
  }

  onStart(nowMs: number): void {
    this.#opensAtMs = Math.max(this.#opensAtMs, nowMs + TRY_EVERY_MS);
  }

  /** It issued a certificate, or refused one with reasons. */
  onAnswer(): void {
    this.#failed.clear();
    this.#opensAtMs = -Infinity;
  }

  /** It could not be reached, or sent a name away unheard. */
  onTrouble(name: string, retryAfterMs: number | null, nowMs: number): void {
    this.#failed.add(name);
    this.#opensAtMs = Math.max(this.#opensAtMs, nowMs + Math.min(retryAfterMs ?? TRY_EVERY_MS, LONGEST_PAUSE_MS));
  }
}

/** The same for a directory and, since most of its limits are by registered domain, for each of those. */
export class AuthorityPace {
  readonly #whole = new DirectoryPace();
  readonly #domains = new Map<string, DirectoryPace>();

  /** From when on an order of this name may begin. */
  opensAtMs(name: string): number {
    return Math.max(this.#whole.opensAtMs, this.#domains.get(registeredDomain(name))?.opensAtMs ?? -Infinity);
  }

  onStart(name: string, nowMs: number): void {
    this.#whole.onStart(nowMs);
    this.#domains.get(registeredDomain(name))?.onStart(nowMs);
  }

  onAnswer(name: string): void {
    this.#whole.onAnswer();
    this.#domains.delete(registeredDomain(name));
  }

  /** It could not be reached. */
  onAway(name: string, retryAfterMs: number, nowMs: number): void {
    this.#whole.onTrouble(name, retryAfterMs, nowMs);
  }

  /** It sent a name away unheard. Its `Retry-After` is that name's own; others of the domain try one by one, and all when domains differ. */
  onLimited(name: string, nowMs: number): void {
    const domain = registeredDomain(name);
    let pace = this.#domains.get(domain);
    if (pace === undefined) this.#domains.set(domain, (pace = new DirectoryPace()));
    pace.onTrouble(name, null, nowMs);
    this.#whole.onTrouble(domain, null, nowMs);
  }
}
