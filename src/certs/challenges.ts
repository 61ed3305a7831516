// The challenges of all nodes of a store, on the main thread: those of our own orders are published, those of all are followed and handed to
// the workers, so that any edge answers any challenge. An order publishes before it tells the authority, and withdraws when it is over;
// what it leaves behind when its node dies ends by its time.
//
//     published ──► followed (watch) ──► known to every worker ──► withdrawn, or expired and pruned
//         └── a worker is asked before the news has come: looked up in the store

import type { Logger } from "pino";

import type { Component } from "../core/component.ts";
import { ProxyError } from "../core/errors.ts";
import { SingleFlight } from "../core/single-flight.ts";
import type { Fence, Store } from "../state/store.ts";
import {
  challengeKey,
  CHALLENGES_PREFIX,
  challengeText,
  endOf,
  readChallenge,
  type ChallengeKind,
  type StoredChallenge,
  type TextValue,
  type WorkerChallenge,
  type WorkerChallengeKind,
} from "./stored-challenge.ts";
import type { Challenge, ChallengePublisher } from "./acme/challenge.ts";
import { createChallengeCertificate } from "./sign.ts";

export interface ChallengesOptions {
  readonly store: Store;
  /** For every worker, now. */
  onKnown(challenge: WorkerChallenge): void;
  onForgotten(kind: WorkerChallengeKind, name: string): void;
  /** Resolves when the workers have taken what they were told. */
  taken(): Promise<void>;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** How often what has expired is looked for. */
  readonly pruneEveryMs?: number;
}

interface Held {
  readonly challenge: StoredChallenge;
  readonly revision: number;
  /** Resolves when the workers were told. */
  readonly told: Promise<void>;
  /** null while it is being made, and for what is not the workers' business. */
  answer: WorkerChallenge | null;
}

const PRUNE_EVERY_MS = 60_000;
/** A validation waits for this, and so does the client that made the token up. */
const LOOKUP_MS = 1000;
/** At once, whatever the workers ask: each is a read of the store. */
const MOST_LOOKUPS = 256;
/** Another order wrote the same label meanwhile. */
const MOST_CONFLICTS = 20;

export class Challenges implements Component, ChallengePublisher {
  readonly name = "challenges";
  readonly #options: ChallengesOptions;
  readonly #now: () => number;
  /** By key. */
  readonly #held = new Map<string, Held>();
  readonly #lookups = new SingleFlight<StoredChallenge | null>();
  readonly #reads = new SingleFlight<boolean>();

