// Holds a scenario: starts everybody afresh in front of one backend, warms them up, and measures them in turn, round after round, so that a slow
// moment of the machine does not fall on one of them alone. Medians over the rounds are what counts.

import { inability } from "./abilities.ts";
import type { BenchCertificate } from "./certificate.ts";
import type { Contestant } from "./contestant.ts";
import { StuckLoadError, cpuUs, median, residentMb } from "./measure.ts";
import { BARE_BACKEND, type Figures, type NamedContestant, type Row, type Scenario } from "./scenario.ts";
import { startBackend } from "./start-backend.ts";

export interface ContestOptions {
  readonly rounds: number;
  /** Of each measurement. */
  readonly seconds: number;
}

interface Entry {
  readonly name: string;
  readonly warmUpSeconds: number;
  readonly start: () => Promise<NamedContestant>;
  running: NamedContestant | null;
  readonly rounds: Figures[];
  /** Why it is out. */
  out: Extract<Row, { reason: string }> | null;
}

/** Connections to the backend are made, and caches filled. */
const WARM_UP_SECONDS = 1;
/** V8's compilers are done with most of it then; their time would be counted too. */
const COMPILE_SECONDS = 3;

export async function contest(
  scenario: Scenario,
  contestants: readonly Contestant[],
  certificate: BenchCertificate,
  { rounds, seconds }: ContestOptions,
): Promise<Row[]> {
  await using backend = await startBackend();
  const entries: Entry[] = contestants.map(({ name, isCompiledLate, start }) => ({
    name,
    warmUpSeconds: isCompiledLate ? COMPILE_SECONDS : WARM_UP_SECONDS,
    start: async () => ({ ...(await start(backend.port, certificate)), name }),
    running: null,
    rounds: [],
    out: null,
  }));
  if (scenario.hasBare === true) {
    const bare = { ...backend, name: BARE_BACKEND, httpPort: backend.port, httpsPort: 0, [Symbol.asyncDispose]: async () => {} };
    entries.unshift({ name: BARE_BACKEND, warmUpSeconds: COMPILE_SECONDS, start: async () => bare, running: null, rounds: [], out: null });
  }
  try {
    for (const entry of entries) await attempt(entry, () => begin(entry, scenario));
    await scenario.prepare?.(entries.flatMap(({ running }) => running ?? []));
    for (let round = 0; round < rounds; round++) {
      for (const entry of entries) if (entry.out === null) await attempt(entry, () => measure(entry, scenario, seconds));
    }
  } finally {
    for (const { running } of entries) await running?.[Symbol.asyncDispose]();
  }
  return entries.map(({ name, out, rounds: figures }) => out ?? { name, outcome: "measured", figures: mediansOf(figures) });
}

/** One that fails is out of this scenario, and the others go on. Only what is the load generator's own fault is tried once more. */
async function attempt(entry: Entry, run: () => Promise<void>): Promise<void> {
  try {
    await run().catch((error: unknown) => {
      if (!(error instanceof StuckLoadError)) throw error;
      return run();
    });
  } catch (error) {
    entry.out = { name: entry.name, outcome: "failed", reason: (error as Error).message };
    const { running } = entry;
    entry.running = null;
    await running?.[Symbol.asyncDispose]();
  }
}

async function begin(entry: Entry, scenario: Scenario): Promise<void> {
  const running = (entry.running ??= await entry.start());
  const reason = await inability(running, scenario.needs);
  if (reason !== null) entry.out = { name: entry.name, outcome: "unable", reason };
  else if (scenario.isSingle !== true) await scenario.measure(running, entry.warmUpSeconds);
}

async function measure(entry: Entry, scenario: Scenario, seconds: number): Promise<void> {
  const running = entry.running!;
  const before = cpuUs(running.pid);
  const { count, seconds: took, p50Ms, p95Ms, p99Ms, kbEach = null, rate = null } = await scenario.measure(running, seconds);
  if (count === 0) throw new Error("nothing was answered");
  const isProxy = entry.name !== BARE_BACKEND;
  entry.rounds.push({
    cpuUs: isProxy ? (cpuUs(running.pid) - before) / count : null,
    perSecond: count / took,
    p50Ms: Number.isNaN(p50Ms) ? null : p50Ms,
    p95Ms: Number.isNaN(p95Ms) ? null : p95Ms,
    p99Ms: Number.isNaN(p99Ms) ? null : p99Ms,
    residentMb: isProxy ? residentMb(running.pid) : null,
    kbEach,
    rate,
  });
}

function mediansOf(rounds: readonly Figures[]): Figures {
  const of = (pick: (figures: Figures) => number | null): number | null => {
    const values = rounds.flatMap((figures) => pick(figures) ?? []);
    return values.length === 0 ? null : median(values);
  };
  return {
    cpuUs: of((figures) => figures.cpuUs),
    perSecond: of((figures) => figures.perSecond) ?? 0,
    p50Ms: of((figures) => figures.p50Ms),
    p95Ms: of((figures) => figures.p95Ms),
    p99Ms: of((figures) => figures.p99Ms),
    residentMb: of((figures) => figures.residentMb),
    kbEach: of((figures) => figures.kbEach),
    rate: of((figures) => figures.rate),
  };
}
