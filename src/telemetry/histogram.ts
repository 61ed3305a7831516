// Hot path. A histogram as numbers in one array, cheap to count into and to send from a worker to the main thread.

/** Upper bounds in seconds, as no public source tells those of Fly (reference section 10.2); the last bucket has none. */
export const BUCKETS_S: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const SUM = BUCKETS_S.length + 1;
const LENGTH = SUM + 1;

export class Histogram {
  /** A count for each bucket, not cumulative, the one without bound last; then the sum in seconds. */
  readonly values: Float64Array;

  constructor(values: Float64Array = new Float64Array(LENGTH)) {
    this.values = values;
  }

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < BUCKETS_S.length && seconds > BUCKETS_S[bucket]!) bucket++;
    this.values[bucket]!++;
    this.values[SUM]! += seconds;
  }

  add(values: Float64Array): void {
    for (let i = 0; i < LENGTH; i++) this.values[i]! += values[i]!;
  }

  get sum(): number {
    return this.values[SUM]!;
  }

  get count(): number {
    let count = 0;
    for (let i = 0; i < SUM; i++) count += this.values[i]!;
    return count;
  }
}
