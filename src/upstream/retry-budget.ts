// How many requests of a service may be sent again after they were sent, so that a service in trouble does not get several times its load
// for it. Kept by each worker for itself. Connections that could not be made do not count: nothing of them reached anybody, and the limit
// of attempts and the waits between them bound those. As Finagle, linkerd and Envoy have it.

/** The share of requests that may be sent again. */
const RATIO = 0.2;
/** For services with few requests: so many a second all the same. */
const LEAST_PER_SECOND = 10;
const WINDOW_MS = 10_000;
const HALF_MS = WINDOW_MS / 2;
const LEAST = (LEAST_PER_SECOND * WINDOW_MS) / 1000;

/** Counts over the last five to ten seconds. Times are of any one clock that does not go back, in milliseconds. */
export class RetryBudget {
  #requests = 0;
  #retries = 0;
  #requestsBefore = 0;
  #retriesBefore = 0;
  #sinceMs = 0;

  /** A request has come. */
  count(nowMs: number): void {
    if (nowMs - this.#sinceMs >= HALF_MS) this.#turn(nowMs);
    this.#requests++;
  }

  /** May one be sent again? True: it is counted. */
  take(nowMs: number): boolean {
    if (nowMs - this.#sinceMs >= HALF_MS) this.#turn(nowMs);
    const most = Math.max(LEAST, (this.#requests + this.#requestsBefore) * RATIO);
    if (this.#retries + this.#retriesBefore >= most) return false;
    this.#retries++;
    return true;
  }

  #turn(nowMs: number): void {
    const isLongAgo = nowMs - this.#sinceMs >= WINDOW_MS;
    this.#requestsBefore = isLongAgo ? 0 : this.#requests;
    this.#retriesBefore = isLongAgo ? 0 : this.#retries;
    this.#requests = 0;
    this.#retries = 0;
    this.#sinceMs = nowMs;
  }
}
