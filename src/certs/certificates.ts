// The certificates of a node, on the main thread: what workers ask, once a name. Those of an ACME authority are in the vault, or are put there
// while somebody waits; when, and by which node, is renewer.ts's business. Those of the local CA are made on first use, kept in memory and
// renewed before they end; the workers are told. Between "valid" and "gone" one of these goes through
//
//     issued ──► due (2/3 of its life, and up to 1/10 later) ──► renewed
//                 │ issuer fails: again after a back-off, the old one serves on
//                 └──► last minute: no longer handed out

import { LRUCache } from "lru-cache";
import type { Logger } from "pino";

import { Alarm, startTimer, type StartTimer } from "../core/alarm.ts";
import { backoffMs, type BackoffOptions } from "../core/backoff.ts";
import type { Component } from "../core/component.ts";
import { ProxyError } from "../core/errors.ts";
import { SingleFlight } from "../core/single-flight.ts";
import { logFailure } from "../telemetry/log.ts";
import { canonicalServerName } from "./server-name.ts";
import type { IssuedCertificate, Issuer } from "./issuer.ts";
import { wildcardOf } from "./wildcard.ts";

export interface CertificatesOptions {
  /** Of names that no authority can be asked for: the local CA. */
  readonly issuer: Issuer;
  /** null: everything comes from the issuer. */
  readonly authority: NameAuthority | null;
  /** What there is for a canonical name already, in the vault; null: nothing. Throws what stands in the way of using it. */
  stored(hostname: string): IssuedCertificate | null;
  /** Does an app declare this canonical name or wildcard, as it stands? Others are never ordered. */
  isDeclared(hostname: string): boolean;
  /** A certificate took the place of an earlier one, which the workers may hold. */
  onRenewed(hostname: string, certificate: IssuedCertificate): void;
  readonly log: Logger;
  /** How many names are kept, least recently asked for out first. */
  readonly max?: number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly random?: () => number;
  readonly startTimer?: StartTimer;
}

/** Puts certificates into the vault. */
export interface NameAuthority {
  /** Can it be asked for this name or wildcard? */
  vouchesFor(name: string): boolean;
  /** Resolves when the vault has a certificate for the name, its own or a wildcard's. Throws `certificate_unavailable`. */
  obtain(name: string): Promise<void>;
}

interface Held {
  /** null: the first attempt failed. */
  readonly certificate: IssuedCertificate | null;
  /** When to ask the issuer again: the renewal, or after a failure the end of the back-off. */
  readonly dueMs: number;
  /** Failures since the last success, and the last of them. */
  readonly failures: number;
  readonly failure: unknown;
}

const DEFAULT_MAX = 10_000;
const MINUTE_MS = 60_000;
/** A certificate this close to its end may be too old once it reaches the client. */
const LAST_MINUTE_MS = MINUTE_MS;
/** How long a worker waits for an order. Its own time-out for handshakes ends most of them before that; the order goes on. */
const LONGEST_HOLD_MS = 30_000;
const RENEW_AFTER = 2 / 3;
const RENEW_JITTER = 1 / 10;
const BACKOFF: BackoffOptions = { minMs: MINUTE_MS, maxMs: 60 * MINUTE_MS };
/** Renewals under way at once: enough that one slow order does not hold up the others, too few to look like an attack. */
const RENEWALS_AT_ONCE = 4;
const LONGEST_TIMER_MS = 24 * 60 * MINUTE_MS;

export class Certificates implements Component {
  readonly name = "certificates";
  readonly #options: CertificatesOptions;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #startTimer: StartTimer;
  readonly #alarm: Alarm;
  readonly #held: LRUCache<string, Held>;
  readonly #orders = new SingleFlight<IssuedCertificate>();
  #orderSignal = new AbortController();

  constructor(options: CertificatesOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#random = options.random ?? Math.random;
    this.#startTimer = options.startTimer ?? startTimer;
    this.#alarm = new Alarm({ longestMs: LONGEST_TIMER_MS, now: this.#now, startTimer: this.#startTimer });
    this.#held = new LRUCache({ max: options.max ?? DEFAULT_MAX });
  }

