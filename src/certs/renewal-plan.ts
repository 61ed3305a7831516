// When a name is to be ordered, or asked about: decisions over plain values, for renewer.ts. Between two certificates a name goes through
//
//     none ──► order ──► planned (by lifetime, or in the window that the authority suggests) ──► due ──► order
//                │ failed: again after a back-off that all nodes share
//
// RFC 9773 is "ACME Renewal Information", ARI.

import { backoffMs } from "../core/backoff.ts";

/** Of a certificate. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface Window {
  readonly startMs: number;
  readonly endMs: number;
}

/** What the store holds in `certs/renewals/<name>`. */
export interface RenewalRecord {
  /** Which certificate it is about: by its fingerprint. After a renewal the record of the earlier one says nothing. */
  readonly fingerprint: string;
  /** Who issued it. */
  readonly directory: string;
  /** Chosen once, kept until the window changes. */
  readonly renewAtMs: number;
  /** What the authority suggested; null: it was chosen by the lifetime. */
  readonly window: Window | null;
  /** When the authority is asked for a window again; null: it has none to give. */
  readonly askAtMs: number | null;
  /** Times in a row that it gave no usable answer. */
  readonly askFailures: number;
  /** Why it suggests another moment than usual, in its own words. */
  readonly explanationUrl: string | null;
  /** When the name had its first certificate of this directory: authorities limit how many new names a domain has in a week. */
  readonly firstOrderedAtMs: number;
}

/**
 * - refused: the authority could not validate the name, or will not have it
 * - limited: too much was asked of the authority (429)
 * - failed: the authority, or something else that the order needed, gave no answer or none that makes sense
 */
export type FailureKind = "refused" | "limited" | "failed";

/** What the store holds in `certs/attempts/<name>`: orders that failed since the last that did not. */
export interface AttemptsRecord {
  readonly failures: number;
  readonly kind: FailureKind;
  readonly error: string;
  readonly directory: string;
  readonly failedAtMs: number;
  readonly retryAtMs: number;
  /** When the authority will hear of this name again by its own word; not even an operator comes before that. */
  readonly limitedUntilMs: number;
  /** Failed validations within the last hour, oldest first. */
  readonly refusedAtMs: readonly number[];
}

export interface OwnKnowledge extends Validity {
  readonly fingerprint: string;
  /** Another authority than the one of today has issued it. */
  readonly isForeign: boolean;
}

export interface PlannedCertificate extends Validity {
  readonly fingerprint: string;
  readonly directory: string;
}

/** What is known of one name at one moment. */
export interface NameKnowledge {
  /** Its own certificate by ACME, expired or not. */
  readonly own: OwnKnowledge | null;
  /** Another one that serves the name meanwhile: imported, or a wildcard's. */
  readonly cover: Validity | null;
  readonly renewal: RenewalRecord | null;
  readonly attempts: AttemptsRecord | null;
}