  constructor(options: ChallengesOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** What a new worker is told first. */
  get known(): WorkerChallenge[] {
    return [...this.#held.values()].map(({ answer }) => answer).filter((answer) => answer !== null);
  }

  /**
   * Resolves when it is in the store and every worker of this node answers it; other nodes look it up if they are asked before they have heard
   * of it. Throws `lease_lost`, `store_unavailable`.
   */
  async publish(challenge: Challenge, fence: Fence): Promise<void> {
    const { kind, name } = addressOf(challenge);
    const key = challengeKey(kind, name);
    const text = challengeText({ kind, name, keyAuthorization: challenge.keyAuthorization, untilMs: challenge.expiresAtMs });
    await this.#learn(key, text, await this.#options.store.put(key, text, { fence }));
    await this.#options.taken();
  }

  /** It was validated, or given up; harmless when it is gone. Throws like `publish`: it then ends by its time. */
  async withdraw(challenge: Challenge, fence: Fence): Promise<void> {
    const { kind, name } = addressOf(challenge);
    const key = challengeKey(kind, name);
    await this.#options.store.delete(key, { fence });
    this.#forget(key);
  }

  /** Adds a TXT record to those of a label in our own zone: a name and its wildcard are validated by the same one. Adding it again moves its end. */
  async addText(label: string, value: string, untilMs: number, fence: Fence): Promise<void> {
    await this.#changeTexts(label, fence, (texts) => [...texts.filter((text) => text.value !== value), { value, untilMs }]);
  }

  async removeText(label: string, value: string, fence: Fence): Promise<void> {
    await this.#changeTexts(label, fence, (texts) => texts.filter((text) => text.value !== value));
  }

  /**
   * The TXT records of a label in our own zone, as the store has them: another order may have added one that the watch has not told of yet.
   * Throws `store_unavailable` where memory has none either.
   */
  async texts(label: string): Promise<string[]> {
    const key = challengeKey("dns", label);
    try {
      if (!(await this.#reads.run(key, () => this.#read(key)))) return [];
    } catch (error) {
      if (!this.#held.has(key)) throw error;
    }
    const held = this.#held.get(key)?.challenge;
    return held?.kind === "dns" ? this.#valid(held.values).map(({ value }) => value) : [];
  }

  /** From memory, otherwise from the store. null: there is none, or it could not be had in time. The workers know it by then. */
  async find(kind: ChallengeKind, name: string): Promise<StoredChallenge | null> {
    const key = challengeKey(kind, name);
    const held = this.#held.get(key);
    // After its end there may be another one of the same name.
    if (held !== undefined && endOf(held.challenge) > this.#now()) {
      await held.told;
      return held.challenge;
    }
    if (this.#lookups.size >= MOST_LOOKUPS) return null;
    const late = Promise.withResolvers<null>();
    const timer = setTimeout(() => late.resolve(null), LOOKUP_MS);
    try {
      return await Promise.race([this.#lookups.run(key, () => this.#lookUp(key)), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The answer to what a worker asks; null as in `find`. */
  async answer(kind: WorkerChallengeKind, name: string): Promise<WorkerChallenge | null> {
    if ((await this.find(kind, name)) === null) return null;
    return this.#held.get(challengeKey(kind, name))?.answer ?? null;
  }

  /** Follows the store until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { store, pruneEveryMs = PRUNE_EVERY_MS } = this.#options;
    const pruning = setInterval(() => this.#prune(), pruneEveryMs).unref();
    try {
      const revision = await store.revision();
      const entries = revision === 0 ? [] : await store.list(CHALLENGES_PREFIX);
      const keys = new Set(entries.map(({ key }) => key));
      for (const [key, held] of this.#held) if (!keys.has(key) && held.revision <= revision) this.#forget(key);
      for (const entry of entries) void this.#learn(entry.key, entry.value, entry.revision);
      for await (const change of store.watch(CHALLENGES_PREFIX, revision, signal))
        void this.#learn(change.key, change.value, change.revision);
    } finally {
      clearInterval(pruning);
    }
  }

  async #lookUp(key: string): Promise<StoredChallenge | null> {
    try {
      const held = (await this.#read(key)) ? this.#held.get(key) : undefined;
      return held !== undefined && endOf(held.challenge) > this.#now() ? held.challenge : null;
    } catch (error) {
      this.#options.log.warn({ err: error, key }, "a challenge could not be looked up");
      return null;
    }
  }

  /** Is it in the store? Then it is held, unless it has expired. */
  async #read(key: string): Promise<boolean> {
    const entry = await this.#options.store.get(key);
    if (entry !== null) await this.#learn(key, entry.value, entry.revision);
    return entry !== null;
  }

  /** @param text null: it was deleted */
  #learn(key: string, text: string | null, revision: number): Promise<void> {
    const held = this.#held.get(key);
    if (held !== undefined && held.revision >= revision) return held.told;
    const challenge = text === null ? null : readChallenge(key, text);
    if (text !== null && challenge === null) this.#options.log.warn({ key }, "a challenge in the store cannot be read");
    if (challenge === null) this.#forget(key);
    else if (endOf(challenge) <= this.#now()) this.#discard(key, revision);
    else return this.#hold(key, challenge, revision);
    return Promise.resolve();
  }

  #hold(key: string, challenge: StoredChallenge, revision: number): Promise<void> {
    const told = Promise.withResolvers<void>();
    const held: Held = { challenge, revision, told: told.promise, answer: null };
    this.#held.set(key, held);
    this.#tell(key, held).then(told.resolve, (error: unknown) => {
      this.#options.log.error({ err: error, key }, "a challenge cannot be answered");
      told.resolve();
    });
    return told.promise;
  }

  async #tell(key: string, held: Held): Promise<void> {
    const { challenge } = held;
    if (challenge.kind === "dns") return;
    const { kind, name, untilMs, keyAuthorization } = challenge;
    const answer: WorkerChallenge =
      kind === "http"
        ? { kind, name, untilMs, keyAuthorization }
        : { kind, name, untilMs, ...(await createChallengeCertificate(name, keyAuthorization, new Date(this.#now()))) };
    // It may have been withdrawn, or another one taken its place.
    if (this.#held.get(key) !== held) return;
    held.answer = answer;
    this.#options.onKnown(answer);
  }

  #forget(key: string): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    this.#held.delete(key);
    const { kind, name } = held.challenge;
    if (kind !== "dns") this.#options.onForgotten(kind, name);
  }

  #prune(): void {
    const nowMs = this.#now();
    for (const [key, { challenge, revision }] of this.#held) if (endOf(challenge) <= nowMs) this.#discard(key, revision);
  }

  /** Every node does it, and the first one has done it for all. */
  #discard(key: string, revision: number): void {
    this.#forget(key);
    this.#options.store.delete(key, { revision }).catch((error: unknown) => {
      if (!isConflict(error)) this.#options.log.warn({ err: error, key }, "a challenge that expired cannot be deleted");
    });
  }

  /** Each order has a lease of its own, and a label may be that of several. */
  async #changeTexts(label: string, fence: Fence, change: (values: readonly TextValue[]) => readonly TextValue[]): Promise<void> {
    const { store } = this.#options;
    const key = challengeKey("dns", label);
    for (let conflicts = 0; ; conflicts++) {
      const entry = await store.get(key);
      const before = entry === null ? null : readChallenge(key, entry.value);
      const values = change(this.#valid(before?.kind === "dns" ? before.values : []));
      const text = challengeText({ kind: "dns", name: label, values });
      try {
        if (entry === null) {
          if (values.length > 0) await this.#learn(key, text, await store.create(key, text, { fence }));
        } else if (values.length > 0) await this.#learn(key, text, await store.update(key, text, entry.revision, { fence }));
        else {
          await store.delete(key, { revision: entry.revision, fence });
          this.#forget(key);
        }
        return;
      } catch (error) {
        if (!isConflict(error) || conflicts === MOST_CONFLICTS) throw error;
      }
    }
  }

  #valid(values: readonly TextValue[]): TextValue[] {
    const nowMs = this.#now();
    return values.filter(({ untilMs }) => untilMs > nowMs);
  }
}

/** Where it is in the store. */
function addressOf({ type, token, name }: Challenge): { readonly kind: WorkerChallengeKind; readonly name: string } {
  if (type === "dns-01") throw new ProxyError("internal", "DNS-01 is published in a zone");
  return type === "http-01" ? { kind: "http", name: token } : { kind: "alpn", name };
}

function isConflict(error: unknown): boolean {
  return error instanceof ProxyError && error.code === "store_conflict";
}
