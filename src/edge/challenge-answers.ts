// What a worker answers the validations of certificate authorities with, of all nodes' orders (RFC 8555 section 8.3, RFC 8737). One that it does
// not know is asked for once from the main thread, since a validation may come sooner than the news of its challenge; so often for each
// address, and so many at once.

import { createSecureContext, type SecureContext } from "node:tls";
import { constants } from "node:crypto";

import { LRUCache } from "lru-cache";

import type { ClientHello } from "../http/client-hello.ts";
import type { RequestHead } from "../http/message.ts";
import { Allowance } from "../core/allowance.ts";
import type { Deadlines, Timed } from "../core/deadlines.ts";
import type { WorkerChallenge, WorkerChallengeKind } from "../certs/stored-challenge.ts";
import { tlsOptions } from "../certs/tls-options.ts";
import { AddressAllowances } from "../core/address-allowances.ts";

export interface ChallengeAnswersOptions {
  readonly deadlines: Deadlines;
  /** Asks the main thread, which says `learn` or `onUnknown`. */
  ask(kind: WorkerChallengeKind, name: string): void;
  /** Reads every ClientHello, whether a challenge is known or not: any may be a validation. */
  readonly expectsValidations: boolean;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

interface KnownCertificate {
  readonly challenge: Extract<WorkerChallenge, { kind: "alpn" }>;
  /** Made for the first who asks. */
  context: SecureContext | null;
}

const CHALLENGE_PATH = "/.well-known/acme-challenge/";
/** RFC 8555 section 8.3 has base64url; those of today's authorities have 43 characters. */
const TOKEN = /^[A-Za-z0-9_-]{1,128}$/;
/** RFC 8737 section 6.2. */
export const CHALLENGE_PROTOCOL = "acme-tls/1";

/** A validation is held for so long, and so is a request that only looks like one. */
const ASK_MS = 1000;
const MOST_ASKED = 64;
const MOST_WAITING = 16;
/** Of one address: a few validations at once, and then one a second. */
const ASKS_OF_ADDRESS = { most: 20, perSecond: 1 };
/** Of all together: what is asked is a read of the store, and the main thread has more to do. */
const ASKS_OF_ALL = { most: 200, perSecond: 50 };
/** So long the main thread is not asked again for what it did not know, and for so many of these. */
const UNKNOWN_MS = 2000;
const MOST_UNKNOWN = 1000;

/** The token that a request asks for; null for any other request. */
export function challengeToken({ method, target }: RequestHead): string | null {
  if (!target.startsWith(CHALLENGE_PATH) || (method !== "GET" && method !== "HEAD")) return null;
  const token = target.slice(CHALLENGE_PATH.length);
  return TOKEN.test(token) ? token : null;
}

/** Does a client mean to validate a challenge, and nothing else? */
export function isValidation({ protocols }: ClientHello): boolean {
  return protocols.length === 1 && protocols[0] === CHALLENGE_PROTOCOL;
}

export class ChallengeAnswers {
  readonly #options: ChallengeAnswersOptions;
  readonly #now: () => number;
  readonly #byToken = new Map<string, Extract<WorkerChallenge, { kind: "http" }>>();
  readonly #byName = new Map<string, KnownCertificate>();
  readonly #asked = new Map<string, Asked>();
  /** Until when. */
  readonly #unknown = new LRUCache<string, number>({ max: MOST_UNKNOWN });
  readonly #allowances = new AddressAllowances(ASKS_OF_ADDRESS.most, ASKS_OF_ADDRESS.perSecond);
  readonly #allowance: Allowance;

  constructor(options: ChallengeAnswersOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#allowance = new Allowance(ASKS_OF_ALL.most, ASKS_OF_ALL.perSecond, this.#now());
  }

  /** A client's first message must be read before TLS begins. */
  get readsHello(): boolean {
    return this.#options.expectsValidations || this.#byName.size > 0;
  }

