// Which machine goes to sleep, if any: the formula of reference section 6.1, for the machines of one region and process group. Pure; the idler
// (idler.ts) looks at the real ones by it, a simulator at others.

/** What is known of a running machine after a look at it. Times are by any clock in milliseconds that never jumps. */
export interface Watched {
  readonly id: string;
  /** Tells one run of the machine from the next. */
  readonly run: number;
  /** What the edge has in flight on it. */
  readonly inFlight: number;
  /** A counter that moved with every claim. */
  readonly activity: number;
  /** Since when it has had no load at all. */
  readonly idleSinceMs: number;
  /** Since when it has not been over its soft limit. */
  readonly calmSinceMs: number;
}

export type Look = Pick<Watched, "id" | "run" | "inFlight" | "activity">;

export interface SleepGroup {
  readonly running: readonly Watched[];
  /** How many stay awake whatever their load. */
  readonly keep: number;
  readonly softLimit: number;
  /** How long a state must have lasted before anything follows from it. */
  readonly idleTimeoutMs: number;
  /** Since when it has been these machines that run. */
  readonly settledSinceMs: number;
  /** Machines that say that they are busy: left alone, whatever the edge sees. */
  readonly isBusy: (id: string) => boolean;
}

export interface Sleeper {
  readonly id: string;
  /** It has had no load for long enough. Otherwise the others take over what comes, and what is in flight has to end first. */
  readonly isIdle: boolean;
}

/** The machine as it is seen now, given how it was seen before (undefined: never). One that just came up has only now become calm. */
export function observe(before: Watched | undefined, look: Look, softLimit: number, nowMs: number): Watched {
  const known = before?.run === look.run ? before : undefined;
  const wasIdle = known !== undefined && known.activity === look.activity && look.inFlight === 0;
  const isCalm = known !== undefined && look.inFlight < softLimit;
  return { ...look, idleSinceMs: wasIdle ? known.idleSinceMs : nowMs, calmSinceMs: isCalm ? known.calmSinceMs : nowMs };
}

/** How many of `running` machines are more than enough where `overSoft` of them have no room below their soft limit: one with room is kept. */
export function excess(running: number, overSoft: number): number {
  return running - (overSoft + 1);
}

/**
 * At most one machine of the group, the one that was idle longest, else the one with the least in flight; null: none has to go.
 *
 * - One that runs alone goes only when it has had no load for idle_timeout.
 * - Of several, one goes when there is an excess of at least one. A machine counts as over its soft limit when it was at any time in the
 *   last idle_timeout, and so does one that has not run for so long.
 * - One that has load goes only when the same machines have run for idle_timeout, and the rest has room below the soft limit for what all
 *   have now: it would only be woken again.
 */
export function chooseSleeper(group: SleepGroup, nowMs: number): Sleeper | null {
  const { running, keep, softLimit, idleTimeoutMs, settledSinceMs, isBusy } = group;
  if (running.length <= keep) return null;
  const hasLasted = (sinceMs: number): boolean => nowMs - sinceMs >= idleTimeoutMs;
  const isIdle = ({ idleSinceMs }: Watched): boolean => hasLasted(idleSinceMs);
  const chosen = running.filter(({ id }) => !isBusy(id)).toSorted(bySleepiness)[0];
  if (chosen === undefined) return null;
  if (running.length === 1) return isIdle(chosen) ? { id: chosen.id, isIdle: true } : null;
  const overSoft = running.filter(({ calmSinceMs }) => !hasLasted(calmSinceMs)).length;
  if (excess(running.length, overSoft) < 1) return null;
  if (isIdle(chosen)) return { id: chosen.id, isIdle: true };
  const inFlight = running.reduce((sum, machine) => sum + machine.inFlight, 0);
  const hasRoom = inFlight < softLimit * (running.length - 1);
  return hasLasted(settledSinceMs) && hasRoom ? { id: chosen.id, isIdle: false } : null;
}

function bySleepiness(a: Watched, b: Watched): number {
  return a.idleSinceMs - b.idleSinceMs || a.inFlight - b.inFlight || (a.id < b.id ? -1 : 1);
}
