// [tls.acme.dns] and [tls.acme.rfc2136] as the composition root gets them. Part of node-config.ts.

import { isIP } from "node:net";

import type { Address } from "../core/app.ts";
import type { Findings } from "./findings.ts";
import type { NodeDocument } from "./node-schema.ts";
import { formatValue } from "./problems.ts";
import { readTextFile } from "./text-file.ts";

/** At least one of them, or names with a wildcard cannot be had. */
export interface DnsChallenges {
  readonly ownZone: OwnZone | null;
  readonly updates: DynamicUpdates | null;
}

export interface OwnZone {
  readonly zone: string;
  /** Addresses of those within the zone; empty lists for the others. */
  readonly nameServers: Readonly<Record<string, readonly string[]>>;
  /** IP addresses. */
  readonly listen: readonly Address[];
  /** Empty: those of the system. */
  readonly resolvers: readonly Address[];
}

export interface DynamicUpdates {
  readonly server: Address;
  readonly key: { readonly name: string; readonly algorithm: "hmac-sha256" | "hmac-sha384" | "hmac-sha512"; readonly secret: Buffer };
  /** null, only where there is no zone of our own: the server says. */
  readonly zone: string | null;
  readonly ttlS: number;
  /** Empty: the zone's. */
  readonly nameServers: readonly Address[];
  readonly propagationMs: number;
}

type AcmeDocument = NodeDocument["tls"]["acme"];

/** 32 letters and a dot go in front. */
const MAX_ZONE_LENGTH = 220;
const MIN_SECRET_BYTES = 16;

export function toDnsChallenges(acme: AcmeDocument, findings: Findings, absolute: (path: string) => string): DnsChallenges {
  return { ownZone: toOwnZone(acme.dns, findings), updates: toUpdates(acme, findings, absolute) };
}

function toOwnZone(dns: AcmeDocument["dns"], findings: Findings): OwnZone | null {
  if (dns === undefined) return null;
  const at = ["tls", "acme", "dns"];
  const { zone, listen, resolvers } = dns;
  if (zone.length > MAX_ZONE_LENGTH) findings.error([...at, "zone"], `expected at most ${MAX_ZONE_LENGTH} characters, got ${zone.length}`);
  const servers = Object.entries(dns.name_servers);
  if (servers.length === 0) findings.error([...at, "name_servers"], "expected at least one name");
  for (const [name, addresses] of servers) {
    const isWithin = name.endsWith(`.${zone}`);
    if (isWithin && addresses.length === 0)
      findings.error([...at, "name_servers", name], "expected its addresses, as the name is in the zone");
    if (!isWithin && addresses.length > 0)
      findings.error([...at, "name_servers", name], "expected an empty list, as the name is not in the zone");
  }
  assertIps(listen, [...at, "listen"], findings);
  assertIps(resolvers, [...at, "resolvers"], findings);
  return { zone, nameServers: dns.name_servers, listen, resolvers };
}

function toUpdates({ rfc2136, dns }: AcmeDocument, findings: Findings, absolute: (path: string) => string): DynamicUpdates | null {
  if (rfc2136 === undefined) return null;
  const { server, key, algorithm, zone = null, ttl, name_servers: nameServers, propagation } = rfc2136;
  if (zone === null && dns !== undefined) {
    findings.error(["tls", "acme", "rfc2136", "zone"], "missing; with [tls.acme.dns] too it must be said which names are updated");
  }
  const secret = readSecret(rfc2136.secret_file, findings, absolute);
  const name = key.toLowerCase().replace(/\.$/, "");
  return { server, key: { name, algorithm, secret }, zone, ttlS: Math.round(ttl / 1000), nameServers, propagationMs: propagation };
}

function readSecret(path: string, findings: Findings, absolute: (path: string) => string): Buffer {
  const at = ["tls", "acme", "rfc2136", "secret_file"];
  const text = readTextFile(absolute(path));
  if (typeof text !== "string") {
    findings.error(at, `${text.failure}: ${formatValue(path)}`);
    return Buffer.alloc(0);
  }
  const secret = Buffer.from(text.trim(), "base64");
  const isBase64 = secret.toString("base64") === text.trim();
  if (!isBase64 || secret.length < MIN_SECRET_BYTES) {
    findings.error(at, `expected at least ${MIN_SECRET_BYTES} bytes in Base64, and nothing else, in ${formatValue(path)}`);
  }
  return secret;
}

function assertIps(addresses: readonly Address[], at: readonly string[], findings: Findings): void {
  for (const [index, { host }] of addresses.entries()) {
    if (isIP(host) === 0) findings.error([...at, index], `expected an IP address with a port, got ${formatValue(host)}`);
  }
}
