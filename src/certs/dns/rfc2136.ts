// DNS-01 in a zone of somebody's own server, by dynamic updates (RFC 2136) that are signed (RFC 8945): the record is added, and the challenge
// is ready once every server of the zone answers with it.

import type { Answer, SoaAnswer, StringAnswer } from "dns-packet";

import type { Address } from "../../core/app.ts";
import type { DnsProvider } from "../acme/challenge.ts";
import { ask, dnsFailure, exchange, formatServer, newId } from "./exchange.ts";
import { findNameServers, namedServers, untilSeen, type FindServers } from "./propagation.ts";
import { signatureProblem, signMessage, type TsigKey } from "./tsig.ts";
import { encodeName, encodeRecord } from "./wire.ts";

export interface Rfc2136Options {
  /** The primary: it takes updates. */
  readonly server: Address;
  readonly key: TsigKey;
  /** Canonical; null: the server is asked which zone a name is in. */
  readonly zone: string | null;
  readonly ttlS: number;
  /** Where a record must be seen; empty: at the servers of the zone by its NS records. */
  readonly nameServers: readonly Address[];
  /** Within which they must show it, in milliseconds. */
  readonly propagationMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** For tests: instead of the zone's NS records. */
  readonly findServers?: FindServers;
}

type Change = { readonly kind: "add"; readonly ttlS: number } | { readonly kind: "remove" };

const TYPE = { soa: 6, txt: 16 };
const CLASS = { in: 1, none: 254 };
const UPDATE_FLAGS = 5 << 11;
const OPCODE_AND_RESPONSE = 0xf800;
const UPDATE_RESPONSE = 0x8000 | UPDATE_FLAGS;

/** RFC 2136 section 2.2 and RFC 1035 section 4.1.1. */
const REASONS: Readonly<Record<number, string>> = {
  1: "it found the update malformed (FORMERR)",
  2: "it failed (SERVFAIL)",
  4: "it takes no updates (NOTIMP)",
  5: "it refuses the update; its policy must allow this key to change TXT records here (REFUSED)",
  9: "it is not authoritative for the zone, or does not accept the key for it (NOTAUTH)",
  10: "the name is not in the zone (NOTZONE)",
};

export class Rfc2136 implements DnsProvider {
  readonly #options: Rfc2136Options;

  constructor(options: Rfc2136Options) {
    this.#options = options;
  }

  async present(name: string, value: string, signal: AbortSignal): Promise<void> {
    const { server, ttlS, nameServers, propagationMs, findServers = findNameServers } = this.#options;
    const zone = await this.#zoneOf(name, signal);
    await this.#update(zone, name, value, { kind: "add", ttlS }, signal);
    const servers = nameServers.length > 0 ? namedServers(nameServers) : await findServers(zone, server, signal);
    await untilSeen({ servers, name, value, timeoutMs: propagationMs, signal });
  }

  async cleanup(name: string, value: string, signal: AbortSignal): Promise<void> {
    await this.#update(await this.#zoneOf(name, signal), name, value, { kind: "remove" }, signal);
  }

  async #update(zone: string, name: string, value: string, change: Change, signal: AbortSignal): Promise<void> {
    const { server, key, now } = this.#options;
    const at = formatServer(server);
    const signed = signMessage(encodeUpdate(zone, name, value, change), key, now());
    const answer = await exchange(server, signed.bytes, signal);
    const failed = (reason: string): never => {
      throw dnsFailure(`the DNS server at ${at} did not ${change.kind} the TXT record "${name}": ${reason}`);
    };
    const flags = answer.readUInt16BE(2);
    if ((flags & OPCODE_AND_RESPONSE) !== UPDATE_RESPONSE) failed("its answer is not that to an update");
    const rcode = flags & 0xf;
    const problem = readProblem(answer, signed.mac, key, now());
    // A server that could not even read the message does not sign what it says.
    if (problem !== null) failed(problem === UNSIGNED && rcode !== 0 ? reasonOf(rcode) : problem);
    if (rcode !== 0) failed(reasonOf(rcode));
  }

  /** The zone as the server has it: it says so in the SOA record of any answer about a name in it. */
  async #zoneOf(name: string, signal: AbortSignal): Promise<string> {
    const { zone, server } = this.#options;
    if (zone !== null) return zone;
    const { answers = [], authorities = [], flag_aa: isAuthoritative } = await ask(server, { name, type: "SOA" }, signal);
    const alias = answers.find((record: Answer): record is StringAnswer => record.type === "CNAME");
    if (alias !== undefined) {
      throw dnsFailure(
        `"${name}" is a CNAME record to "${alias.data}" at the DNS server ${formatServer(server)}, and can have no TXT record`,
      );
    }
    const found = [...answers, ...authorities].find((record): record is SoaAnswer => record.type === "SOA")?.name.toLowerCase();
    if (!isAuthoritative || found === undefined || !(name === found || name.endsWith(`.${found}`))) {
      throw dnsFailure(`the DNS server at ${formatServer(server)} has no zone that "${name}" is in; name the zone if it has`);
    }
    return found;
  }
}

const UNSIGNED = "its answer is not signed";

function readProblem(answer: Buffer, mac: Buffer, key: TsigKey, nowMs: number): string | null {
  try {
    return signatureProblem(answer, mac, key, nowMs);
  } catch (error) {
    if (error instanceof RangeError) return "its answer cannot be read";
    throw error;
  }
}

function reasonOf(rcode: number): string {
  return REASONS[rcode] ?? `it answered with code ${rcode}`;
}

/** RFC 2136 section 2: a zone, no prerequisites, one change. Other values of the name are left alone (sections 2.5.1 and 2.5.4). */
function encodeUpdate(zone: string, name: string, value: string, change: Change): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(newId(), 0);
  header.writeUInt16BE(UPDATE_FLAGS, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(1, 8);
  const typeAndClass = Buffer.of(0, TYPE.soa, 0, CLASS.in);
  const text = Buffer.from(value, "latin1");
  const record = encodeRecord({
    name,
    type: TYPE.txt,
    recordClass: change.kind === "add" ? CLASS.in : CLASS.none,
    ttlS: change.kind === "add" ? change.ttlS : 0,
    data: Buffer.concat([Buffer.of(text.length), text]),
  });
  return Buffer.concat([header, encodeName(zone), typeAndClass, record]);
}
