// What the store holds of a name's failures and plans, read strictly: another version, or a person, may have written it.

import { z } from "zod";

import type { AttemptsRecord, RenewalRecord } from "./renewal-plan.ts";

const time = z.number();

const attempts = z.object({
  failures: z.int().min(1),
  kind: z.enum(["refused", "limited", "failed"]),
  error: z.string(),
  directory: z.string(),
  failedAtMs: time,
  retryAtMs: time,
  limitedUntilMs: time,
  refusedAtMs: z.array(time).max(100),
});

const renewal = z.object({
  fingerprint: z.string(),
  directory: z.string(),
  renewAtMs: time,
  window: z.object({ startMs: time, endMs: time }).nullable(),
  askAtMs: time.nullable(),
  askFailures: z.int().min(0),
  explanationUrl: z.string().nullable(),
  firstOrderedAtMs: time,
});

/** null: it is something else. */
export function readAttempts(value: unknown): AttemptsRecord | null {
  return attempts.safeParse(value).data ?? null;
}

/** null: it is something else. */
export function readRenewal(value: unknown): RenewalRecord | null {
  return renewal.safeParse(value).data ?? null;
}
