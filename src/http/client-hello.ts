// Reads the first message of a TLS client (RFC 8446 sections 4.1.2 and 5.1, RFC 5246 section 7.4.1.2) for the name it asks for and the
// protocols it offers, across any number of records and segments. Bytes in, values out, no I/O; nothing of the handshake is answered or
// changed. With Encrypted Client Hello it is the outer name that is read, the one that its sender wants to be routed by.

import { ProxyError } from "../core/errors.ts";

export interface ClientHello {
  /** As sent, lower or upper case; null when the client names no host. */
  readonly serverName: string | null;
  /** By ALPN, best first; empty when the client offers none. */
  readonly protocols: readonly string[];
}

/** The longest message that is read. Post-quantum keys and padding make some 2 KB, resumption a few more. */
const MAX_MESSAGE_BYTES = 64 * 1024;
/** With the headers of its records. */
export const MAX_HELLO_BYTES = MAX_MESSAGE_BYTES + 4 * 1024;
/** RFC 8446 section 5.1. */
const MAX_RECORD_BYTES = 16_384;
const RECORD_HEADER_BYTES = 5;
const MESSAGE_HEADER_BYTES = 4;

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const ALPN = 16;
const HOST_NAME = 0;
const MAX_NAME_BYTES = 255;
const NO_PROTOCOLS: readonly string[] = [];

/** One for each connection: it remembers how far it has read. */
export class ClientHelloReader {
  /** Where the next record begins. */
  #position = 0;
  /** Bytes of the message in the records before it. */
  #received = 0;
  /** With its header; Infinity before that has come. */
  #messageBytes = Infinity;
  readonly #fragments: { readonly start: number; readonly end: number }[] = [];

  /**
   * Reads on in `bytes[0, length)`, all that has come so far. null: it is not whole yet. Throws `tls_handshake_failed` for what is none,
   * as soon as that can be told.
   */
  read(bytes: Buffer, length: number): ClientHello | null {
    for (;;) {
      const fragment = this.#nextFragment(bytes, length);
      if (fragment === null) {
        if (length >= MAX_HELLO_BYTES) throw refusal("it is too long");
        return null;
      }
      this.#fragments.push(fragment);
      this.#received += fragment.end - fragment.start;
      this.#position = fragment.end;
      if (this.#messageBytes === Infinity && this.#received >= MESSAGE_HEADER_BYTES) this.#readMessageHeader(bytes);
      if (this.#received < this.#messageBytes) continue;
      // A client has nothing more to say before it is answered.
      if (this.#received > this.#messageBytes) throw refusal("something follows it");
      return parse(this.#firstBytes(bytes, this.#received).subarray(MESSAGE_HEADER_BYTES));
    }
  }

  #readMessageHeader(bytes: Buffer): void {
    const header = this.#firstBytes(bytes, MESSAGE_HEADER_BYTES);
    if (header[0] !== CLIENT_HELLO) throw refusal("it begins with another message");
    this.#messageBytes = MESSAGE_HEADER_BYTES + header.readUIntBE(1, 3);
    if (this.#messageBytes > MAX_MESSAGE_BYTES) throw refusal("it is too long");
  }

  /** The next whole record's content; its header is looked at as soon as there is one. */
  #nextFragment(bytes: Buffer, length: number): { readonly start: number; readonly end: number } | null {
    const at = this.#position;
    if (length > at && bytes[at] !== HANDSHAKE) throw refusal("this is not TLS");
    if (length > at + 1 && bytes[at + 1] !== 3) throw refusal("its version is unknown");
    if (length < at + RECORD_HEADER_BYTES) return null;
    const size = bytes.readUInt16BE(at + 3);
    if (size === 0 || size > MAX_RECORD_BYTES) throw refusal("a record of it has an impossible length");
    const start = at + RECORD_HEADER_BYTES;
    return length < start + size ? null : { start, end: start + size };
  }

  /** The message up to `count`, without copying if it is in one record. */
  #firstBytes(bytes: Buffer, count: number): Buffer {
    const [first] = this.#fragments;
    if (first !== undefined && first.end - first.start >= count) return bytes.subarray(first.start, first.start + count);
    return Buffer.concat(this.#fragments.map(({ start, end }) => bytes.subarray(start, end))).subarray(0, count);
  }
}

function parse(message: Buffer): ClientHello {
  const body = new Cursor(message);
  body.skip(2 + 32); // version and random
  if (body.vector(1).length > 32) throw refusal("its session id is too long");
  const suites = body.vector(2).length;
  if (suites === 0 || suites % 2 !== 0) throw refusal("its list of ciphers is malformed");
  if (body.vector(1).length === 0) throw refusal("its list of compressions is empty");
  // TLS 1.2 may have no extensions at all.
  if (body.isAtEnd) return { serverName: null, protocols: NO_PROTOCOLS };
  const extensions = new Cursor(body.vector(2));
  if (!body.isAtEnd) throw refusal("something follows its extensions");
  const seen = new Set<number>();
  let serverName: string | null = null;
  let protocols = NO_PROTOCOLS;
  while (!extensions.isAtEnd) {
    const type = extensions.number(2);
    const content = extensions.vector(2);
    if (seen.has(type)) throw refusal("an extension is repeated");
    seen.add(type);
    if (type === SERVER_NAME) serverName = parseServerName(content);
    else if (type === ALPN) protocols = parseProtocols(content);
  }
  return { serverName, protocols };
}

/** RFC 6066 section 3: a list with one name of each type, of which there is only one. */
function parseServerName(content: Buffer): string {
  const outer = new Cursor(content);
  const list = new Cursor(outer.vector(2));
  const type = list.number(1);
  const name = list.vector(2);
  if (!outer.isAtEnd || !list.isAtEnd || type !== HOST_NAME) throw refusal("its server name is malformed");
  if (name.length === 0 || name.length > MAX_NAME_BYTES || name.some((byte) => byte <= 0x20 || byte >= 0x7f)) {
    throw refusal("its server name is malformed");
  }
  return name.toString("latin1");
}

/** RFC 7301 section 3.1: a list of names that are not empty, and at least one. */
function parseProtocols(content: Buffer): readonly string[] {
  const outer = new Cursor(content);
  const list = new Cursor(outer.vector(2));
  if (!outer.isAtEnd || list.isAtEnd) throw refusal("its list of protocols is malformed");
  const protocols: string[] = [];
  while (!list.isAtEnd) {
    const name = list.vector(1);
    if (name.length === 0) throw refusal("its list of protocols is malformed");
    protocols.push(name.toString("latin1"));
  }
  return protocols;
}

/** Reads a structure of TLS from front to back; beyond its end is a refusal. */
class Cursor {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#bytes.length;
  }

  skip(count: number): void {
    this.#take(count);
  }

  number(size: number): number {
    return this.#bytes.readUIntBE(this.#take(size), size);
  }

  /** Content with its length in front, in `size` bytes. */
  vector(size: number): Buffer {
    const length = this.number(size);
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  #take(count: number): number {
    const start = this.#position;
    if (start + count > this.#bytes.length) throw refusal("a length in it is wrong");
    this.#position += count;
    return start;
  }
}

function refusal(reason: string): ProxyError {
  return new ProxyError("tls_handshake_failed", `the ClientHello cannot be read: ${reason}`);
}