/** `plan`: ask the authority for a window, or choose by the lifetime where it has none. */
export interface Step {
  readonly kind: "order" | "plan";
  /** From when on; may be in the past. */
  readonly atMs: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const RENEW_AFTER = 2 / 3;
/** Let's Encrypt's advice for its six days. Two thirds would leave two days for a failure to be noticed and mended. */
const RENEW_SHORT_AFTER = 1 / 2;
const SHORT_LIVED_MS = 10 * DAY_MS;
const RENEW_JITTER = 1 / 10;
/** The share of its life for which a certificate spares others their own. */
const RELIED_ON_FOR = 4 / 5;
/** One of another authority gives way to one of today's. Not at once: nodes of a fleet that disagree would do nothing else. */
const FOREIGN_FOR_MS = HOUR_MS;

/** RFC 9773, section 4.3.2 names these bounds for what an authority asks for. */
const ASK_AGAIN = { minMs: MINUTE_MS, maxMs: DAY_MS };
const DEFAULT_ASK_AGAIN_MS = 6 * HOUR_MS;
/** The same, section 4.3.3: six hours after an answer that is none. */
const ASK_BACKOFF = { minMs: 5 * MINUTE_MS, maxMs: 6 * HOUR_MS };

/** A name that is refused stays so until somebody mends its DNS; a directory that is away comes back by itself. */
const BACKOFF: Readonly<Record<FailureKind, { readonly minMs: number; readonly maxMs: number }>> = {
  refused: { minMs: 2 * MINUTE_MS, maxMs: 6 * HOUR_MS },
  limited: { minMs: 5 * MINUTE_MS, maxMs: 6 * HOUR_MS },
  failed: { minMs: MINUTE_MS, maxMs: HOUR_MS },
};
/** Let's Encrypt takes five failed validations of a name in an hour, and an order may try two types of challenges. */
const REFUSALS_AN_HOUR = 4;
const LONGEST_LIMIT_MS = 7 * DAY_MS;
/** The nearer a certificate is to its end, the more often it is tried: this many times at least in what is left. */
const TRIES_IN_THE_REST = 10;

/** When a certificate is renewed if nobody suggests a moment: after two thirds of its life, half of a short one, and a little later by chance. */
export function renewalByLifetime({ notBeforeMs, notAfterMs }: Validity, random: number): number {
  const lifetimeMs = notAfterMs - notBeforeMs;
  const share = lifetimeMs <= SHORT_LIVED_MS ? RENEW_SHORT_AFTER : RENEW_AFTER;
  return notBeforeMs + lifetimeMs * (share + RENEW_JITTER * random);
}

/** The earliest of all that is to be done for a name. */
export function nextStep({ own, cover, renewal, attempts }: NameKnowledge): Step {
  const plan = renewal !== null && own !== null && renewal.fingerprint === own.fingerprint ? renewal : null;
  // Without a plan the certificate is new, or of a time before there were plans.
  if (own !== null && plan === null) return { kind: "plan", atMs: -Infinity };
  const order: Step = { kind: "order", atMs: Math.max(orderAt(own, cover, plan), attempts?.retryAtMs ?? -Infinity) };
  if (plan === null || plan.askAtMs === null || plan.askAtMs >= order.atMs) return order;
  return { kind: "plan", atMs: plan.askAtMs };
}

/** Another certificate that serves the name spares it an order until that one should long have been renewed. */
function orderAt(own: OwnKnowledge | null, cover: Validity | null, plan: RenewalRecord | null): number {
  const coveredUntilMs = cover === null ? -Infinity : cover.notBeforeMs + (cover.notAfterMs - cover.notBeforeMs) * RELIED_ON_FOR;
  const plannedAtMs = plan?.renewAtMs ?? -Infinity;
  const ownAtMs = own?.isForeign === true ? Math.min(plannedAtMs, own.notBeforeMs + FOREIGN_FOR_MS) : plannedAtMs;
  return Math.max(ownAtMs, coveredUntilMs);
}

export interface Suggestion {
  readonly window: Window;
  readonly explanationUrl: string | null;
  /** `Retry-After`; null: none was given. */
  readonly retryAfterMs: number | null;
}

/**
 * The plan for a certificate after the authority was asked.
 *
 * @param suggestion null: it gave no usable answer; "none": it is not one that suggests anything
 */
export function planRenewal(
  own: PlannedCertificate,
  earlier: RenewalRecord | null,
  suggestion: Suggestion | "none" | null,
  { nowMs, random }: { readonly nowMs: number; readonly random: () => number },
): RenewalRecord {
  const before = earlier?.fingerprint === own.fingerprint ? earlier : null;
  const { fingerprint, directory } = own;
  const firstOrderedAtMs = earlier?.directory === directory ? earlier.firstOrderedAtMs : own.notBeforeMs;
  const kept = { fingerprint, directory, firstOrderedAtMs };
  if (suggestion === "none" || suggestion === null) {
    const askFailures = suggestion === null ? (before?.askFailures ?? 0) + 1 : 0;
    return {
      ...kept,
      // A window that was suggested stays the best that is known.
      renewAtMs: before?.renewAtMs ?? renewalByLifetime(own, random()),
      window: before?.window ?? null,
      askAtMs: suggestion === null ? nowMs + backoffMs(askFailures, ASK_BACKOFF, random()) : null,
      askFailures,
      explanationUrl: before?.explanationUrl ?? null,
    };
  }
  const { window, explanationUrl, retryAfterMs } = suggestion;
  const isSame = before?.window?.startMs === window.startMs && before.window.endMs === window.endMs;
  const askAgainMs = clamp(retryAfterMs ?? DEFAULT_ASK_AGAIN_MS, ASK_AGAIN.minMs, ASK_AGAIN.maxMs);
  return {
    ...kept,
    renewAtMs: isSame ? before.renewAtMs : window.startMs + (window.endMs - window.startMs) * random(),
    window,
    askAtMs: nowMs + askAgainMs,
    askFailures: 0,
    explanationUrl,
  };
}

export interface OrderFailure {
  readonly kind: FailureKind;
  readonly error: string;
  readonly directory: string;
  /** `Retry-After`; null: none was given. */
  readonly retryAfterMs: number | null;
  /** Validations that the authority counts as failed. */
  readonly refusals: number;
}

/**
 * When to try again after an order failed.
 *
 * @param servedUntilMs end of the certificate that serves the name; null: there is none
 */
export function afterFailure(
  earlier: AttemptsRecord | null,
  failure: OrderFailure,
  servedUntilMs: number | null,
  { nowMs, random }: { readonly nowMs: number; readonly random: () => number },
): AttemptsRecord {
  const { kind, error, directory, retryAfterMs, refusals } = failure;
  const failures = (earlier?.failures ?? 0) + 1;
  const refusedAtMs = [...(earlier?.refusedAtMs ?? []), ...Array.from({ length: refusals }, () => nowMs)]
    .filter((atMs) => atMs > nowMs - HOUR_MS)
    .slice(-REFUSALS_AN_HOUR);
  const { minMs, maxMs } = BACKOFF[kind];
  const urgentMs = servedUntilMs === null ? maxMs : Math.max((servedUntilMs - nowMs) / TRIES_IN_THE_REST, minMs);
  const ownRetryMs = nowMs + backoffMs(failures, { minMs, maxMs: Math.min(maxMs, urgentMs) }, random());
  const limitedUntilMs = Math.max(
    retryAfterMs === null ? -Infinity : nowMs + Math.min(retryAfterMs, LONGEST_LIMIT_MS),
    refusedAtMs.length < REFUSALS_AN_HOUR ? -Infinity : refusedAtMs[0]! + HOUR_MS,
    earlier?.limitedUntilMs ?? 0,
  );
  return {
    failures,
    kind,
    error,
    directory,
    failedAtMs: nowMs,
    // Those whom the authority sent away together do not come back together.
    retryAtMs: Math.max(ownRetryMs, limitedUntilMs + MINUTE_MS * random()),
    limitedUntilMs,
    refusedAtMs,
  };
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
