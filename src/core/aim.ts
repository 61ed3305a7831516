// Where a request is to go when more than nearness decides it: a chain of targets, of which the first that can serve it does. Plain values,
// since a target also goes to the main thread with a wish to wake one of its machines. Made in edge/steering.ts and edge/replay.ts.

/** Some of a service's machines: what is not null narrows it down. */
export interface Target {
  /** Targets with one key are the same. */
  readonly key: string;
  /** The machine with this id. */
  readonly machine: string | null;
  /** Machines in one of these regions, none of them better than another but by nearness. */
  readonly regions: readonly string[] | null;
  /** Not the machine with this id. */
  readonly except: string | null;
}

export interface Aim {
  readonly target: Target;
  /** What comes next when no machine of the target can serve, or be woken; null: nothing, and the request is refused. */
  readonly orElse: Aim | null;
}

export function target({ machine = null, regions = null, except = null }: Partial<Omit<Target, "key">>): Target {
  return { key: JSON.stringify([machine, regions, except]), machine, regions, except };
}

export function isInTarget(
  { machine, regions, except }: Target,
  { id, region }: { readonly id: string; readonly region: string },
): boolean {
  if (machine !== null && machine !== id) return false;
  return id !== except && (regions === null || regions.includes(region));
}
