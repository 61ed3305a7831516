// [kittiwake.wake_guard]: what does not wake an app that sleeps.

import { z } from "zod";

import { SLEEP_ANSWERS, type WakeGuardRules } from "../core/app.ts";
import { MOST, rate, spaced } from "./access.ts";
import type { Findings } from "./findings.ts";

export const wakeGuard = z
  .strictObject({
    answers: z
      .array(z.enum(SLEEP_ANSWERS))
      .default([])
      .describe(
        "What the edge answers itself while all machines sleep. `robots`: `/robots.txt`, with 200 and everything allowed. `favicon`: `/favicon.ico`, with 404. `health-checks`: GET and HEAD of programs that watch whether something is up, known by their `user-agent`, with 200. Each answer has `kittiwake-asleep: 1`.",
      ),
    wakes: rate.optional().meta({
      description:
        "Wakes that each client's address may cause in the long run, over all workers of a node: of IPv6 each network of 64 bits. A request that would be one more gets 429, with the seconds to wait in `retry-after`, and a connection without HTTP is closed. What needs no wake is neither counted nor refused.",
      fallback: "no limit",
    }),
    burst: z.int().min(1).max(MOST).optional().meta({
      description: "How many of them may come at once.",
      fallback: "as many as `wakes` has in its time",
    }),
  })
  .prefault({})
  .describe("What does not wake the app while it sleeps.");

/** null where nothing is asked for. */
export function toWakeGuard(document: z.output<typeof wakeGuard>, findings: Findings): WakeGuardRules | null {
  const { answers, wakes, burst } = document;
  if (burst !== undefined && wakes === undefined) {
    findings.error(["kittiwake", "wake_guard", "burst"], "there are no wakes that it is for; set wakes");
  }
  if (answers.length === 0 && wakes === undefined) return null;
  return { answers, wakes: wakes === undefined ? null : spaced(wakes, burst ?? wakes.count) };
}