  /**
   * A certificate for a declared name that is valid for a minute at least: one that is stored, else one of the issuer's; however many ask,
   * one is ordered, and waited for within bounds. Throws `tls_unknown_name`, or what the issuer threw, repeated without asking it again until
   * its back-off is over.
   */
  async get(hostname: string): Promise<IssuedCertificate> {
    const name = canonicalServerName(hostname);
    const declared = name === null ? null : this.#declaredAs(name);
    if (name === null || declared === null) {
      throw new ProxyError("tls_unknown_name", `no app declares ${JSON.stringify(hostname)}, so there is no certificate for it`);
    }
    const stored = this.#options.stored(name);
    if (stored !== null) return stored;
    if (this.#options.authority?.vouchesFor(declared) === true) return await this.#obtain(this.#options.authority, name, declared);
    const held = this.#held.get(declared);
    if (held === undefined) return this.#order(declared);
    if (held.certificate !== null && this.#isUsable(held.certificate)) return held.certificate;
    if (held.failures > 0 && this.#now() < held.dueMs) throw held.failure;
    return this.#order(declared);
  }

  /** Renews what is due until `signal` aborts. Orders under way are given up then. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#orderSignal.signal.aborted) this.#orderSignal = new AbortController();
    try {
      while (!signal.aborted) {
        await this.#alarm.sleep(this.#nextDueMs(), signal);
        const due = this.#dueNames().values();
        const lanes = Array.from({ length: RENEWALS_AT_ONCE }, () => this.#renewEach(due, signal));
        await Promise.all(lanes);
      }
    } finally {
      this.#orderSignal.abort();
    }
  }

  async #obtain(authority: NameAuthority, name: string, declared: string): Promise<IssuedCertificate> {
    const late = Promise.withResolvers<never>();
    const overdue = new ProxyError("certificate_unavailable", `the certificate for "${name}" is still being ordered`);
    const cancel = this.#startTimer(() => late.reject(overdue), LONGEST_HOLD_MS);
    try {
      await Promise.race([authority.obtain(declared), late.promise]);
    } finally {
      cancel();
    }
    const obtained = this.#options.stored(name);
    if (obtained !== null) return obtained;
    throw new ProxyError("certificate_unavailable", `the certificate for "${name}" is no longer there`);
  }

  /** The very name, or the wildcard that it is below: clients must not have as many certificates made as they can think of names. */
  #declaredAs(name: string): string | null {
    const wildcard = wildcardOf(name);
    if (this.#options.isDeclared(name)) return name;
    return wildcard !== null && this.#options.isDeclared(wildcard) ? wildcard : null;
  }

  #isUsable(certificate: IssuedCertificate): boolean {
    return certificate.notAfter.getTime() - this.#now() > LAST_MINUTE_MS;
  }

  #order(hostname: string): Promise<IssuedCertificate> {
    return this.#orders.run(hostname, async () => {
      const earlier = this.#held.peek(hostname);
      const certificate = await this.#issue(hostname, earlier);
      this.#hold(hostname, { certificate, dueMs: this.#renewalOf(certificate), failures: 0, failure: null });
      const isRenewal = earlier !== undefined && earlier.certificate !== null;
      this.#options.log.info({ hostname, notAfter: certificate.notAfter }, isRenewal ? "renewed a certificate" : "obtained a certificate");
      if (isRenewal) this.#options.onRenewed(hostname, certificate);
      return certificate;
    });
  }

  async #issue(hostname: string, earlier: Held | undefined): Promise<IssuedCertificate> {
    const { signal } = this.#orderSignal;
    try {
      return await this.#options.issuer.issue(hostname, signal);
    } catch (failure) {
      if (signal.aborted) throw failure;
      const failures = (earlier?.failures ?? 0) + 1;
      const dueMs = this.#now() + backoffMs(failures, BACKOFF, this.#random());
      this.#hold(hostname, { certificate: earlier?.certificate ?? null, dueMs, failures, failure });
      logFailure(this.#options.log, failure, { hostname, failures, retryAt: new Date(dueMs) });
      throw failure;
    }
  }

  #renewalOf({ notBefore, notAfter }: IssuedCertificate): number {
    const lifetimeMs = notAfter.getTime() - notBefore.getTime();
    const dueMs = notBefore.getTime() + lifetimeMs * (RENEW_AFTER + RENEW_JITTER * this.#random());
    // An issuer whose certificates are due at once must not be asked without a pause.
    return Math.max(dueMs, this.#now() + MINUTE_MS);
  }

  #hold(hostname: string, held: Held): void {
    this.#held.set(hostname, held);
    this.#alarm.wakeBy(held.dueMs);
  }

  #nextDueMs(): number {
    let nextMs = Infinity;
    for (const { dueMs } of this.#held.values()) nextMs = Math.min(nextMs, dueMs);
    return nextMs;
  }

  #dueNames(): string[] {
    const nowMs = this.#now();
    return [...this.#held.entries()].filter(([, { dueMs }]) => dueMs <= nowMs).map(([hostname]) => hostname);
  }

  async #renewEach(hostnames: Iterable<string>, signal: AbortSignal): Promise<void> {
    for (const hostname of hostnames) {
      if (signal.aborted) return;
      if (!this.#options.isDeclared(hostname)) this.#held.delete(hostname);
      // A failure is logged and remembered where it happens; here it means no more than "later".
      else await this.#order(hostname).catch(() => {});
    }
  }
}
