// Which machines an app should have on this node's fleet: one for each region that a service names, in every process group, or exactly
// those that [[kittiwake.machines]] lists.

import { createHash } from "node:crypto";

import type { MachineSpec } from "../core/app.ts";

/** What one process group asks for. */
export interface GroupPlacement {
  readonly group: string;
  readonly isDefault: boolean;
  /** The regions of each service of the group; a region that one service names twice gets two machines. */
  readonly regionLists: readonly (readonly string[])[];
  /** [[kittiwake.machines]] of the group; where there are any, they are all. */
  readonly given: readonly GivenMachine[];
}

export type GivenMachine = Pick<MachineSpec, "region" | "address"> & { readonly id: string | null };

/** The machines of an app, in the order of its groups and of their regions. */
export function placeMachines(node: string, app: string, groups: readonly GroupPlacement[]): MachineSpec[] {
  const namesTaken = new Set(groups.flatMap(({ given }) => given.map(({ id }) => id)));
  return groups.flatMap(({ group, isDefault, regionLists, given }) => {
    const wanted = given.length > 0 ? given : mergeRegions(regionLists).map((region) => ({ region, id: null, address: null }));
    const placedIn = new Map<string, number>();
    return wanted.map(({ id, region, address }): MachineSpec => {
      if (id !== null) return { id, name: id, group, region, address };
      const ordinal = (placedIn.get(region) ?? 0) + 1;
      placedIn.set(region, ordinal);
      const name = freeName(isDefault ? region : `${group}-${region}`, ordinal, namesTaken);
      return { id: machineId([node, app, group, region, ordinal]), name, group, region, address };
    });
  });
}

/** Services of one group share its machines: each region as often as the service that wants it most. */
function mergeRegions(lists: readonly (readonly string[])[]): string[] {
  const merged = new Map<string, string>();
  for (const list of lists) {
    const seen = new Map<string, number>();
    for (const region of list) {
      const ordinal = (seen.get(region) ?? 0) + 1;
      seen.set(region, ordinal);
      merged.set(`${region} ${ordinal}`, region);
    }
  }
  return [...merged.values()];
}

/** Stable across restarts and edits of other machines, and as long as Fly's ids. */
function machineId(parts: readonly (string | number)[]): string {
  return createHash("sha256").update(parts.join("/")).digest("hex").slice(0, 14);
}

function freeName(base: string, ordinal: number, taken: Set<string | null>): string {
  for (let n = ordinal; ; n++) {
    const name = n === 1 ? base : `${base}-${n}`;
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}
