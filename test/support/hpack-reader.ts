// Reads header blocks as a client must (RFC 7541), and is strict about what the encoder on the other side may do. For tests: simple, not fast.

import { HUFFMAN_LENGTHS } from "../../src/http/http2/huffman-code.ts";
import type { Field } from "./frames.ts";

const STATIC_TABLE: readonly Field[] = `
:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|:status 206|:status 304
:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|accept
access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|content-language|content-length
content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range
if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after
server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate`
  .trim()
  .split(/[|\n]/)
  .map((entry) => {
    const space = entry.indexOf(" ");
    return space === -1 ? [entry, ""] : [entry.slice(0, space), entry.slice(space + 1)];
  });

const EOS = 256;
const HUFFMAN = codes();

function codes(): ReadonlyMap<string, number> {
  const bySize = HUFFMAN_LENGTHS.keys()
    .toArray()
    .toSorted((a, b) => HUFFMAN_LENGTHS[a]! - HUFFMAN_LENGTHS[b]! || a - b);
  const found = new Map<string, number>();
  let code = 0;
  let length = 0;
  for (const symbol of bySize) {
    code *= 2 ** (HUFFMAN_LENGTHS[symbol]! - length);
    length = HUFFMAN_LENGTHS[symbol]!;
    found.set(code.toString(2).padStart(length, "0"), symbol);
    code++;
  }
  return found;
}

/** The octets of a string in Huffman coding. */
export function huffmanCoded(value: string): Buffer {
  const byByte = new Map([...HUFFMAN].map(([code, symbol]) => [symbol, code]));
  let bits = [...Buffer.from(value, "latin1")].map((byte) => byByte.get(byte)!).join("");
  while (bits.length % 8 !== 0) bits += "1";
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)));
}

export class HpackReader {
  #table: Field[] = [];
  #size = 4096;
  /** The most that the encoder may use. */
  #limit = 4096;
  /** It was made smaller: the next block must begin with an update to this or less (RFC 7541 section 4.2). */
  #mustShrinkTo: number | null = null;
  #octets: Buffer = Buffer.alloc(0);
  #at = 0;

  /** The client's setting is in force. */
  setLimit(limit: number): void {
    if (limit < this.#limit && limit < this.#size) this.#mustShrinkTo = Math.min(limit, this.#mustShrinkTo ?? limit);
    this.#limit = limit;
  }

  /** Throws for what no encoder may write. */
  read(block: Buffer): Field[] {
    this.#octets = block;
    this.#at = 0;
    const fields: Field[] = [];
    while (this.#at < block.length) {
      const first = block[this.#at]!;
      if ((first & 0xe0) === 0x20) {
        if (fields.length > 0) throw new Error("a table size update behind a field");
        this.#resize(this.#integer(5));
        continue;
      }
      if (this.#mustShrinkTo !== null) throw new Error(`no table size update to ${this.#mustShrinkTo}`);
      fields.push(this.#field(first));
    }
    return fields;
  }

  #field(first: number): Field {
    if ((first & 0x80) !== 0) return this.#entry(this.#integer(7));
    const isRemembered = (first & 0xc0) === 0x40;
    const index = this.#integer(isRemembered ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#entry(index)[0];
    const field: Field = [name, this.#string()];
    if (isRemembered) {
      this.#table.unshift(field);
      this.#evict();
    }
    return field;
  }

  #resize(size: number): void {
    if (size > this.#limit) throw new Error(`a table of ${size} bytes where ${this.#limit} are allowed`);
    if (this.#mustShrinkTo !== null && size <= this.#mustShrinkTo) this.#mustShrinkTo = null;
    this.#size = size;
    this.#evict();
  }

  #evict(): void {
    while (this.#table.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0) > this.#size) this.#table.pop();
  }

  #entry(index: number): Field {
    const entry = index === 0 ? undefined : (STATIC_TABLE[index - 1] ?? this.#table[index - 62]);
    if (entry === undefined) throw new Error(`no entry ${index} in the tables`);
    return entry;
  }

  #integer(prefix: number): number {
    const most = 2 ** prefix - 1;
    let value = this.#octet() & most;
    if (value < most) return value;
    for (let factor = 1; ; factor *= 128) {
      const octet = this.#octet();
      value += (octet & 0x7f) * factor;
      if (octet < 0x80) return value;
    }
  }

  #string(): string {
    const isHuffman = (this.#octets[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(7);
    if (this.#at + length > this.#octets.length) throw new Error("a string beyond the end of its block");
    const octets = this.#octets.subarray(this.#at, (this.#at += length));
    return isHuffman ? unhuffman(octets) : octets.toString("latin1");
  }

  #octet(): number {
    const octet = this.#octets[this.#at++];
    if (octet === undefined) throw new Error("a block that ends within a field");
    return octet;
  }
}

function unhuffman(octets: Buffer): string {
  const read: number[] = [];
  let code = "";
  for (const bit of [...octets].map((octet) => octet.toString(2).padStart(8, "0")).join("")) {
    code += bit;
    const symbol = HUFFMAN.get(code);
    if (symbol === undefined) continue;
    if (symbol === EOS) throw new Error("the end of a string in Huffman coding is written out");
    read.push(symbol);
    code = "";
  }
  if (code.length > 7 || code.includes("0")) throw new Error("a string in Huffman coding is padded wrongly");
  return Buffer.from(read).toString("latin1");
}
