// [kittiwake] sticky, and [kittiwake.primary]: where requests go for what their clients did before, and for what they do.

import { z } from "zod";

import type { PrimaryRules, Sticky } from "../core/app.ts";
import type { Findings } from "./findings.ts";
import type { FlyDocument } from "./fly-toml.ts";
import { duration } from "./scalars.ts";

const PRIMARY = ["kittiwake", "primary"];
/** Each request is compared with all of them. */
const MOST_PATTERNS = 64;

const patterns = () =>
  z
    .array(
      z
        .string()
        .regex(/^[/*][!-~]{0,255}$/)
        .meta({ kind: 'a path such as "/admin/*" or "*.js"' }),
    )
    .max(MOST_PATTERNS)
    .default([]);

export const stickyKeys = {
  sticky: z
    .enum(["none", "cookie"])
    .default("none")
    .describe(
      "Whether clients come back to the machine that answered them: by a signed cookie, as long as that machine can serve. One that sleeps is waited for if it is expected to be up within a second, as from `suspend`; otherwise another one is chosen.",
    ),
  sticky_ttl: duration({ minMs: 60_000 })
    .prefault("24h")
    .describe("How long after it was set such a cookie is good. It is set anew when half of that is over."),
};

export const primary = z
  .strictObject({
    read_methods: z
      .array(
        z
          .string()
          .regex(/^[A-Z][A-Z-]{0,31}$/)
          .meta({ kind: 'a method such as "GET"' }),
      )
      .max(MOST_PATTERNS)
      .default(["GET", "HEAD", "OPTIONS", "TRACE"])
      .describe("Methods that only read; requests with any other go to the primary region. A WebSocket is a GET."),
    always_forward: patterns().describe("Paths that go to the primary region whatever the method; `*` is any text."),
    passthrough: patterns().describe(
      "Paths that go anywhere whatever the method, and by what was written before; they come before `always_forward`.",
    ),
    follow: duration({ maxMs: 3_600_000 })
      .prefault("10s")
      .describe("How long a client that wrote reads in the primary region, by a signed cookie: longer than replicas take. 0s is never."),
    fallback: z
      .enum(["none", "any"])
      .default("none")
      .describe(
        "Who gets a request that writes when no machine of the primary region can: nobody, so that it is refused with 503, or any machine.",
      ),
  })
  .optional()
  .describe("Read your writes: the app writes in `primary_region` alone, and reads everywhere. In force where the table is there.");

/** null: clients stick to no machine. */
export function toSticky({ kittiwake: { sticky, sticky_ttl: ttlMs } }: FlyDocument): Sticky | null {
  return sticky === "cookie" ? { forS: Math.round(ttlMs / 1000) } : null;
}

/** null: machines of every region write. */
export function toPrimary({ kittiwake, primary_region: region }: FlyDocument, findings: Findings): PrimaryRules | null {
  const document = kittiwake.primary;
  if (document === undefined) return null;
  if (region === undefined) {
    findings.error(PRIMARY, "there is no primary_region for it; set that");
    return null;
  }
  if (kittiwake.region_policy === "local-only") {
    findings.error(PRIMARY, 'with region_policy "local-only" no request leaves its region, whatever it does; change one of them');
    return null;
  }
  const { read_methods: readMethods, always_forward: alwaysForward, passthrough, follow: followMs, fallback } = document;
  return { region, readMethods, alwaysForward, passthrough, followS: Math.ceil(followMs / 1000), fallback };
}
