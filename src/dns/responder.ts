// From the bytes of a query to those of its answer: the zone's, or that of a server that cannot or will not. Knows nothing of sockets.

import { type Answer, encode } from "dns-packet";
import { type Edns, HEADER_BYTES, type Incoming, type Query, readQuery } from "./query.ts";
import type { Zone } from "./zone.ts";

export interface ResponderOptions {
  readonly zone: Zone;
  /** Values of the TXT records at a label below the apex. What it throws becomes SERVFAIL. */
  lookup(label: string): readonly string[] | Promise<readonly string[]>;
  /** Within which `lookup` must answer, in milliseconds. */
  readonly lookupMs: number;
}

export type Rcode = keyof typeof RCODES;

/** `bytes` null: nobody is answered. */
export interface Response {
  readonly rcode: Rcode | "IGNORED";
  readonly bytes: Buffer | null;
}

/** Those that an answer may have; 16 takes EDNS (RFC 6891 section 9). */
const RCODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;
const FLAGS = { authoritative: 0x0400, truncated: 0x0200, recursionDesired: 0x0100, dnssecOk: 0x8000 };

const TCP_BYTES = 65_535;
/** RFC 1035 section 4.2.1, for a client that says nothing. */
const PLAIN_UDP_BYTES = 512;
/** What passes through any network in one piece; https://www.dnsflagday.net/2020/. */
const MOST_UDP_BYTES = 1232;

interface Content {
  readonly rcode: Rcode;
  readonly isAuthoritative?: boolean;
  readonly isTruncated?: boolean;
  readonly answers?: readonly Answer[];
  readonly authorities?: readonly Answer[];
}

export class Responder {
  readonly #options: ResponderOptions;
  #lookups = 0;

  constructor(options: ResponderOptions) {
    this.#options = options;
  }

  /** How many wait for a look-up. */
  get waiting(): number {
    return this.#lookups;
  }

  /** Never rejects. An answer that is too long for UDP is sent without its records, and the client asks again by TCP. */
  async respond(message: Buffer, transport: "udp" | "tcp"): Promise<Response> {
    const incoming = readQuery(message);
    const { query } = incoming;
    if (query === null) return answerless(incoming);
    if (query.edns !== null && query.edns.version !== 0) return respondWith(query, { rcode: "BADVERS" });
    const content = await this.#answer(query);
    const whole = encoded(query, content);
    const limit = transport === "tcp" ? TCP_BYTES : udpLimit(query.edns);
    return whole.bytes !== null && whole.bytes.length > limit ? truncated(query, content) : whole;
  }

  /** The answer to those who ask too much: as long as the question, and with "ask by TCP" in it, where nobody pretends to be another. */
  deferral(message: Buffer): Response {
    const incoming = readQuery(message);
    return incoming.query === null ? { rcode: "IGNORED", bytes: null } : truncated(incoming.query, { rcode: "NOERROR" });
  }

  async #answer({ labels, type, recordClass }: Query): Promise<Content> {
    const { zone } = this.#options;
    const label = zone.challengeLabel(labels);
    try {
      const texts = label === null ? [] : await this.#lookup(label);
      return zone.answer(labels, type, recordClass, texts);
    } catch {
      return { rcode: "SERVFAIL" };
    }
  }

  async #lookup(label: string): Promise<readonly string[]> {
    const found = this.#options.lookup(label);
    if (!(found instanceof Promise)) return found;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error("the look-up took too long")), this.#options.lookupMs);
    this.#lookups++;
    try {
      return await Promise.race([found, late]);
    } finally {
      this.#lookups--;
      clearTimeout(timer);
    }
  }
}

/** A header alone, which is never longer than what it answers. */
function answerless({ kind, asked }: Incoming): Response {
  if (kind === "ignored") return { rcode: "IGNORED", bytes: null };
  const rcode = kind === "not_implemented" ? "NOTIMP" : "FORMERR";
  return { rcode, bytes: encode({ type: "response", id: asked.id, flags: flagsOf(asked, { rcode }) }) };
}

/** A record that the codec cannot write must not end the process. */
function encoded(query: Query, content: Content): Response {
  try {
    return respondWith(query, content);
  } catch {
    return respondWith(query, { rcode: "SERVFAIL" });
  }
}

function truncated(query: Query, { rcode, isAuthoritative = false }: Content): Response {
  return respondWith(query, { rcode, isAuthoritative, isTruncated: true });
}

function respondWith(query: Query, content: Content): Response {
  const { answers = [], authorities = [], rcode } = content;
  const records = encode({
    type: "response",
    id: query.id,
    flags: flagsOf(query, content),
    answers: [...answers],
    authorities: [...authorities],
    additionals: query.edns === null ? [] : [optOf(query.edns, rcode)],
  });
  // The codec would write the question anew, from a name that may not have been one.
  records.writeUInt16BE(1, 4);
  return { rcode, bytes: Buffer.concat([records.subarray(0, HEADER_BYTES), query.question, records.subarray(HEADER_BYTES)]) };
}

function flagsOf({ opcode, isRecursionDesired }: Incoming["asked"], { rcode, isAuthoritative, isTruncated }: Content): number {
  let flags = (opcode << 11) | (RCODES[rcode] & 0xf);
  if (isAuthoritative === true) flags |= FLAGS.authoritative;
  if (isTruncated === true) flags |= FLAGS.truncated;
  if (isRecursionDesired) flags |= FLAGS.recursionDesired;
  return flags;
}

function optOf({ isDnssecOk }: Edns, rcode: Rcode): Answer {
  return {
    type: "OPT",
    name: ".",
    udpPayloadSize: MOST_UDP_BYTES,
    extendedRcode: RCODES[rcode] >> 4,
    ednsVersion: 0,
    flags: isDnssecOk ? FLAGS.dnssecOk : 0,
    flag_do: isDnssecOk,
    options: [],
  };
}

/** RFC 6891 section 6.2.3: less than 512 is taken for 512. */
function udpLimit(edns: Edns | null): number {
  return edns === null ? PLAIN_UDP_BYTES : Math.min(Math.max(edns.udpPayloadBytes, PLAIN_UDP_BYTES), MOST_UDP_BYTES);
}
