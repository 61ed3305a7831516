// One turn of one name: under its lease and looked at afresh, a certificate is ordered or a renewal planned, and what came of it written down
// for all nodes. Whose turn it is, and when, is decided in renewer.ts.
//
//     lease ──► look again ──► order ──┬─► certificate put, failures forgotten
//       │            │                 └─► failure put: when to try again, for all nodes
//       │            └──► another node has done it
//       └──► another node is at it

import type { Logger } from "pino";

import { ProxyError } from "../core/errors.ts";
import { HeldLease } from "../state/held-lease.ts";
import type { Fence, Store } from "../state/store.ts";
import type { IssuedByAcme, IssueOptions } from "./acme/acme-issuer.ts";
import { failedValidations } from "./acme/order.ts";
import { acmeProblemOf } from "./acme/problem.ts";
import { nameKey } from "./name-key.ts";
import type { NameRecords } from "./name-records.ts";
import { renewalId, type RenewalInfo } from "./renewal-info.ts";
import {
  afterFailure,
  nextStep,
  planRenewal,
  type AttemptsRecord,
  type FailureKind,
  type OwnKnowledge,
  type PlannedCertificate,
  type RenewalRecord,
  type Suggestion,
  type Validity,
} from "./renewal-plan.ts";
import type { StoredCertificate } from "./stored-certificate.ts";
import type { NewAcmeCertificate } from "./vault.ts";

/** Who issues. */
export interface Authority {
  /** Throws `certificate_unavailable`, `lease_lost`, `store_unavailable`. */
  issue(hostname: string, options: IssueOptions): Promise<IssuedByAcme>;
  /** The certificate is kept, or not wanted. */
  settle(hostname: string, fence: Fence): Promise<void>;
  /** Has the authority declare a certificate void. Throws `certificate_unavailable`. */
  revoke(chainPem: string, reason: number, options: { readonly directory: string; readonly signal: AbortSignal }): Promise<void>;
}

/** Where certificates are kept. */
export interface TurnVault {
  /** The name's own by ACME, expired or not, as the store has it. */
  fetchAcme(name: string): Promise<StoredCertificate | null>;
  /** What else serves the name now: an imported one, or a wildcard's. */
  cover(name: string): StoredCertificate | null;
  putAcme(certificate: NewAcmeCertificate, fence: Fence): Promise<void>;
  deleteAcme(name: string, fence: Fence): Promise<void>;
}

export interface TurnsOptions {
  readonly store: Store;
  readonly vault: TurnVault;
  readonly attempts: NameRecords<AttemptsRecord>;
  readonly renewals: NameRecords<RenewalRecord>;
  readonly authority: Authority;
  /** URL of the authority's directory. */
  readonly directory: string;
  /** The one that a name which failed again and again is tried with first; null: none. */
  readonly staging: string | null;
  readonly info: RenewalInfo;
  /** For metrics. */
  onOrder(order: { readonly directory: string; readonly result: "issued" | FailureKind }): void;
  readonly log: Logger;
  readonly now: () => number;
  readonly random: () => number;
}

export interface TurnOptions {
  /** An operator asked for it: a certificate is ordered, whatever plan and back-off say. */
  readonly isForced: boolean;
  readonly signal: AbortSignal;
}

export type TurnResult =
  | { readonly kind: "issued" }
  /** Of a renewal, or nothing was left to do: another node has done it. */
  | { readonly kind: "planned" }
  /** Another node is at it. */
  | { readonly kind: "busy" }
  | {
      readonly kind: "failed";
      readonly error: ProxyError;
      readonly attempts: AttemptsRecord;
      /** The directory itself does not answer. */
      readonly isAway: boolean;
    };

interface Turn {
  readonly name: string;
  readonly fence: Fence;
  readonly signal: AbortSignal;
}

const LEASE_MS = 30_000;
const STAGING_AFTER = 3;
/** Where the authority still believed an earlier one. */
const EARLIER_PROOF = "earlier";

