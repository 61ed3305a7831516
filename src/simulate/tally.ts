// What came of a simulated day: counted as it happens, summed up at the end.

export interface Served {
  /** Where it came in. */
  readonly region: string;
  /** Region of the machine. */
  readonly by: string;
  readonly tookMs: number;
  /** It was held for a machine to wake, or for a place. */
  readonly hasWaited: boolean;
  readonly atMs: number;
}

export interface RegionSummary {
  readonly region: string;
  readonly requests: number;
  readonly lost: number;
  /** Share of those served by a machine of the region. */
  readonly local: number;
  readonly waited: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

export interface Summary {
  readonly requests: number;
  readonly lost: number;
  /** Share of the requests that were held. */
  readonly waited: number;
  readonly wakes: number;
  readonly machineHours: number;
  /** What it would have been with all machines running all the time. */
  readonly alwaysOnHours: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly regions: readonly RegionSummary[];
  /** In even parts of the whole time. */
  readonly course: readonly Part[];
}

export interface Part {
  readonly fromMs: number;
  readonly requests: number;
  /** Machines that were awake, on average. */
  readonly awake: number;
}

const HOUR_MS = 3_600_000;

interface Counted {
  readonly timesMs: number[];
  lost: number;
  waited: number;
  local: number;
}

export class Tally {
  readonly #partMs: number;
  readonly #regions = new Map<string, Counted>();
  readonly #arrivals: number[] = [];
  readonly #awakeMs: number[] = [];
  /** Machines that are awake, and since when. */
  readonly #awakeSinceMs = new Map<string, number>();
  #wakes = 0;

  /** @param partMs how finely the course is told */
  constructor(partMs: number) {
    this.#partMs = partMs;
  }

  arrived(region: string, atMs: number): void {
    this.#of(region);
    const part = Math.floor(atMs / this.#partMs);
    this.#arrivals[part] = (this.#arrivals[part] ?? 0) + 1;
  }

  served({ region, by, tookMs, hasWaited }: Served): void {
    const counted = this.#of(region);
    counted.timesMs.push(tookMs);
    if (hasWaited) counted.waited++;
    if (by === region) counted.local++;
  }

  lost(region: string): void {
    this.#of(region).lost++;
  }

  woke(): void {
    this.#wakes++;
  }

  /** From the moment it starts: that is when it begins to cost something. */
  awake(machine: string, atMs: number): void {
    this.#awakeSinceMs.set(machine, atMs);
  }

  asleep(machine: string, atMs: number): void {
    const sinceMs = this.#awakeSinceMs.get(machine);
    if (sinceMs === undefined) return;
    this.#awakeSinceMs.delete(machine);
    for (let fromMs = sinceMs; fromMs < atMs;) {
      const part = Math.floor(fromMs / this.#partMs);
      const untilMs = Math.min(atMs, (part + 1) * this.#partMs);
      this.#awakeMs[part] = (this.#awakeMs[part] ?? 0) + untilMs - fromMs;
      fromMs = untilMs;
    }
  }

  summary(endMs: number, machines: number): Summary {
    for (const machine of [...this.#awakeSinceMs.keys()]) this.asleep(machine, endMs);
    const all = [...this.#regions.values()];
    const timesMs = all.flatMap((counted) => counted.timesMs);
    const lost = sum(all.map((counted) => counted.lost));
    const requests = timesMs.length + lost;
    const parts = Math.ceil(endMs / this.#partMs);
    return {
      requests,
      lost,
      waited: share(sum(all.map(({ waited }) => waited)), requests),
      wakes: this.#wakes,
      machineHours: sum(this.#awakeMs.map((ms) => ms ?? 0)) / HOUR_MS,
      alwaysOnHours: (machines * endMs) / HOUR_MS,
      ...percentiles(timesMs),
      regions: [...this.#regions].map(([region, counted]): RegionSummary => {
        const served = counted.timesMs.length;
        const total = served + counted.lost;
        const shares = { local: share(counted.local, served), waited: share(counted.waited, total) };
        return { region, requests: total, lost: counted.lost, ...shares, ...percentiles(counted.timesMs) };
      }),
      course: Array.from({ length: parts }, (_, part) => {
        return { fromMs: part * this.#partMs, requests: this.#arrivals[part] ?? 0, awake: (this.#awakeMs[part] ?? 0) / this.#partMs };
      }),
    };
  }

  #of(region: string): Counted {
    let counted = this.#regions.get(region);
    if (counted === undefined) this.#regions.set(region, (counted = { timesMs: [], lost: 0, waited: 0, local: 0 }));
    return counted;
  }
}

function percentiles(timesMs: readonly number[]): { p50Ms: number; p95Ms: number; p99Ms: number } {
  const sorted = Float64Array.from(timesMs).sort();
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return { p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
