// The zone as a pure function: what it says to a question. Its records are those of the apex, the addresses of name servers within it, and
// TXT records one label below the apex, which the caller brings. RFC 1034 section 4.3.2 for a zone without delegations and wildcards.

import type { Answer, SoaAnswer } from "dns-packet";

export interface ZoneOptions {
  /** Canonical: "acme.example.net". */
  readonly name: string;
  /** Names of its servers, canonical, with the addresses of those that are within the zone. One at least. */
  readonly nameServers: Readonly<Record<string, readonly string[]>>;
}

/** NOERROR without answers means: the name exists, records of this type do not. */
export interface ZoneAnswer {
  readonly rcode: "NOERROR" | "NXDOMAIN" | "REFUSED";
  readonly isAuthoritative: boolean;
  readonly answers: readonly Answer[];
  readonly authorities: readonly Answer[];
}

export const TYPE = { A: 1, NS: 2, SOA: 6, TXT: 16, AAAA: 28, OPT: 41, ANY: 255 } as const;
const IN = 1;

/** The records of the apex and of the servers change with the configuration of the node only. */
const APEX_TTL_S = 3600;
/** To be remembered by nobody: a name and its wildcard are validated at the same label, perhaps within a second, with a value each. */
const CHALLENGE_TTL_S = 0;

/** What a label with records looks like; others are not looked for. */
const LABEL = /^[a-z0-9-]+$/;

const MAX_STRING_BYTES = 255;

const REFUSED: ZoneAnswer = { rcode: "REFUSED", isAuthoritative: false, answers: [], authorities: [] };

export class Zone {
  readonly name: string;
  readonly #labels: readonly string[];
  readonly #soa: SoaAnswer;
  readonly #servers: readonly string[];
  /** Addresses by what stands before the apex; the empty list where only names below exist. */
  readonly #hosts = new Map<string, readonly string[]>();

  constructor({ name, nameServers }: ZoneOptions) {
    this.name = name;
    this.#labels = name.split(".");
    this.#servers = Object.keys(nameServers);
    for (const [host, addresses] of Object.entries(nameServers)) {
      if (host.endsWith(`.${name}`)) this.#addHost(host.slice(0, -name.length - 1), addresses);
    }
    // A serial is for secondaries, and this zone is never transferred. Nodes of a fleet must not differ in it.
    const times = { serial: 1, refresh: 3600, retry: 600, expire: 604_800, minimum: CHALLENGE_TTL_S };
    this.#soa = { type: "SOA", name, ttl: APEX_TTL_S, data: { mname: this.#servers[0]!, rname: `hostmaster.${name}`, ...times } };
  }

  /** The one label below the apex that this name has and TXT records may be at, or null. */
  challengeLabel(labels: readonly string[]): string | null {
    const [label, ...more] = this.#below(labels) ?? [];
    return label !== undefined && more.length === 0 && LABEL.test(label) && !this.#hosts.has(label) ? label : null;
  }

  /**
   * @param labels in lower case
   * @param texts values of the TXT records at this name
   */
  answer(labels: readonly string[], type: number, recordClass: number, texts: readonly string[]): ZoneAnswer {
    const below = this.#below(labels);
    // Zone transfers and other types that are none of a record (RFC 6895 section 3.1)
    const isMeta = type === TYPE.OPT || (type >= 128 && type < TYPE.ANY);
    if (below === null || recordClass !== IN || isMeta) return REFUSED;
    if (below.length === 0) return this.#found(this.#ofApex(type));
    const addresses = below.some((label) => label.includes(".")) ? undefined : this.#hosts.get(below.join("."));
    if (addresses !== undefined) return this.#found(this.#ofHost(labels, type, addresses));
    return texts.length > 0 ? this.#found(this.#ofChallenge(labels, type, texts)) : this.#absent("NXDOMAIN");
  }

  #ofApex(type: number): Answer[] {
    if (type === TYPE.SOA || type === TYPE.ANY) return [this.#soa];
    if (type !== TYPE.NS) return [];
    return this.#servers.map((data) => ({ type: "NS", name: this.name, ttl: APEX_TTL_S, data }));
  }

  #ofHost(labels: readonly string[], type: number, addresses: readonly string[]): Answer[] {
    const name = labels.join(".");
    const isWanted = (address: string): boolean => type === (address.includes(":") ? TYPE.AAAA : TYPE.A);
    const wanted = type === TYPE.ANY ? addresses.slice(0, 1) : addresses.filter(isWanted);
    return wanted.map((data) => ({ type: data.includes(":") ? "AAAA" : "A", name, ttl: APEX_TTL_S, data }));
  }

  #ofChallenge(labels: readonly string[], type: number, texts: readonly string[]): Answer[] {
    const name = labels.join(".");
    // RFC 8482 section 4.2: who asks for everything gets something small.
    if (type === TYPE.ANY) return [{ type: "HINFO", name, ttl: CHALLENGE_TTL_S, data: { cpu: "RFC8482", os: "" } }];
    if (type !== TYPE.TXT) return [];
    return texts.map((text) => ({ type: "TXT", name, ttl: CHALLENGE_TTL_S, data: stringsOf(text) }));
  }

  #found(answers: readonly Answer[]): ZoneAnswer {
    return answers.length === 0 ? this.#absent("NOERROR") : { rcode: "NOERROR", isAuthoritative: true, answers, authorities: [] };
  }

  /** With the SOA record, so that resolvers know for how long to remember it (RFC 2308 section 3). */
  #absent(rcode: "NOERROR" | "NXDOMAIN"): ZoneAnswer {
    return { rcode, isAuthoritative: true, answers: [], authorities: [{ ...this.#soa, ttl: CHALLENGE_TTL_S }] };
  }

  /** The labels in front of the apex; null for names of others. */
  #below(labels: readonly string[]): readonly string[] | null {
    const count = labels.length - this.#labels.length;
    if (count < 0 || this.#labels.some((label, index) => labels[count + index] !== label)) return null;
    return labels.slice(0, count);
  }

  /** And the names between it and the apex, which exist too (RFC 8020). */
  #addHost(below: string, addresses: readonly string[]): void {
    this.#hosts.set(below, addresses);
    for (let at = below.indexOf("."); at >= 0; at = below.indexOf(".", at + 1)) {
      const between = below.slice(at + 1);
      if (!this.#hosts.has(between)) this.#hosts.set(between, []);
    }
  }
}

/** A record is made of strings of at most 255 bytes (RFC 1035 section 3.3.14); the codec does not see to that. */
function stringsOf(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  return Array.from({ length: Math.max(1, Math.ceil(bytes.length / MAX_STRING_BYTES)) }, (_, index) =>
    bytes.subarray(index * MAX_STRING_BYTES, (index + 1) * MAX_STRING_BYTES),
  );
}
