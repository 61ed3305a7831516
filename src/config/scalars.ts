// The kinds of value that both documents have: durations, ports, names, host names, addresses. Each says in words what it expects.

import { z } from "zod";

import type { Address } from "../core/app.ts";
import { formatDuration, parseDuration } from "../core/duration.ts";
import { parsePathScope, type PathScope } from "../core/path-scope.ts";
import { canonicalHostname, parseAddress } from "./address.ts";
import { formatValue } from "./problems.ts";

/** A timer of Node waits at most 2^31 - 1 ms, almost 25 days; one set for longer would fire at once. */
const LONGEST_MS = 24 * 24 * 3_600_000;

export interface DurationOptions {
  /** What a bare number means; without it a number is refused. Reference section 1.1. */
  readonly bare?: "ms" | "s";
  /** Shortest, in milliseconds. Default 0: none is negative. */
  readonly minMs?: number;
  /** Longest, in milliseconds. Default: 24 days. */
  readonly maxMs?: number;
}

/** A duration in Go's syntax, as milliseconds. */
export function duration({ bare, minMs = 0, maxMs = LONGEST_MS }: DurationOptions = {}): z.ZodType<number, string | number> {
  const input: z.ZodType<string | number, string | number> = bare === undefined ? z.string() : z.union([z.string(), z.number()]);
  return input
    .transform((value, context) => {
      const ms = typeof value === "string" ? parseDuration(value) : value * (bare === "s" ? 1_000 : 1);
      if (ms === null) return refuse(context, "a duration", value);
      if (ms < minMs) return refuse(context, `a duration of at least ${formatDuration(minMs)}`, value);
      if (ms > maxMs) return refuse(context, `a duration of at most ${formatDuration(maxMs)}`, value);
      return ms;
    })
    .meta({ kind: "a duration" });
}

const BYTES_IN: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1_000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  KiB: 1_024,
  MiB: 1_048_576,
  GiB: 1_073_741_824,
};

/** A number of bytes, bare or with a unit. */
export function byteSize(): z.ZodType<number, number | string> {
  const kind = 'a size such as "10MB" or "512KiB"';
  return z
    .union([z.number(), z.string()])
    .transform((value, context) => {
      const [, digits = "", unit = ""] = /^(\d{1,12})(B|kB|MB|GB|KiB|MiB|GiB)$/.exec(typeof value === "number" ? `${value}B` : value) ?? [];
      const bytes = digits === "" ? Number.NaN : Number(digits) * BYTES_IN[unit]!;
      return Number.isSafeInteger(bytes) ? bytes : refuse(context, kind, value);
    })
    .meta({ kind });
}

/** A port from 1 to 65535, as the key of a table. */
export const PORT_DIGITS = /^([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])$/;

/** A TCP or UDP port that can be named: not 0. */
export function port(): z.ZodType<number, number> {
  return z.int().min(1).max(65_535);
}

/** A port as fly.toml may have it: a number, or a string of digits. */
export function portOrDigits(): z.ZodType<number, number | string> {
  return z
    .union([z.number(), z.string()])
    .transform((value, context) => {
      const number = typeof value === "string" && PORT_DIGITS.test(value) ? Number(value) : value;
      return port().safeParse(number).data ?? refuse(context, "a port from 1 to 65535", value);
    })
    .meta({ kind: "a port from 1 to 65535" });
}

/** What can be a segment of a store key, a label of a metric and an argument on a command line. */
export function name(): z.ZodType<string, string> {
  return z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)
    .meta({ kind: "a name of at most 63 letters, digits, dots, dashes and underscores" });
}

/** A path or a pattern of paths; what it is relative to is for the key to say. */
export function path(): z.ZodType<string, string> {
  return z
    .string()
    .regex(/^[^\0]+$/)
    .meta({ kind: "a path" });
}

/** A region code; whether it exists is for the region table to say. */
export function regionCode(): z.ZodType<string, string> {
  return z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,31}$/)
    .meta({ kind: 'a region code such as "ams"', standIn: "ams" });
}

/** A host name in its canonical form. */
export function hostname(): z.ZodType<string, string> {
  return z
    .string()
    .transform((value, context) => canonicalHostname(value) ?? refuse(context, "a host name", value))
    .meta({ kind: "a host name" });
}

/** A host name, or all names one level below one: "*.example.com". */
export function hostnamePattern(): z.ZodType<string, string> {
  return z
    .string()
    .transform((value, context) => {
      const prefix = value.startsWith("*.") ? "*." : "";
      const canonical = canonicalHostname(value.slice(prefix.length));
      return canonical === null ? refuse(context, "a host name", value) : prefix + canonical;
    })
    .meta({ kind: "a host name", standIn: "host.example" });
}

/** The requests of a host, or of all, at a path and below it. */
export function pathScope(): z.ZodType<PathScope, string> {
  const kind = 'a path such as "/app", or a host name with one';
  return z
    .string()
    .transform((value, context) => parsePathScope(value) ?? refuse(context, kind, value))
    .meta({ kind, standIn: "/" });
}

/** An IP address or a CIDR block of them. */
export function addressBlock(): z.ZodType<string, string> {
  return z
    .union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()])
    .meta({ kind: 'an IP address or a block of them such as "10.0.0.0/8"', standIn: "10.0.0.0/8" });
}

/** `host:port`. */
export function address(): z.ZodType<Address, string> {
  const kind = 'an address such as "127.0.0.1:9000"';
  return z
    .string()
    .transform((value, context) => parseAddress(value) ?? refuse(context, kind, value))
    .meta({ kind });
}

function refuse(context: z.core.$RefinementCtx, expected: string, value: unknown): never {
  context.addIssue({ code: "custom", message: `expected ${expected}, got ${formatValue(value)}` });
  return z.NEVER;
}
