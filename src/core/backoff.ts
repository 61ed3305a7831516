// How long to wait before trying again. Pure: the caller keeps the count and brings the randomness.

export interface BackoffOptions {
  /** Wait before the first retry, in milliseconds. */
  readonly minMs: number;
  /** Longest wait, in milliseconds. */
  readonly maxMs: number;
}

/**
 * Exponential back-off with "equal jitter": half of the wait is fixed, half is random, so that many waiters spread out
 * and none retries at once.
 *
 * @param failures how often it failed so far, 1 for the first failure
 * @param random a number in [0, 1)
 * @returns milliseconds
 */
export function backoffMs(failures: number, options: BackoffOptions, random: number): number {
  const exponent = Math.min(Math.max(failures, 1) - 1, 30);
  const ceiling = Math.min(options.maxMs, options.minMs * 2 ** exponent);
  return ceiling / 2 + (ceiling / 2) * random;
}
