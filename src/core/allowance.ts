// Hot path. So many of something at once, and so many a second.

export class Allowance {
  readonly #most: number;
  readonly #perSecond: number;
  #left: number;
  #atMs: number;

  /** Full at first. Times are by any clock in milliseconds. */
  constructor(most: number, perSecond: number, nowMs: number) {
    this.#most = most;
    this.#perSecond = perSecond;
    this.#left = most;
    this.#atMs = nowMs;
  }

  /** False when it is used up. */
  take(nowMs: number): boolean {
    if (nowMs > this.#atMs) {
      this.#left = Math.min(this.#most, this.#left + ((nowMs - this.#atMs) * this.#perSecond) / 1000);
      this.#atMs = nowMs;
    }
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  /** More of it, for work that warrants it. */
  add(amount: number): void {
    this.#left = Math.min(this.#most, this.#left + amount);
  }
}
