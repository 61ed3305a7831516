// What of the node answers DNS-01: the server of our own zone. Part of the composition root.

import type { Logger } from "pino";

import { isChallengeLabel } from "../certs/dns/delegation.ts";
import type { OwnZone } from "../config/dns-challenges.ts";
import { DnsServer, type DnsResult } from "../dns/server.ts";

export interface DnsServerParts {
  /** The TXT records at a label of our own zone: what the orders of all nodes have written. */
  texts(label: string): Promise<readonly string[]>;
  onResult(result: DnsResult): void;
  readonly log: Logger;
}

export function createDnsServer({ zone, nameServers, listen }: OwnZone, { texts, onResult, log }: DnsServerParts): DnsServer {
  return new DnsServer({
    listen,
    zone: { name: zone, nameServers },
    lookup: (label) => (isChallengeLabel(label) ? texts(label) : []),
    onResult,
    log,
  });
}
