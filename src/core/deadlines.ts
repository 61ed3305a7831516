// Hot path. Time-outs for thousands of connections at the price of an assignment each: whoever has a deadline sets a number, and one
// coarse clock looks at all of them. A time-out fires up to two ticks late, later where very many do at once, never early.

export interface Timed {
  /** By the clock of the `Deadlines` it was added to; Infinity for none. */
  deadlineMs: number;
  /** Called once per passed deadline; `deadlineMs` is Infinity by then. */
  onDeadline(): void;
}

/** A thousand slow clients may have come in the same moment; to end one takes about as long as to serve a request. */
const MOST_AT_ONCE = 16;

export class Deadlines {
  readonly #members = new Set<Timed>();
  /** Whose deadline has passed and who was not told yet: others get their turn in between. */
  #due: Timed[] = [];
  readonly #tickMs: number;
  /** The most that the clock moves in one tick. */
  readonly #strideMs: number;
  #timer: NodeJS.Timeout | null = null;
  #telling: NodeJS.Immediate | null = null;
  readonly #tellMore = (): void => {
    this.#telling = null;
    this.#tell();
  };
  /** When the last tick was, by `performance.now()`. */
  #tickedMs = 0;
  /**
   * A clock of its own, in milliseconds: moves with each tick, and stands still while the thread is blocked and while it has no
   * members. So a deadline set by a clock that is late is never cut short by more than the stride that `after` adds.
   */
  nowMs = 0;

  constructor(tickMs: number) {
    this.#tickMs = tickMs;
    this.#strideMs = 2 * tickMs;
  }

  add(member: Timed): void {
    this.#members.add(member);
    if (this.#timer === null) {
      this.#tickedMs = performance.now();
      this.#timer = setInterval(() => this.#tick(), this.#tickMs);
      this.#timer.unref();
    }
  }

  /** Members without a deadline need not leave; those that end must. */
  remove(member: Timed): void {
    this.#members.delete(member);
    if (this.#members.size === 0) this.stop();
  }

  /** The deadline `ms` from now; 0 means none. */
  after(ms: number): number {
    return ms === 0 ? Infinity : this.nowMs + ms + this.#strideMs;
  }

  /** For tests: as if so much time had gone by in which nothing else happened. */
  pass(ms: number): void {
    for (let leftMs = ms; leftMs > 0; leftMs -= this.#tickMs) {
      this.#move(Math.min(leftMs, this.#tickMs));
      while (this.#due.length > 0) this.#tell();
    }
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#telling !== null) clearImmediate(this.#telling);
    this.#timer = this.#telling = null;
    this.#due = [];
  }

  #tick(): void {
    const tickedMs = performance.now();
    const passedMs = Math.min(tickedMs - this.#tickedMs, this.#strideMs);
    this.#tickedMs = tickedMs;
    this.#move(passedMs);
  }

  #move(ms: number): void {
    this.nowMs += ms;
    // Those who wait since the last tick come first.
    if (this.#due.length === 0) for (const member of this.#members) if (member.deadlineMs <= this.nowMs) this.#due.push(member);
    if (this.#telling === null) this.#tell();
  }

  #tell(): void {
    for (const member of this.#due.splice(0, MOST_AT_ONCE)) {
      // Something may have come meanwhile.
      if (member.deadlineMs > this.nowMs || !this.#members.has(member)) continue;
      member.deadlineMs = Infinity;
      member.onDeadline();
    }
    if (this.#due.length > 0) this.#telling ??= setImmediate(this.#tellMore);
  }
}
