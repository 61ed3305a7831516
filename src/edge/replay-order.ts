// What a machine asks for that answers with `fly-replay`: another machine is to answer the request. Reference section 4.1. Pure. The same
// in JSON is in replay-document.ts.

import type { Aim } from "../core/aim.ts";
import { parseDuration } from "../core/duration.ts";
import { aimAnywhere, aimAtMachine, aimAtRegions } from "../routing/aim.ts";
import type { CacheOrder } from "./cache-order.ts";
import type { Transform } from "./replay-transform.ts";
import { isMachineId } from "./steering.ts";

export interface ReplayOrder {
  /** Codes and aliases in order of preference; null: any. */
  readonly regions: readonly string[] | null;
  readonly instance: string | null;
  readonly preferInstance: string | null;
  /** null: the app that answered. */
  readonly app: string | null;
  /** Handed on to whoever answers. */
  readonly state: string | null;
  /** Not the machine that answered. */
  readonly elsewhere: boolean;
  /** How long to try to reach the target; null: as long as for any request. */
  readonly timeoutMs: number | null;
  /** What happens when it cannot be reached; null: the client gets the error. */
  readonly fallback: "force_self" | "prefer_self" | null;
  /** What the edge is to remember of it; null: nothing was said of that. */
  readonly cache: CacheOrder | null;
  /** How the request changes on its way; null: not at all. */
  readonly transform: Transform | null;
}

const FIELDS = ["region", "instance", "prefer_instance", "app", "state", "elsewhere", "timeout", "fallback"] as const;

/** By name of the field, what it says. */
export type ReplayFields = { readonly [name in Exclude<(typeof FIELDS)[number], "region">]?: string | undefined } & {
  /** With commas between them, or a list. */
  readonly region?: string | readonly string[] | undefined;
};

/** `name=value`, the value in quotes or without them; what is in quotes may have semicolons and commas. */
const PART = /^\s*([a-z_]+)\s*=\s*(?:"([^"]*)"|([^";]*))\s*(?:;|$)/;

/** The value of a `fly-replay` field; null: it is malformed. */
export function parseReplay(text: string, cache: CacheOrder | null = null): ReplayOrder | null {
  const fields: Record<string, string> = {};
  let rest = text;
  while (rest.trim() !== "") {
    const part = PART.exec(rest);
    if (part === null) return null;
    const [whole, name, quoted, plain] = part as unknown as [string, string, string | undefined, string | undefined];
    if (!FIELDS.includes(name as "region") || fields[name] !== undefined) return null;
    fields[name] = (quoted ?? plain ?? "").trim();
    rest = rest.slice(whole.length);
  }
  return replayOrder(fields, cache, null);
}

/** The fields put together; null: they make no sense, each by itself or with each other. */
export function replayOrder(fields: ReplayFields, cache: CacheOrder | null, transform: Transform | null): ReplayOrder | null {
  const { region, instance, prefer_instance: preferInstance, app, state, elsewhere, timeout, fallback } = fields;
  const timeoutMs = timeout === undefined ? null : parseDuration(timeout);
  const listed = typeof region === "string" ? region.split(",") : region;
  const regions = listed === undefined ? null : listed.map((code) => code.trim().toLowerCase());
  const isSound =
    (instance ?? preferInstance ?? app ?? region ?? elsewhere) !== undefined &&
    (instance === undefined || preferInstance === undefined) &&
    [instance, preferInstance].every((id) => id === undefined || isMachineId(id)) &&
    (regions === null || (regions.length > 0 && regions.every((code) => /^[a-z0-9-]{1,32}$/.test(code)))) &&
    (app === undefined || app !== "") &&
    (state === undefined || !state.includes(";")) &&
    (elsewhere === undefined || elsewhere === "true" || elsewhere === "false") &&
    (timeout === undefined || (timeoutMs !== null && timeoutMs > 0)) &&
    (fallback === undefined || fallback === "force_self" || fallback === "prefer_self");
  if (!isSound) return null;
  return {
    regions,
    instance: instance ?? null,
    preferInstance: preferInstance ?? null,
    app: app ?? null,
    state: state ?? null,
    elsewhere: elsewhere === "true",
    timeoutMs,
    fallback: (fallback as "force_self" | undefined) ?? null,
    cache,
    transform,
  };
}

/** @param answeredBy id of the machine that gave the order */
export function aimOf({ regions, instance, preferInstance, elsewhere }: ReplayOrder, answeredBy: string): Aim | null {
  const except = elsewhere ? answeredBy : null;
  if (instance !== null) return aimAtMachine(instance, except, null);
  const atRegions = regions === null ? null : aimAtRegions(regions, except, null);
  if (preferInstance !== null) return aimAtMachine(preferInstance, except, atRegions ?? aimAnywhere(except));
  return atRegions ?? (except === null ? null : aimAnywhere(except));
}