export class Turns {
  readonly #options: TurnsOptions;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** What of a certificate matters to when it is renewed. */
  knowledgeOf(certificate: StoredCertificate): OwnKnowledge {
    return { ...lifeOf(certificate), fingerprint: certificate.fingerprint, isForeign: certificate.directory !== this.#options.directory };
  }

  /** null: none has failed, or that was with an authority that is not asked any more. */
  ofToday(attempts: AttemptsRecord | null): AttemptsRecord | null {
    const { directory, staging } = this.#options;
    return attempts !== null && [directory, staging].includes(attempts.directory) ? attempts : null;
  }

  /** Throws `store_unavailable`, `lease_lost`, `secret_unavailable`, or whatever `signal` was aborted with. */
  async take(name: string, { isForced, signal }: TurnOptions): Promise<TurnResult> {
    const { store, vault, attempts, renewals, now } = this.#options;
    await using lease = await HeldLease.take(store, leaseName(name), LEASE_MS);
    if (lease === null) return { kind: "busy" };
    const turn = { name, fence: lease.fence, signal: AbortSignal.any([signal, lease.lost]) };
    // From the store: what its last holder wrote may not have reached memory.
    const own = await vault.fetchAcme(name);
    const renewal = await renewals.fetch(name);
    const failed = this.ofToday(await attempts.fetch(name));
    if (isForced) return await this.#order(turn, own, failed);
    const cover = vault.cover(name);
    const step = nextStep({ own: own && this.knowledgeOf(own), cover: cover && lifeOf(cover), renewal, attempts: failed });
    if (step.atMs > now()) return { kind: "planned" };
    return step.kind === "order" ? await this.#order(turn, own, failed) : await this.#plan(turn, own!, renewal);
  }

  /**
   * Has a name's own certificate declared void. It goes on being served until there is another one, which is due now: most clients do not ask
   * whether one is void, and those that do are no worse off without any. Throws `certificate_not_found`, `lease_lost` while an order is under
   * way, `certificate_unavailable`, `store_unavailable`.
   *
   * @param reason of RFC 5280, section 5.3.1
   */
  async revoke(name: string, reason: number, signal: AbortSignal): Promise<void> {
    const { store, vault, renewals, authority, directory, now, random, log } = this.#options;
    await using lease = await HeldLease.take(store, leaseName(name), LEASE_MS);
    if (lease === null) throw new ProxyError("lease_lost", `an order for "${name}" is under way; try again when it is over`);
    const own = await vault.fetchAcme(name);
    if (own === null) throw new ProxyError("certificate_not_found", `"${name}" has no certificate of an ACME authority`);
    const { certificatePem, fingerprint, directory: issuedBy = directory } = own;
    await authority.revoke(certificatePem, reason, { directory: issuedBy, signal: AbortSignal.any([signal, lease.lost]) });
    log.warn({ hostname: name, fingerprint, reason }, "a certificate was revoked");
    const clock = { nowMs: now(), random };
    const plan = planRenewal(planned(own), await renewals.fetch(name), "none", clock);
    await renewals.put(name, { ...plan, renewAtMs: clock.nowMs }, lease.fence);
  }

  /** Deletes what is known of these names, but for certificates that end after `beforeMs`; as far as it comes until `signal` aborts. */
  async prune(names: readonly string[], beforeMs: number, signal: AbortSignal): Promise<void> {
    const { store, vault, attempts, renewals, authority } = this.#options;
    for (const name of names) {
      if (signal.aborted) return;
      await using lease = await HeldLease.take(store, leaseName(name), LEASE_MS);
      if (lease === null) continue;
      const own = await vault.fetchAcme(name);
      if (own !== null && own.notAfter.getTime() > beforeMs) continue;
      await vault.deleteAcme(name, lease.fence);
      await attempts.delete(name, lease.fence);
      await renewals.delete(name, lease.fence);
      // An order that never came to its end.
      await authority.settle(name, lease.fence);
    }
  }

  async #order(turn: Turn, own: StoredCertificate | null, failed: AttemptsRecord | null): Promise<TurnResult> {
    const { vault, attempts, authority, directory, staging, log } = this.#options;
    const { name, fence } = turn;
    // A name that fails again and again must not use up what the authority allows; nobody serves what the staging directory issues.
    const isTriedFirst = staging !== null && (failed?.failures ?? 0) >= STAGING_AFTER;
    let asked = directory;
    try {
      if (isTriedFirst) {
        await this.#issue(turn, (asked = staging), null);
        await authority.settle(name, fence);
        asked = directory;
      }
      // An order that failed may have failed because of what it was to replace.
      const replaces = failed === null ? await this.#replaces(own, turn.signal) : null;
      const certificate = await this.#issue(turn, directory, replaces);
      await vault.putAcme({ ...certificate, challenge: certificate.challenge ?? EARLIER_PROOF }, fence);
      await authority.settle(name, fence);
      await attempts.delete(name, fence);
      const { notAfter, challenge } = certificate;
      log.info({ hostname: name, notAfter, directory, challenge }, own === null ? "obtained a certificate" : "renewed a certificate");
      return { kind: "issued" };
    } catch (error) {
      turn.signal.throwIfAborted();
      if (isOurOwn(error)) throw error;
      return await this.#fail(turn, asked, error, own, failed);
    }
  }

