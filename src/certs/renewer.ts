// Who gets a certificate of an ACME authority, and when: every name that apps declare and that can have one, ordered when it has none and
// renewed when it is due, a few at a time, those first that a client waits for. One turn of one name is take-turn.ts's; when it is due,
// renewal-plan.ts's. Works on every node alike: the lease of a name decides which of them does it.

import { Alarm, type StartTimer } from "../core/alarm.ts";
import type { Component } from "../core/component.ts";
import { ProxyError } from "../core/errors.ts";
import { logFailure } from "../telemetry/log.ts";
import { AuthorityPace, WeeklyLimit } from "./ca-limits.ts";
import { forgottenNames } from "./forgotten-names.ts";
import { Lanes, type Due } from "./lanes.ts";
import { NameRecords } from "./name-records.ts";
import { nextStep, type AttemptsRecord, type RenewalRecord, type Step } from "./renewal-plan.ts";
import { readAttempts, readRenewal } from "./renewal-records.ts";
import type { StoredCertificate } from "./stored-certificate.ts";
import { lifeOf, Turns, type TurnResult, type TurnsOptions, type TurnVault } from "./take-turn.ts";
import { WantedNames } from "./wanted-names.ts";
import { wildcardOf } from "./wildcard.ts";

export interface RenewerOptions extends Omit<TurnsOptions, "attempts" | "renewals" | "vault" | "now" | "random"> {
  readonly vault: RenewerVault;
  /** Names that apps declare now, canonical; wildcards begin with `*.`. */
  declared(): ReadonlySet<string>;
  /** Can the authority be asked for it? */
  isOrderable(name: string): boolean;
  /** New names under one registered domain within a week; 0: any number. */
  readonly newNamesPerWeek: number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly random?: () => number;
  readonly startTimer?: StartTimer;
  /** News come in crowds: so long is waited for the rest of one. Default: 100 ms, more where there are many names. */
  readonly settleMs?: number;
}

export interface RenewerVault extends TurnVault {
  /** Which certificate serves the name now. */
  serving(name: string): StoredCertificate | null;
  /** The name's own by ACME, expired or not. */
  acme(name: string): StoredCertificate | null;
  list(): readonly StoredCertificate[];
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const SETTLE_MS = 100;
/** Looking at ten thousand names takes a while: so many times that long is rested. */
const REST = 20;
/** When to look again at a name that another node is at: soon where a client waits. That node may have died. */
const BUSY = { wantedMs: 1000, minMs: 10_000, maxMs: 30_000 };
const PAUSE_MS = 10_000;
/** A certificate of a name that nobody declares is kept so long beyond its end: the app may come back. */
const KEEP_MS = 7 * DAY_MS;

export class Renewer implements Component {
  readonly name = "renewer";
  readonly #options: RenewerOptions;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #alarm: Alarm;
  readonly #attempts: NameRecords<AttemptsRecord>;
  readonly #renewals: NameRecords<RenewalRecord>;
  readonly #turns: Turns;
  readonly #pace = new AuthorityPace();
  readonly #lanes = new Lanes();
  readonly #wanted = new WantedNames();
  /** Not before this time, whatever else is known: another node is at it. */
  readonly #heldOff = new Map<string, number>();
  /** The same for all names: the store is away, or the secret. */
  #pausedUntilMs = -Infinity;
  #weekly: { readonly limit: WeeklyLimit; readonly madeAtMs: number } | null = null;
  #prunedAtMs = -Infinity;
  #lookTookMs = 0;
  /** Of `run`. */
  #signal: AbortSignal | null = null;

  constructor(options: RenewerOptions) {
    const { store, log, now = Date.now, random = Math.random } = options;
    this.#options = options;
    this.#now = now;
    this.#random = random;
    this.#alarm = new Alarm({ longestMs: HOUR_MS, now, startTimer: options.startTimer });
    const onChange = (): void => this.#wakeSoon();
    this.#attempts = new NameRecords({ store, prefix: "certs/attempts/", read: readAttempts, onChange, log });
    this.#renewals = new NameRecords({ store, prefix: "certs/renewals/", read: readRenewal, onChange, log });
    this.#turns = new Turns({ ...options, now, random, attempts: this.#attempts, renewals: this.#renewals });
  }