  /** null: unknown to this worker. */
  keyAuthorization(token: string): string | null {
    const challenge = this.#byToken.get(token);
    if (challenge === undefined) return null;
    if (challenge.untilMs > this.#now()) return challenge.keyAuthorization;
    this.#byToken.delete(token);
    return null;
  }

  /** What a handshake is answered with that validates this canonical name; null: unknown to this worker. */
  context(name: string): SecureContext | null {
    const known = this.#byName.get(name);
    if (known === undefined) return null;
    if (known.challenge.untilMs > this.#now()) return (known.context ??= contextOf(known.challenge));
    this.#byName.delete(name);
    return null;
  }

  /**
   * Asks for what is unknown to this worker, on behalf of a client. `onSought` is called later, within a second or so, whatever has become known
   * by then. False, and it is not called: it is not asked for.
   */
  seek(kind: WorkerChallengeKind, name: string, ip: string, onSought: () => void): boolean {
    const key = keyOf(kind, name);
    const nowMs = this.#now();
    const asked = this.#asked.get(key);
    if (asked !== undefined) return asked.join(onSought);
    if ((this.#unknown.get(key) ?? 0) > nowMs || this.#asked.size >= MOST_ASKED) return false;
    if (!this.#allowances.of(ip, nowMs).take(nowMs) || !this.#allowance.take(nowMs)) return false;
    const { deadlines, ask } = this.#options;
    this.#asked.set(key, new Asked(deadlines, onSought, () => this.onUnknown(kind, name)));
    ask(kind, name);
    return true;
  }

  learn(challenge: WorkerChallenge): void {
    if (challenge.kind === "http") this.#byToken.set(challenge.name, challenge);
    else this.#byName.set(challenge.name, { challenge, context: null });
    const key = keyOf(challenge.kind, challenge.name);
    this.#unknown.delete(key);
    this.#settle(key);
  }

  forget(kind: WorkerChallengeKind, name: string): void {
    if (kind === "http") this.#byToken.delete(name);
    else this.#byName.delete(name);
  }

  /** The main thread does not know it either, or does not say. */
  onUnknown(kind: WorkerChallengeKind, name: string): void {
    const key = keyOf(kind, name);
    if (!this.#asked.has(key)) return;
    this.#unknown.set(key, this.#now() + UNKNOWN_MS);
    this.#settle(key);
  }

  #settle(key: string): void {
    const asked = this.#asked.get(key);
    this.#asked.delete(key);
    asked?.settle();
  }
}

/** Those who wait for one answer of the main thread. */
class Asked implements Timed {
  deadlineMs: number;
  readonly #deadlines: Deadlines;
  readonly #waiting: (() => void)[];
  readonly #onOverdue: () => void;

  constructor(deadlines: Deadlines, onSought: () => void, onOverdue: () => void) {
    this.#deadlines = deadlines;
    this.#waiting = [onSought];
    this.#onOverdue = onOverdue;
    this.deadlineMs = deadlines.after(ASK_MS);
    deadlines.add(this);
  }

  /** False: too many wait already. */
  join(onSought: () => void): boolean {
    if (this.#waiting.length >= MOST_WAITING) return false;
    this.#waiting.push(onSought);
    return true;
  }

  settle(): void {
    this.#deadlines.remove(this);
    for (const onSought of this.#waiting) onSought();
  }

  onDeadline(): void {
    this.#onOverdue();
  }
}

function keyOf(kind: WorkerChallengeKind, name: string): string {
  return `${kind} ${name}`;
}

/** Shown to whoever validates, and never resumed. */
function contextOf({ certificatePem, privateKeyPem }: KnownCertificate["challenge"]): SecureContext {
  const own = { sessionIdContext: CHALLENGE_PROTOCOL, secureOptions: constants.SSL_OP_NO_TICKET };
  return createSecureContext({ ...tlsOptions(), ...own, cert: certificatePem, key: privateKeyPem });
}