  async #issue({ name, fence, signal }: Turn, directory: string, replaces: string | null): Promise<IssuedByAcme> {
    const { authority, onOrder } = this.#options;
    try {
      const certificate = await authority.issue(name, { signal, fence, replaces, directory });
      onOrder({ directory, result: "issued" });
      return certificate;
    } catch (error) {
      if (!signal.aborted && !isOurOwn(error)) onOrder({ directory, result: kindOf(error) });
      throw error;
    }
  }

  async #replaces(own: StoredCertificate | null, signal: AbortSignal): Promise<string | null> {
    const { info, directory } = this.#options;
    if (own === null || own.directory !== directory) return null;
    try {
      return (await info.isOffered(signal)) ? renewalId(own.certificatePem) : null;
    } catch {
      // The order will find out what is wrong with the directory.
      return null;
    }
  }

  async #fail(
    { name, fence, signal }: Turn,
    asked: string,
    cause: unknown,
    own: StoredCertificate | null,
    failed: AttemptsRecord | null,
  ): Promise<TurnResult> {
    const { vault, attempts, directory, now, random, log } = this.#options;
    const error = cause instanceof ProxyError ? cause : new ProxyError("certificate_unavailable", "the order failed", { cause });
    const kind = kindOf(error);
    const retryAtMs = acmeProblemOf(error)?.retryAtMs ?? null;
    const nowMs = now();
    const failure = {
      kind,
      error: error.message,
      directory: asked,
      retryAfterMs: retryAtMs === null ? null : Math.max(0, retryAtMs - nowMs),
      refusals: asked === directory ? failedValidations(error) : 0,
    };
    const endMs = Math.max(own?.notAfter.getTime() ?? 0, vault.cover(name)?.notAfter.getTime() ?? 0);
    const record = afterFailure(failed, failure, endMs > nowMs ? endMs : null, { nowMs, random });
    const fields = { hostname: name, directory: asked, kind, failures: record.failures, retryAt: new Date(record.retryAtMs) };
    if (cause === error) log.warn(fields, `no certificate: ${error.message}`);
    else log.error({ ...fields, err: cause }, "no certificate: the order failed in a way that nobody foresaw");
    await attempts.put(name, record, fence);
    return { kind: "failed", error, attempts: record, isAway: kind === "failed" && (await this.#isAway(signal)) };
  }

  async #plan({ name, fence, signal }: Turn, own: StoredCertificate, earlier: RenewalRecord | null): Promise<TurnResult> {
    const { renewals, now, random, log } = this.#options;
    const suggestion = await this.#suggestion(name, own, signal);
    const plan = planRenewal(planned(own), earlier, suggestion, { nowMs: now(), random });
    const { explanationUrl, renewAtMs } = plan;
    if (earlier?.renewAtMs !== renewAtMs || earlier.explanationUrl !== explanationUrl) {
      const explanation = explanationUrl === null ? {} : { explanationUrl };
      log.info({ hostname: name, renewAt: new Date(renewAtMs), ...explanation }, "planned the renewal of a certificate");
    }
    await renewals.put(name, plan, fence);
    return { kind: "planned" };
  }

  async #suggestion(
    name: string,
    { certificatePem, directory }: StoredCertificate,
    signal: AbortSignal,
  ): Promise<Suggestion | "none" | null> {
    const { info, directory: asked, log } = this.#options;
    if (directory !== asked) return "none";
    try {
      return await info.suggestion(certificatePem, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ hostname: name, reason: error instanceof Error ? error.message : String(error) }, "the authority suggests no renewal");
      return null;
    }
  }

  async #isAway(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#options.info.reload(signal);
      return false;
    } catch {
      return true;
    }
  }
}

function leaseName(name: string): string {
  return `certs/${nameKey(name)}`;
}

export function lifeOf({ notBefore, notAfter }: StoredCertificate): Validity {
  return { notBeforeMs: notBefore.getTime(), notAfterMs: notAfter.getTime() };
}

function planned(certificate: StoredCertificate): PlannedCertificate {
  return { ...lifeOf(certificate), fingerprint: certificate.fingerprint, directory: certificate.directory ?? "" };
}

function kindOf(error: unknown): FailureKind {
  const kind = acmeProblemOf(error)?.kind ?? "failing";
  return kind === "failing" ? "failed" : kind;
}

/** Nothing that the authority, or the name, has to do with. */
function isOurOwn(error: unknown): boolean {
  return error instanceof ProxyError && /^(?:store_|lease_lost|secret_)/.test(error.code);
}
