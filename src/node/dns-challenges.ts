// What of the node answers DNS-01: the server of our own zone. Part of the composition root.

import { isChallengeLabel } from "../certs/dns/delegation.ts";
import type { OwnZone } from "../config/dns-challenges.ts";
import { DnsServer, type DnsResult } from "../dns/server.ts";

/** The TXT records of our own zone: what the orders of all nodes have written. */
export interface OwnTexts {
  texts(label: string): Promise<readonly string[]>;
}

export function createDnsServer({ zone, nameServers, listen }: OwnZone, texts: OwnTexts, onResult: (result: DnsResult) => void): DnsServer {
  return new DnsServer({
    listen,
    zone: { name: zone, nameServers },
    lookup: (label) => (isChallengeLabel(label) ? texts.texts(label) : []),
    onResult,
  });
}
