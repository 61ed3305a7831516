// Hot path. Who carries how much: in-flight counts of every machine and service in memory shared by all threads of the node.
// A hard limit holds exactly across workers, and a machine is put to sleep only when nobody is on it, without any message.
//
// A slot's word holds the count and, in one high bit, "closed": no new claims. Because both are in one word, "nothing in flight, so
// close" and "not closed, so one more" exclude each other. Beside it every worker keeps what it holds itself, so that the claims
// of a worker that died can be given back, and how many claims it ever made, so that idleness can be told from the counts alone.
// A thread may be ended at any call, that of an atomic operation included. So the worker's own count always changes right after the
// shared one, with no call in between, and the two cannot come apart.

/** Slots of one node: a machine and service each, and one for each service's waiting requests. */
export const MAX_SLOTS = 16_384;
export const MAX_WORKERS = 64;

const CLOSED = 1 << 30;
const COUNT = CLOSED - 1;
/** Where the bells begin: one word a wait slot, counting signals. */
const BELLS = MAX_SLOTS;
/** Stands for "unlimited". */
export const NO_LIMIT = COUNT;

export const CLAIMED = 0;
export const FULL = 1;
export const SHUT = 2;
export type ClaimResult = typeof CLAIMED | typeof FULL | typeof SHUT;

export class LoadTable {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  /** Where this worker's own counts and claim counters begin. */
  readonly #held: number;
  readonly #made: number;

  /** @param worker index of the thread that uses this view; the main thread takes any, since it claims nothing */
  constructor(buffer: SharedArrayBuffer, worker: number) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#held = heldStart(worker);
    this.#made = this.#held + MAX_SLOTS;
  }

  static create(): LoadTable {
    return new LoadTable(new SharedArrayBuffer((2 + MAX_WORKERS * 2) * MAX_SLOTS * Int32Array.BYTES_PER_ELEMENT), 0);
  }

  /** Takes a place on the slot unless it is closed or `limit` are taken. */
  claim(slot: number, limit: number): ClaimResult {
    const words = this.#words;
    let seen = Atomics.load(words, slot);
    for (;;) {
      if ((seen & CLOSED) !== 0) return SHUT;
      if (seen >= limit) return FULL;
      const before = Atomics.compareExchange(words, slot, seen, seen + 1);
      if (before === seen) break;
      seen = before;
    }
    words[this.#held + slot]!++;
    words[this.#made + slot]!++;
    return CLAIMED;
  }

  release(slot: number): void {
    Atomics.sub(this.#words, slot, 1);
    this.#words[this.#held + slot]!--;
  }

  /** How many are in flight on the slot, over all workers. */
  count(slot: number): number {
    return Atomics.load(this.#words, slot) & COUNT;
  }

  /**
   * How many are in flight on the slot; of a closed one, a number above every limit. For looking at many: it may be old by a moment, which is
   * all the same as long as `claim` decides, and costs a tenth of an atomic read.
   */
  taken(slot: number): number {
    return this.#words[slot]!;
  }

  isClosed(slot: number): boolean {
    return (Atomics.load(this.#words, slot) & CLOSED) !== 0;
  }

  /** Refuses new claims if nothing is in flight; true when the slot is closed now. */
  closeWhenIdle(slot: number): boolean {
    const before = Atomics.compareExchange(this.#words, slot, 0, CLOSED);
    return before === 0 || before === CLOSED;
  }

  /** Refuses new claims from now on, whatever is in flight. */
  close(slot: number): void {
    Atomics.or(this.#words, slot, CLOSED);
  }

  open(slot: number): void {
    Atomics.and(this.#words, slot, ~CLOSED);
  }

  /** Claims ever made on the slot, by all workers; wraps around. Only a change of it means something. */
  activity(slot: number): number {
    let sum = 0;
    for (let worker = 0; worker < MAX_WORKERS; worker++) sum = (sum + this.#words[heldStart(worker) + MAX_SLOTS + slot]!) | 0;
    return sum;
  }

  /** Gives back everything that a worker held, and lets those who wait elsewhere look again. Only after that thread has ended. */
  releaseWorker(worker: number): void {
    const held = heldStart(worker);
    for (let slot = 0; slot < MAX_SLOTS; slot++) {
      const count = this.#words[held + slot]!;
      if (count === 0) continue;
      this.#words[held + slot] = 0;
      Atomics.sub(this.#words, slot, count);
    }
    for (let slot = 0; slot < MAX_SLOTS; slot++) this.signal(slot);
  }

  /** What this thread's worker holds on the slot. */
  held(slot: number): number {
    return this.#words[this.#held + slot]!;
  }

  /** Forgets all about a slot that nobody uses any more. */
  reset(slot: number): void {
    Atomics.store(this.#words, slot, 0);
  }

  /** On a wait slot: one more request of this thread's worker waits for a place. Then look once more, then wait. */
  addWaiter(slot: number): void {
    Atomics.add(this.#words, slot, 1);
    this.#words[this.#held + slot]!++;
  }

  removeWaiter(slot: number): void {
    this.release(slot);
  }

  /** On a wait slot: a place became free. Costs one load when nobody waits. */
  signal(slot: number): void {
    if (Atomics.load(this.#words, slot) === 0) return;
    Atomics.add(this.#words, BELLS + slot, 1);
    Atomics.notify(this.#words, BELLS + slot);
  }

  /** On a wait slot: how often it was signalled. Read it before looking for a place, and wait for it to change after. */
  signals(slot: number): number {
    return Atomics.load(this.#words, BELLS + slot);
  }

  /** Resolves as soon as the slot was signalled more often than `seen`. */
  waitForSignal(slot: number, seen: number): Promise<unknown> {
    const wait = Atomics.waitAsync(this.#words, BELLS + slot, seen);
    return wait.async ? wait.value : Promise.resolve();
  }
}

function heldStart(worker: number): number {
  return MAX_SLOTS * (2 + worker * 2);
}
