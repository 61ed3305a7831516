// Hot path. What each client's address has taken of what an app allows it, in memory shared by all threads of the node: a client whose
// connections are spread over the workers, and one that has a single connection, are held to the same.
//
// A table of fixed size. An address is in one of the places of its set, which hashing picks; the seed of that is the node's secret, so that
// nobody can choose addresses to crowd one set. When a set is full, the address that was quiet longest gives way, but none that has
// connections. Whoever finds no place is let in uncounted: a full table refuses nobody.
//
// A set is read and written under its lock, for less than a microsecond. A thread may be ended while it holds one, so whoever waits for very
// long takes it over. Every worker counts connections in a column of its own, so that those of one that died can be forgotten.

import { randomInt } from "node:crypto";

import type { IpFamily } from "../core/ip-address.ts";

const SETS = 4096;
const PLACES = 8;
const ENTRIES = SETS * PLACES;
/** Seeds, and how many workers there are. */
const HEADER = 4;
/** Longer than a thread that runs holds a lock. */
const MOST_SPINS = 1000;
/** One that was interrupted with it gets on, a millisecond each: far longer than any that lives takes. */
const MOST_PAUSES = 200;

/** The connection is counted nowhere, for there is no place for its address. */
export const UNCOUNTED = -1;
/** The address has as many as it may have. */
export const TOO_MANY = -2;

export class AddressTable {
  readonly buffer: SharedArrayBuffer;
  readonly #header: Int32Array;
  readonly #locks: Int32Array;
  readonly #keys: Int32Array;
  /** When all that was taken has been made up for, of each address: the theoretical arrival time of GCRA. */
  readonly #dueMs: Float64Array;
  readonly #connections: Int32Array;
  readonly #workers: number;
  readonly #worker: number;
  #key0 = 0;
  #key1 = 0;

  /** @param worker index of the thread that uses this view; the main thread takes any, since it counts nothing */
  constructor(buffer: SharedArrayBuffer, worker: number) {
    this.buffer = buffer;
    this.#worker = worker;
    this.#header = new Int32Array(buffer, 0, HEADER);
    this.#workers = this.#header[2]!;
    let at = HEADER * 4;
    this.#dueMs = new Float64Array(buffer, at, ENTRIES);
    this.#locks = new Int32Array(buffer, (at += ENTRIES * 8), SETS);
    this.#keys = new Int32Array(buffer, (at += SETS * 4), 2 * ENTRIES);
    this.#connections = new Int32Array(buffer, at + ENTRIES * 8, ENTRIES * this.#workers);
  }

  static create(workers: number): AddressTable {
    const buffer = new SharedArrayBuffer(4 * (HEADER + SETS + ENTRIES * (4 + workers)));
    new Int32Array(buffer).set([randomInt(2 ** 32) | 0, randomInt(2 ** 32) | 0, workers]);
    return new AddressTable(buffer, 0);
  }

  /**
   * Whose table this is: each app has rules of its own, and counts of its own.
   * @returns a number for the other functions
   */
  scope(name: string): number {
    let hash = this.#header[0]!;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x9e3779b1) ^ (hash >>> 15);
    return hash;
  }

  /**
   * One request of the address, by GCRA (ITU-T I.371): one each `intervalMs` for ever, and `toleranceMs` ahead of that.
   * @param words as `parseIp` writes them; addresses of IPv6 count by their network of 64 bits
   * @param nowMs by a clock that all threads share
   * @returns 0 when it may pass; otherwise the milliseconds after which one may
   */
  take(scope: number, family: IpFamily, words: Uint32Array, intervalMs: number, toleranceMs: number, nowMs: number): number {
    const set = this.#setOf(scope, family, words);
    this.#lock(set);
    const entry = this.#entry(set, nowMs);
    let waitMs = 0;
    if (entry !== -1) {
      const due = this.#dueMs[entry]!;
      // Rules that changed may have left it further off than any of these would.
      const aheadMs = Math.min(Math.max(due - nowMs, 0), toleranceMs + intervalMs);
      if (aheadMs > toleranceMs) waitMs = aheadMs - toleranceMs;
      else this.#dueMs[entry] = nowMs + aheadMs + intervalMs;
    }
    this.#unlock(set);
    return waitMs;
  }

  /**
   * One more connection of the address.
   * @returns for `disconnect`, or `TOO_MANY`
   */
  connect(scope: number, family: IpFamily, words: Uint32Array, most: number, nowMs: number): number {
    const set = this.#setOf(scope, family, words);
    this.#lock(set);
    let entry = this.#entry(set, nowMs);
    if (entry === -1) entry = UNCOUNTED;
    else if (this.#count(entry) >= most) entry = TOO_MANY;
    else this.#connections[entry * this.#workers + this.#worker]!++;
    this.#unlock(set);
    return entry;
  }

  /** @param place what `connect` returned */
  disconnect(place: number): void {
    if (place < 0) return;
    // No address with connections gives way, so it is still the same one's.
    const set = Math.floor(place / PLACES);
    this.#lock(set);
    this.#connections[place * this.#workers + this.#worker]!--;
    this.#unlock(set);
  }

  /** Forgets the connections of a worker. Only after that thread has ended. */
  releaseWorker(worker: number): void {
    for (let entry = 0; entry < ENTRIES; entry++) this.#connections[entry * this.#workers + worker] = 0;
  }

  /** The set of an address, whose key is in `#key0` and `#key1` from here on. */
  #setOf(scope: number, family: IpFamily, words: Uint32Array): number {
    const high = family === 4 ? words[2]! : words[0]!;
    const low = family === 4 ? words[3]! : words[1]!;
    this.#key0 = mixed(mixed(mixed(scope, high), low), this.#header[0]!);
    // 0 and 0 is nobody's.
    this.#key1 = mixed(mixed(mixed(this.#header[1]!, low), scope), high) | 1;
    return (this.#key0 ^ (this.#key1 >>> 7)) & (SETS - 1);
  }

  /** The address's place in the set, a new one if need be; -1 if there is none. */
  #entry(set: number, nowMs: number): number {
    const keys = this.#keys;
    let quietest = -1;
    let quietestMs = Infinity;
    for (let entry = set * PLACES; entry < (set + 1) * PLACES; entry++) {
      if (keys[2 * entry] === this.#key0 && keys[2 * entry + 1] === this.#key1) return entry;
      const due = keys[2 * entry + 1] === 0 ? -1 : this.#dueMs[entry]!;
      if (due >= quietestMs || this.#count(entry) > 0) continue;
      quietest = entry;
      quietestMs = due;
    }
    if (quietest === -1) return -1;
    keys[2 * quietest] = this.#key0;
    keys[2 * quietest + 1] = this.#key1;
    this.#dueMs[quietest] = nowMs;
    return quietest;
  }

  #count(entry: number): number {
    const first = entry * this.#workers;
    let count = 0;
    for (let worker = 0; worker < this.#workers; worker++) count += this.#connections[first + worker]!;
    return count;
  }

  #lock(set: number): void {
    for (let tries = 0; Atomics.compareExchange(this.#locks, set, 0, 1) !== 0; tries++) {
      if (tries < MOST_SPINS) continue;
      if (tries === MOST_SPINS + MOST_PAUSES) return;
      Atomics.wait(this.#locks, set, 1, 1);
    }
  }

  #unlock(set: number): void {
    Atomics.store(this.#locks, set, 0);
  }
}

/** Two rounds of MurmurHash3's. */
function mixed(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  let h = hash ^ k;
  h = Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return (h ^ (h >>> 13)) | 0;
}
