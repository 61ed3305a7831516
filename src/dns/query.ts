// One message from the network, read strictly and without regard to who sent it: either a query that may be answered, or a reason not to.
// The question is kept as it was written, since it is sent back byte for byte (capital letters are some resolvers' defence, "0x20").

import { decode } from "dns-packet";

export interface Query extends Asked {
  /** From the left, in lower case: `["x", "acme", "example", "net"]`. A dot within a label is no separator, hence no joined name. */
  readonly labels: readonly string[];
  readonly type: number;
  readonly recordClass: number;
  /** Name, type and class as they came. */
  readonly question: Buffer;
  readonly edns: Edns | null;
}

/** What of the header goes into a response. */
interface Asked {
  readonly id: number;
  readonly opcode: number;
  readonly isRecursionDesired: boolean;
}

export interface Edns {
  readonly version: number;
  /** What the client says it can take by UDP. */
  readonly udpPayloadBytes: number;
  /** Wants DNSSEC records: the flag is sent back (RFC 3225), the records do not exist. */
  readonly isDnssecOk: boolean;
}

export interface Incoming {
  /**
   * - query: `query` is there
   * - malformed, not_implemented: gets a header with FORMERR or NOTIMP
   * - ignored: no query at all, so an answer could start an argument between two servers
   */
  readonly kind: "query" | "malformed" | "not_implemented" | "ignored";
  readonly asked: Asked;
  readonly query: Query | null;
}

export const HEADER_BYTES = 12;
const MAX_NAME_BYTES = 255;
const QUERY_OPCODE = 0;
/** EDNS and a signature; more is not heard of. */
const MAX_ADDITIONALS = 2;

/** Never throws. */
export function readQuery(message: Buffer): Incoming {
  if (message.length < HEADER_BYTES) return { kind: "ignored", asked: { id: 0, opcode: 0, isRecursionDesired: false }, query: null };
  const flags = message.readUInt16BE(2);
  const asked = { id: message.readUInt16BE(0), opcode: (flags >> 11) & 0xf, isRecursionDesired: (flags & 0x0100) !== 0 };
  if ((flags & 0x8000) !== 0) return { kind: "ignored", asked, query: null };
  if (asked.opcode !== QUERY_OPCODE) return { kind: "not_implemented", asked, query: null };
  const query = readBody(message, asked);
  return { kind: query === null ? "malformed" : "query", asked, query };
}

/** One question (RFC 9619), no answers, and at most EDNS behind it; null for anything else. */
function readBody(message: Buffer, asked: Asked): Query | null {
  const [questions, answers, authorities, additionals] = [4, 6, 8, 10].map((at) => message.readUInt16BE(at));
  if (questions !== 1 || answers !== 0 || authorities !== 0 || additionals! > MAX_ADDITIONALS) return null;
  const name = readName(message);
  if (name === null) return null;
  const end = name.end + 4;
  const edns = additionals === 0 ? (end === message.length ? null : undefined) : readEdns(message);
  if (end > message.length || edns === undefined) return null;
  return {
    ...asked,
    labels: name.labels,
    type: message.readUInt16BE(name.end),
    recordClass: message.readUInt16BE(name.end + 2),
    question: message.subarray(HEADER_BYTES, end),
    edns,
  };
}

/** The first name of a message, where nothing stands before it that compression could point to; null for what is none. */
function readName(message: Buffer): { readonly labels: readonly string[]; readonly end: number } | null {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (;;) {
    const length = message[at++];
    if (length === undefined || length > 63) return null;
    if (length === 0) break;
    // Bytes one by one: what is not ASCII equals nothing of ours.
    labels.push(lowerCase(message.toString("latin1", at, at + length)));
    at += length;
  }
  return at - HEADER_BYTES <= MAX_NAME_BYTES && at + 4 <= message.length ? { labels, end: at } : null;
}

/** undefined: malformed, or twice (RFC 6891 section 6.1.1). */
function readEdns(message: Buffer): Edns | null | undefined {
  try {
    const { additionals = [] } = decode(message);
    if (decode.bytes !== message.length) return undefined;
    const found = additionals.filter((record) => record.type === "OPT");
    const [options] = found;
    if (options === undefined) return null;
    if (found.length > 1 || options.name !== ".") return undefined;
    return { version: options.ednsVersion, udpPayloadBytes: options.udpPayloadSize, isDnssecOk: (options.flags & 0x8000) !== 0 };
  } catch {
    return undefined;
  }
}

/** Of ASCII letters alone, as names in DNS are compared (RFC 4343). */
function lowerCase(label: string): string {
  return label.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