  /** Failures of the name's orders since the last that did not fail. */
  attempts(name: string): AttemptsRecord | null {
    return this.#attempts.get(name);
  }

  /** What is planned for the name's own certificate. */
  plan(name: string): RenewalRecord | null {
    return this.#renewals.get(name);
  }

  /** Declared names that no certificate serves, and when each is ordered, in milliseconds since the epoch; may be in the past. */
  get missing(): { readonly name: string; readonly atMs: number }[] {
    const names = [...this.#options.declared()].filter(
      (name) => this.#isOurs(name) && this.#orderedAs(name) === name && this.#options.vault.serving(name) === null,
    );
    return names.map((name) => ({ name, atMs: Math.max(this.#orderableFrom(name), this.#step(name).atMs) }));
  }

  /**
   * Resolves when there is a certificate for a name that has none, its own or that of a declared wildcard; however many wait, one is ordered.
   * Throws `certificate_unavailable` when that fails, or is not to be tried now.
   */
  async obtain(hostname: string): Promise<void> {
    const name = this.#orderedAs(hostname);
    if (!this.#wanted.has(name) && !this.#lanes.has(name)) this.#assertMayBeOrdered(name);
    await this.#want(name, false);
  }

  /** The same for a name that may have one: an operator wants a new one. Only the authority's own limits are heeded. */
  async renew(hostname: string): Promise<void> {
    if (!this.#isOurs(hostname)) {
      throw new ProxyError(
        "certificate_unavailable",
        `no app declares ${JSON.stringify(hostname)} as a name that an ACME authority can vouch for`,
      );
    }
    const attempts = this.#failed(hostname);
    if (attempts !== null && attempts.limitedUntilMs > this.#now()) throw refusal(attempts.error, attempts.limitedUntilMs);
    await this.#want(hostname, true);
  }

  /** Has the authority declare the name's certificate void, and orders another. Throws as `Turns.revoke`. */
  async revoke(hostname: string, reason: number): Promise<void> {
    if (this.#signal === null) throw new ProxyError("draining");
    await this.#turns.revoke(hostname, reason, this.#signal);
    // It was this that kept its lease.
    this.#heldOff.delete(hostname);
    this.#wakeSoon();
  }

  /** Other certificates serve some names now. */
  onCertificates(): void {
    const { vault } = this.#options;
    for (const name of this.#wanted.names)
      if (!this.#wanted.isForced(name) && vault.serving(name) !== null) this.#wanted.settle(name, null);
    this.#wakeSoon();
  }

  /** Other names are declared now. */
  onDeclared(): void {
    this.#wakeSoon();
  }

  /** Orders and renews until `signal` aborts. What is under way then is given up, and taken up by the next turn. */
  async run(signal: AbortSignal): Promise<void> {
    const broken = new AbortController();
    this.#signal = AbortSignal.any([signal, broken.signal]);
    const following = [this.#attempts, this.#renewals].map((records) => this.#follow(records, this.#signal!, broken));
    try {
      await Promise.race([Promise.all([this.#attempts.loaded, this.#renewals.loaded]), Promise.all(following)]);
      while (!this.#signal.aborted) {
        await this.#alarm.sleep(this.#look(), this.#signal);
      }
    } finally {
      broken.abort();
      await Promise.all([...following, this.#lanes.idle]);
      for (const name of this.#wanted.names) this.#wanted.settle(name, new ProxyError("draining"));
      this.#signal = null;
    }
    if (!signal.aborted) throw broken.signal.reason;
  }

  /** Never rejects: what went wrong ends `run`. */
  async #follow(records: NameRecords<object>, signal: AbortSignal, broken: AbortController): Promise<void> {
    try {
      await records.run(signal);
      if (!signal.aborted) throw new ProxyError("store_unavailable", "the state store was closed");
    } catch (error) {
      broken.abort(error);
    }
  }

  /** Puts in line what is due, and says when the next is. */
  #look(): number {
    const lookedMs = performance.now();
    const nowMs = this.#now();
    let nextMs = Infinity;
    const dues: Due[] = [];
    for (const name of new Set([...this.#wanted.names, ...this.#options.declared()])) {
      const due = this.#due(name);
      if (due === null) continue;
      if (due.atMs <= nowMs) dues.push(due);
      else nextMs = Math.min(nextMs, due.atMs);
    }
    this.#lanes.queue(dues, this.#random);
    this.#fill();
    this.#prune(nowMs);
    this.#lookTookMs = performance.now() - lookedMs;
    return nextMs;
  }

  /** null: there is nothing to do for it, or it is being done. */
  #due(name: string): Due | null {
    if (this.#lanes.has(name)) return null;
    const heldOffMs = Math.max(this.#heldOff.get(name) ?? -Infinity, this.#pausedUntilMs);
    const isBare = this.#options.vault.serving(name) === null;
    const isSuspect = this.#failed(name) !== null;
    if (this.#wanted.has(name)) {
      const isForced = this.#wanted.isForced(name);
      return { name, lane: isSuspect && !isForced ? "suspect" : "wanted", isForced, isBare, atMs: heldOffMs };
    }
    if (!this.#isOurs(name) || this.#orderedAs(name) !== name) return null;
    const { kind, atMs } = this.#step(name);
    if (kind === "plan") return { name, lane: "plan", isForced: false, isBare, atMs: Math.max(atMs, heldOffMs) };
    const lane = isSuspect ? "suspect" : "order";
    return { name, lane, isForced: false, isBare, atMs: Math.max(atMs, heldOffMs, this.#orderableFrom(name)) };
  }

  /** Starts what is in line, as far as there is room. Each turn that ends makes room. */
  #fill(): void {
    for (let name = this.#lanes.next(); name !== null; name = this.#lanes.next()) {
      // Much may have changed since it was put there.
      const due = this.#due(name);
      if (due === null || this.#signal?.aborted !== false) continue;
      if (due.atMs <= this.#now()) this.#start(due);
      else this.#alarm.wakeBy(due.atMs);
    }
  }

  #step(name: string): Step {
    const { vault } = this.#options;
    const own = vault.acme(name);
    const cover = vault.cover(name);
    return nextStep({
      own: own && this.#turns.knowledgeOf(own),
      cover: cover && lifeOf(cover),
      renewal: this.#renewals.get(name),
      attempts: this.#failed(name),
    });
  }

  /** Failures of orders with the authority of today. */
  #failed(name: string): AttemptsRecord | null {
    return this.#turns.ofToday(this.#attempts.get(name));
  }

  /** What the limits of the authority allow, and its state of health. */
  #orderableFrom(name: string): number {
    const weeklyMs = this.#isNew(name) ? this.#weeklyLimit().freeAtMs(name) : -Infinity;
    return Math.max(this.#pace.opensAtMs(name), weeklyMs);
  }

  #weeklyLimit(): WeeklyLimit {
    const nowMs = this.#now();
    if (this.#weekly === null || Math.abs(nowMs - this.#weekly.madeAtMs) > 1000) {
      const firsts = [...this.#renewals.entries()]
        .filter(([, { directory }]) => directory === this.#options.directory)
        .map(([name, { firstOrderedAtMs }]) => ({ name, atMs: firstOrderedAtMs }));
      this.#weekly = { limit: new WeeklyLimit(this.#options.newNamesPerWeek, firsts, nowMs), madeAtMs: nowMs };
      for (const name of this.#lanes.ordered) if (this.#isNew(name)) this.#weekly.limit.add(name, nowMs);
    }
    return this.#weekly.limit;
  }

  /** Has the authority never issued for it? */
  #isNew(name: string): boolean {
    return this.#options.vault.acme(name)?.directory !== this.#options.directory;
  }

  #isOurs(name: string): boolean {
    const { declared, isOrderable } = this.#options;
    return declared().has(name) && isOrderable(name);
  }

  /** A wildcard that an app declares spares the names below it their own orders, unless its own has failed. */
  #orderedAs(name: string): string {
    const wildcard = wildcardOf(name);
    if (wildcard === null || !this.#isOurs(wildcard) || this.#options.vault.acme(name) !== null) return name;
    return this.#failed(wildcard) === null ? wildcard : name;
  }

  #assertMayBeOrdered(name: string): void {
    const nowMs = this.#now();
    const attempts = this.#failed(name);
    if (attempts !== null && attempts.retryAtMs > nowMs) throw refusal(attempts.error, attempts.retryAtMs);
    if (this.#pausedUntilMs > nowMs) throw refusal("the state store, or its secret, is not there", this.#pausedUntilMs);
    const fromMs = this.#orderableFrom(name);
    if (fromMs > nowMs) throw refusal("the authority does not answer, or its limits are reached", fromMs);
  }

  #want(name: string, isForced: boolean): Promise<void> {
    const settled = this.#wanted.add(name, isForced);
    if (isForced) this.#heldOff.delete(name);
    this.#lanes.push(name);
    if (this.#signal !== null) this.#fill();
    return settled;
  }

  #start(due: Due): void {
    const { name, lane, isForced } = due;
    if (lane !== "plan") {
      const nowMs = this.#now();
      this.#pace.onStart(name, nowMs);
      if (this.#isNew(name)) this.#weeklyLimit().add(name, nowMs);
    }
    const turn = this.#turns.take(name, { isForced, signal: this.#signal! }).then(
      (result) => this.#onTurn(due, result),
      (error: unknown) => this.#onBroken(due, error),
    );
    this.#lanes.add(due, turn, () => {
      this.#fill();
      this.#wakeSoon();
    });
  }

  #onTurn(due: Due, result: TurnResult): void {
    const { name, lane } = due;
    const nowMs = this.#now();
    this.#heldOff.delete(name);
    if (result.kind === "issued") {
      this.#pace.onAnswer(name);
      return this.#wanted.settle(name, null);
    }
    if (result.kind === "busy") {
      const { wantedMs, minMs, maxMs } = BUSY;
      this.#heldOff.set(name, nowMs + (lane === "wanted" ? wantedMs : minMs + (maxMs - minMs) * this.#random()));
      return;
    }
    if (result.kind === "failed") {
      const { kind, limitedUntilMs } = result.attempts;
      if (kind === "limited") this.#pace.onLimited(name, nowMs);
      else if (result.isAway) this.#pace.onAway(name, limitedUntilMs - nowMs, nowMs);
      else this.#pace.onAnswer(name);
    }
    // An operator who asked during a turn of another kind is still to have one.
    if (this.#wanted.isForced(name) && !due.isForced) return;
    if (result.kind === "failed") this.#wanted.settle(name, result.error);
    else this.#onNothingLeft(name, nowMs);
  }

  /** Another node was faster. What it wrote is known by now, or about to be. */
  #onNothingLeft(name: string, nowMs: number): void {
    const attempts = this.#failed(name);
    if (this.#options.vault.serving(name) !== null) this.#wanted.settle(name, null);
    else if (attempts !== null && attempts.retryAtMs > nowMs) this.#wanted.settle(name, refusal(attempts.error, attempts.retryAtMs));
    else this.#heldOff.set(name, nowMs + BUSY.wantedMs);
  }

  #onBroken({ name }: Due, error: unknown): void {
    if (this.#signal!.aborted) return;
    logFailure(this.#options.log, error, { hostname: name });
    const untilMs = this.#now() + PAUSE_MS * (1 + this.#random());
    // It may be the only one whose lease was lost; whatever else it is meets all the others too.
    if (error instanceof ProxyError && error.code === "lease_lost") this.#heldOff.set(name, untilMs);
    else this.#pausedUntilMs = untilMs;
    this.#wanted.settle(
      name,
      error instanceof ProxyError ? error : new ProxyError("certificate_unavailable", "the order failed", { cause: error }),
    );
  }

  /** Names that no app declares: their certificates are kept for a while after they ended, and so is what is known of their failures. */
  #prune(nowMs: number): void {
    if (nowMs - this.#prunedAtMs < HOUR_MS) return;
    this.#prunedAtMs = nowMs;
    const beforeMs = nowMs - KEEP_MS;
    const { vault, declared, log } = this.#options;
    const known = {
      certificates: vault.list(),
      attempts: this.#attempts.entries(),
      renewals: this.#renewals.entries(),
      declared: declared(),
    };
    const names = forgottenNames(known, beforeMs);
    void this.#turns.prune(names, beforeMs, this.#signal!).catch((error: unknown) => logFailure(log, error));
  }

  #wakeSoon(): void {
    const { settleMs = Math.max(SETTLE_MS, this.#lookTookMs * REST) } = this.#options;
    this.#alarm.wakeBy(this.#now() + settleMs);
  }
}

function refusal(reason: string, untilMs: number): ProxyError {
  return new ProxyError("certificate_unavailable", `${reason}; it is tried again at ${new Date(untilMs).toISOString()}`);
}
