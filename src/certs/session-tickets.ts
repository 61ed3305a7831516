// The keys of TLS session tickets, shared by all nodes of a store: whoever resumes need not meet the node again that it met before. Node takes
// one set of keys at a time, so all nodes must change to the next one at the same moment, which is in the store an hour before.
//
//     own (no store yet, or no secret to open it) ──► shared ──announced──► shared, and the next one known ──its moment──► shared
//
// The price: a ticket from just before that moment is worth nothing after it, and its owner does a whole handshake.

import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";

import type { Logger } from "pino";
import { z } from "zod";

import type { Component } from "../core/component.ts";
import type { Entry, Store } from "../state/store.ts";
import { logFailure } from "../telemetry/log.ts";

export interface SessionTicketsOptions {
  readonly store: Store;
  /** Seals what is in the store. Throws where it has no key for that. */
  readonly secret: { seal(storeKey: string, text: string): string; open(storeKey: string, sealed: string): string };
  /** Another set of keys is in force from now on: 48 bytes. */
  onChange(keys: Buffer): void;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

interface TicketKeys {
  /** From then on they are in force, until the next ones are. */
  readonly fromMs: number;
  readonly bytes: Buffer;
}

const STORE_KEY = "certs/tickets";
const KEYS_BYTES = 48;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Whoever gets hold of the keys can read what was said in TLS 1.2 sessions that such tickets are of: the fewer the better. */
const PERIOD_MS = 12 * HOUR_MS;
const ANNOUNCED_MS = HOUR_MS;
const LOOK_EVERY_MS = MINUTE_MS;
/** Where nobody was there to announce them in time: until all nodes have looked. */
const SHORT_NOTICE_MS = 3 * LOOK_EVERY_MS;
/** While another node writes what this one waits for. */
const LOOK_AGAIN_MS = 1000;
const LEASE_MS = 10_000;

const storedForm = z.object({ keys: z.array(z.object({ fromMs: z.number(), sealed: z.string() })) });

export class SessionTickets implements Component {
  readonly name = "session tickets";
  readonly #options: SessionTicketsOptions;
  readonly #now: () => number;
  #inForce: Buffer = randomBytes(KEYS_BYTES);
  #shared: readonly TicketKeys[] = [];
  /** What was logged last, so that a cause that stays is not logged every minute. */
  #complaint = "";

  constructor(options: SessionTicketsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** 48 bytes. */
  get inForce(): Buffer {
    return this.#inForce;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const lookAtMs = await this.look();
      await delay(Math.max(lookAtMs - this.#now(), 0), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Looks into the store, puts into it what is missing, and does as it says. Never throws: returns when to look again. */
  async look(): Promise<number> {
    let isSettled = true;
    try {
      isSettled = await this.#agree();
      this.#complaint = "";
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#complaint) logFailure(this.#options.log, error, { component: this.name });
      this.#complaint = message;
    }
    const nowMs = this.#now();
    this.#enforce(nowMs);
    const nextMs = this.#shared.find(({ fromMs }) => fromMs > nowMs)?.fromMs ?? Infinity;
    return Math.min(nowMs + (isSettled ? LOOK_EVERY_MS : LOOK_AGAIN_MS), nextMs);
  }

  /** False: something is to be written, and another node is about to. */
  async #agree(): Promise<boolean> {
    const { store } = this.#options;
    this.#shared = this.#read(await store.get(STORE_KEY));
    if (isComplete(this.#shared, this.#now())) return true;
    const lease = await store.lease(STORE_KEY, LEASE_MS);
    if (lease === null) return false;
    try {
      // Another may have written it just before the lease was free.
      const entry = await store.get(STORE_KEY);
      const found = this.#read(entry);
      this.#shared = found;
      if (isComplete(found, this.#now())) return true;
      const completed = complete(found, this.#now());
      const value = this.#write(completed);
      if (entry === null) await store.create(STORE_KEY, value, { fence: lease });
      else await store.update(STORE_KEY, value, entry.revision, { fence: lease });
      this.#shared = completed;
      return true;
    } finally {
      await lease.release();
    }
  }

  /** Those of the store, in order. None where the entry is damaged, or was given up by whoever could open it: they are made anew. */
  #read(entry: Entry | null): readonly TicketKeys[] {
    const form = entry === null ? null : parse(entry.value);
    if (form === null) return [];
    try {
      const keys = form.keys.map(({ fromMs, sealed }) => ({
        fromMs,
        bytes: Buffer.from(this.#options.secret.open(STORE_KEY, sealed), "base64"),
      }));
      return keys.every(({ bytes }) => bytes.length === KEYS_BYTES) ? keys.toSorted((a, b) => a.fromMs - b.fromMs) : [];
    } catch (error) {
      const isInUse = form.keys.some(({ fromMs }) => this.#now() < fromMs + 2 * PERIOD_MS);
      if (isInUse) throw error;
      return [];
    }
  }

  #write(keys: readonly TicketKeys[]): string {
    const sealed = keys.map(({ fromMs, bytes }) => ({ fromMs, sealed: this.#options.secret.seal(STORE_KEY, bytes.toString("base64")) }));
    return JSON.stringify({ keys: sealed });
  }

  #enforce(nowMs: number): void {
    const bytes = currentOf(this.#shared, nowMs)?.bytes;
    if (bytes === undefined || bytes.equals(this.#inForce)) return;
    this.#inForce = bytes;
    this.#options.onChange(bytes);
  }
}

function parse(value: string): z.infer<typeof storedForm> | null {
  try {
    return storedForm.parse(JSON.parse(value));
  } catch {
    return null;
  }
}

/** The last one whose moment has come; by a clock that is late, the first one there is. */
function currentOf(keys: readonly TicketKeys[], nowMs: number): TicketKeys | undefined {
  return keys.findLast(({ fromMs }) => fromMs <= nowMs) ?? keys[0];
}

/** Nothing is missing, and none is kept longer than it is of use. */
function isComplete(keys: readonly TicketKeys[], nowMs: number): boolean {
  const current = currentOf(keys, nowMs);
  if (current === undefined || current !== keys[0] || isFromAfar(current, nowMs)) return false;
  return keys.length > 1 || nowMs < current.fromMs + PERIOD_MS - ANNOUNCED_MS;
}

function complete(keys: readonly TicketKeys[], nowMs: number): readonly TicketKeys[] {
  const current = currentOf(keys, nowMs);
  if (current === undefined || isFromAfar(current, nowMs)) return [newKeys(nowMs)];
  const kept = keys.slice(keys.indexOf(current));
  const dueMs = current.fromMs + PERIOD_MS;
  if (kept.length > 1 || nowMs < dueMs - ANNOUNCED_MS) return kept;
  return [current, newKeys(Math.max(dueMs, nowMs + SHORT_NOTICE_MS))];
}

/** Made by a node whose clock was wrong: they would be in force for as long as that is off. */
function isFromAfar({ fromMs }: TicketKeys, nowMs: number): boolean {
  return fromMs > nowMs + PERIOD_MS;
}

function newKeys(fromMs: number): TicketKeys {
  return { fromMs, bytes: randomBytes(KEYS_BYTES) };
}
