// What a run of any load generator comes to.

export interface LoadResult extends Percentiles {
  /** Requests, connections or messages that were answered as they should be. */
  readonly count: number;
  readonly seconds: number;
}

export interface Percentiles {
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

export function percentiles(timesMs: Iterable<number>): Percentiles {
  const sorted = Float64Array.from(timesMs).sort();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) };
}
