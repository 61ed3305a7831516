// [kittiwake.access]: who may come to an app, and how much of it.

import { z } from "zod";

import type { AccessRules, SpacedRate } from "../core/app.ts";
import type { Findings } from "./findings.ts";
import { addressBlock } from "./scalars.ts";

const SECONDS_IN: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };
export const MOST = 1_000_000;
/** Every worker reads them again when they change. */
const MOST_BLOCKS = 10_000;

/** Of a client's address: so many, and in how many milliseconds. */
interface Rate {
  readonly count: number;
  readonly periodMs: number;
}

export const rate: z.ZodType<Rate, string> = z
  .string()
  .transform((value, context): Rate => {
    const [, digits = "", unit = ""] = /^(\d{1,7})\/([smh])$/.exec(value) ?? [];
    const count = Number(digits);
    if (count >= 1 && count <= MOST) return { count, periodMs: SECONDS_IN[unit]! * 1000 };
    context.addIssue({ code: "custom", message: `expected a rate such as "100/s", "20/m" or "1000/h", got ${JSON.stringify(value)}` });
    return z.NEVER;
  })
  .meta({ kind: 'a rate such as "100/s", "20/m" or "1000/h"' });

export const access = z
  .strictObject({
    allow: z
      .array(addressBlock())
      .max(MOST_BLOCKS)
      .default([])
      .meta({ description: "Addresses that may come; with an empty list all may. Others get 403.", fallback: "all" }),
    deny: z.array(addressBlock()).max(MOST_BLOCKS).default([]).describe("Addresses that may not, even if `allow` has them; they get 403."),
    rate: rate.optional().meta({
      description:
        "Requests that each client's address may make in the long run, over all workers of a node: of IPv6 each network of 64 bits. More get 429, with the seconds to wait in `retry-after`. A connection without HTTP is one request.",
      fallback: "no limit",
    }),
    burst: z.int().min(1).max(MOST).optional().meta({
      description: "How many of them may come at once.",
      fallback: "as many as the rate has in its time",
    }),
    connections_per_address: z.int().min(1).max(MOST).optional().meta({
      description:
        "Connections that each client's address may have with the app at once, over all workers of a node. A request on one more gets 429.",
      fallback: "no limit",
    }),
  })
  .prefault({})
  .describe("Who may come, and how much; asked before a machine is woken.");

/** null where nothing is asked for. */
export function toAccess(document: z.output<typeof access>, findings: Findings): AccessRules | null {
  const { allow, deny, rate: asked, burst, connections_per_address: connectionsPerAddress = null } = document;
  if (burst !== undefined && asked === undefined)
    findings.error(["kittiwake", "access", "burst"], "there is no rate that it is for; set rate");
  if (allow.length === 0 && deny.length === 0 && asked === undefined && connectionsPerAddress === null) return null;
  return { allow, deny, rate: asked === undefined ? null : spaced(asked, burst ?? asked.count), connectionsPerAddress };
}

/** One each so often, and a burst ahead of that. */
export function spaced({ count, periodMs }: Rate, burst: number): SpacedRate {
  const intervalMs = periodMs / count;
  return { intervalMs, toleranceMs: (burst - 1) * intervalMs };
}
