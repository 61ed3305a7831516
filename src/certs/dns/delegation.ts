// DNS-01 for zones that others run, by a CNAME record that their owner sets once: `_acme-challenge.example.com` leads to a label in our own
// zone, which every node answers for (src/dns). See docs/decisions/009-certificates.md for how the label is made.

import { createHash } from "node:crypto";
import { Resolver } from "node:dns/promises";

import type { Address } from "../../core/app.ts";
import { ProxyError } from "../../core/errors.ts";
import type { Fence } from "../../state/store.ts";
import type { DnsProvider } from "../acme/challenge.ts";

export interface DelegatedDnsOptions {
  /** Our own zone, canonical. */
  readonly zone: string;
  readonly lookup: CnameLookup;
  readonly texts: ZoneTexts;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** The TXT records of our own zone, as far as an order changes them. */
export interface ZoneTexts {
  addText(label: string, value: string, untilMs: number, fence: Fence): Promise<void>;
  removeText(label: string, value: string, fence: Fence): Promise<void>;
}

/** The CNAME record that the owner of a name sets. */
export interface Delegation {
  /** Of the record: "_acme-challenge.example.com". */
  readonly name: string;
  readonly target: string;
  /** What stands before our zone in `target`. */
  readonly label: string;
}

/** Where the CNAME record at a name leads to, canonical; null when there is none. Bounds its own waiting. */
export type CnameLookup = (name: string, signal: AbortSignal) => Promise<string | null>;

const PREFIX = "_acme-challenge.";
/** Of a SHA-256: no two names share this much of it. In base 32, because letters may lose their case in DNS. */
const LABEL_BYTES = 20;
const LABEL = /^[a-z2-7]{32}$/;
/** No validation takes longer; what a dead node leaves behind ends then. */
const LIFETIME_MS = 3_600_000;
const MOST_ALIASES = 8;
const LOOKUP_TIMES = { timeout: 2000, tries: 2, maxTimeout: 4000 };

export class DelegatedDns implements DnsProvider {
  readonly #options: DelegatedDnsOptions;

  constructor(options: DelegatedDnsOptions) {
    this.#options = options;
  }

  /** Throws `certificate_unavailable` when no CNAME record leads here, so that no attempt is wasted on a validation that must fail. */
  async present(name: string, value: string, signal: AbortSignal, fence: Fence): Promise<void> {
    const { zone, lookup, texts, now } = this.#options;
    const delegation = delegationOf(name, zone);
    const problem = await delegationProblem(delegation, lookup, signal);
    if (problem !== null) throw new ProxyError("certificate_unavailable", problem);
    await texts.addText(delegation.label, value, now() + LIFETIME_MS, fence);
  }

  async cleanup(name: string, value: string, _: AbortSignal, fence: Fence): Promise<void> {
    await this.#options.texts.removeText(delegationOf(name, this.#options.zone).label, value, fence);
  }
}

/**
 * The same for a name and its wildcard, and for ever: it depends on nothing but the name.
 *
 * @param name canonical; with `*.` or `_acme-challenge.` in front or without
 */
export function delegationOf(name: string, zone: string): Delegation {
  const base = name.replace(/^(?:\*|_acme-challenge)\./, "");
  const digest = createHash("sha256").update(base).digest().subarray(0, LABEL_BYTES);
  const label = base32(digest);
  return { name: PREFIX + base, target: `${label}.${zone}`, label };
}

/** Could `delegationOf` have made it? Others have no records. */
export function isChallengeLabel(label: string): boolean {
  return LABEL.test(label);
}

/** What is wrong with it, and what to do; null when it leads where it should. */
export async function delegationProblem({ name, target }: Delegation, lookup: CnameLookup, signal: AbortSignal): Promise<string | null> {
  let at = name;
  const aliases: string[] = [];
  while (aliases.length < MOST_ALIASES) {
    const next = await lookup(at, signal);
    if (next === target) return null;
    if (next === null) break;
    aliases.push((at = next));
  }
  const found =
    aliases.length === 0 ? `there is no CNAME record at "${name}"` : `the CNAME record at "${name}" leads to "${aliases.join('", "')}"`;
  return `${found}; set ${formatDelegation({ name, target })}`;
}

/** As zone files have it: "_acme-challenge.example.com. CNAME …". */
export function formatDelegation({ name, target }: Pick<Delegation, "name" | "target">): string {
  return `${name}. CNAME ${target}.`;
}

/** @param resolvers recursive ones; empty for those of the system */
export function createCnameLookup(resolvers: readonly Address[]): CnameLookup {
  return async (name, signal) => {
    signal.throwIfAborted();
    // One each: what it waits for is given up all together.
    const resolver = new Resolver(LOOKUP_TIMES);
    if (resolvers.length > 0) resolver.setServers(resolvers.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`));
    const cancel = (): void => resolver.cancel();
    signal.addEventListener("abort", cancel);
    try {
      const [target] = await resolver.resolveCname(name);
      return target?.toLowerCase().replace(/\.$/, "") ?? null;
    } catch (cause) {
      signal.throwIfAborted();
      const { code = "" } = cause as NodeJS.ErrnoException;
      if (code === "ENOTFOUND" || code === "ENODATA") return null;
      const asked = resolver.getServers().join(", ");
      throw new ProxyError("certificate_unavailable", `"${name}" could not be looked up at ${asked}: ${code}`, { cause });
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  };
}

/** RFC 4648 section 6, in lower case and without padding: of 5 bytes 8 letters. */
function base32(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return (bits.match(/.{5}/g) ?? []).map((five) => "abcdefghijklmnopqrstuvwxyz234567"[Number.parseInt(five, 2)]).join("");
}
