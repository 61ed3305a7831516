// Waits until a TXT record is seen where an authority will look for it: at every server of its zone, as secondaries take their time.

import { Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

import type { Address } from "../../core/app.ts";
import { backoffMs } from "../../core/backoff.ts";
import { ask, dnsFailure, formatServer } from "./exchange.ts";

/** A server counts as one, however many addresses it has: this host may have no IPv6. */
export interface NameServer {
  readonly name: string;
  readonly addresses: readonly Address[];
}

export type FindServers = (zone: string, primary: Address, signal: AbortSignal) => Promise<readonly NameServer[]>;

interface Wanted {
  readonly servers: readonly NameServer[];
  readonly name: string;
  readonly value: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const DNS_PORT = 53;
const POLL = { minMs: 200, maxMs: 3000 };
const LOOKUP_TIMES = { timeout: 2000, tries: 2 };

export function namedServers(addresses: readonly Address[]): NameServer[] {
  return addresses.map((address) => ({ name: formatServer(address), addresses: [address] }));
}

/** By the NS records that the primary has for the zone, and the addresses that it or else a resolver knows for them. Throws `certificate_unavailable` where there are none that lead anywhere. */
export async function findNameServers(zone: string, primary: Address, signal: AbortSignal): Promise<readonly NameServer[]> {
  const { answers = [], additionals = [] } = await ask(primary, { name: zone, type: "NS" }, signal);
  const names = answers.flatMap((record) => (record.type === "NS" ? [record.data.toLowerCase()] : []));
  if (names.length === 0) throw dnsFailure(`the DNS server at ${formatServer(primary)} has no NS records for the zone "${zone}"`);
  return await Promise.all(
    names.map(async (name) => {
      const hosts = additionals.flatMap((record) => {
        return (record.type === "A" || record.type === "AAAA") && record.name.toLowerCase() === name ? [record.data] : [];
      });
      const known = hosts.map((host) => ({ host, port: DNS_PORT }));
      return { name, addresses: known.length > 0 ? known : await addressesOf(name, signal) };
    }),
  );
}

/** Throws `certificate_unavailable` with the servers that do not show it when time is up. */
export async function untilSeen({ servers, name, value, timeoutMs, signal }: Wanted): Promise<void> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const either = AbortSignal.any([signal, deadline]);
  const missing = new Map<string, string>();
  const watch = async (server: NameServer): Promise<void> => {
    for (let looks = 1; ; looks++) {
      const reason = await lackAt(server, name, value, either);
      if (reason === null) return void missing.delete(server.name);
      if (!deadline.aborted) missing.set(server.name, reason);
      await delay(backoffMs(looks, POLL, Math.random()), undefined, { signal: either });
    }
  };
  try {
    await Promise.all(servers.map(watch));
  } catch (cause) {
    signal.throwIfAborted();
    const reasons = [...missing].map(([server, reason]) => `${server} (${reason})`).join(", ");
    throw dnsFailure(`the TXT record "${name}" is not seen after ${timeoutMs / 1000} s at ${reasons}`, cause);
  }
}

/** Why the value is not seen there; null when it is, at one address at least. */
async function lackAt({ addresses }: NameServer, name: string, value: string, signal: AbortSignal): Promise<string | null> {
  let reason = "its name leads to no address";
  for (const address of addresses) {
    try {
      const { answers = [], rcode, flag_aa: isAuthoritative } = await ask(address, { name, type: "TXT" }, signal);
      const texts = answers.flatMap((record) => (record.type === "TXT" ? [textOf(record.data)] : []));
      if (isAuthoritative && texts.includes(value)) return null;
      reason = rcode !== "NOERROR" ? `it answers ${rcode}` : isAuthoritative ? "it has other values" : "it is not authoritative";
    } catch (error) {
      signal.throwIfAborted();
      reason = (error as Error).message;
    }
  }
  return reason;
}

/** RFC 8555 section 8.4: the strings of one record are one value. */
function textOf(data: string | Buffer | readonly (string | Buffer)[]): string {
  return Array.isArray(data) ? data.map(String).join("") : String(data);
}

async function addressesOf(name: string, signal: AbortSignal): Promise<Address[]> {
  if (isIP(name) !== 0) return [{ host: name, port: DNS_PORT }];
  const resolver = new Resolver(LOOKUP_TIMES);
  const cancel = (): void => resolver.cancel();
  signal.addEventListener("abort", cancel);
  try {
    const found = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    signal.throwIfAborted();
    return found.flatMap((one) => (one.status === "fulfilled" ? one.value : [])).map((host) => ({ host, port: DNS_PORT }));
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}
