// Hot path. A set of IP addresses given as blocks, made once and asked often: sorted ranges without overlaps, so that ten thousand blocks
// cost little more than one.

import { IP_WORDS, parseIp, type IpFamily } from "./ip-address.ts";

/** Both ends are in it. */
interface Range {
  readonly first: readonly number[];
  readonly last: readonly number[];
}

export class AddressSet {
  readonly isEmpty: boolean;
  readonly #ranges: Readonly<Record<IpFamily, Uint32Array>>;
  readonly #words = new Uint32Array(IP_WORDS);

  /** @param blocks addresses and CIDR blocks, which are valid */
  constructor(blocks: readonly string[]) {
    const ranges: Record<IpFamily, Range[]> = { 4: [], 6: [] };
    const first = this.#words;
    for (const block of blocks) {
      const [address = "", prefix] = block.split("/");
      const family = parseIp(address, first);
      if (family === null) throw new RangeError(`not an address or a block of them: "${block}"`);
      const isMapped = family === 4 && address.includes(":");
      ranges[family].push(rangeOf(first, prefix === undefined ? 128 : Number(prefix) + (family === 4 && !isMapped ? 96 : 0)));
    }
    this.isEmpty = blocks.length === 0;
    this.#ranges = { 4: joined(ranges[4]), 6: joined(ranges[6]) };
  }

  /** False for what is no address, too. */
  has(ip: string): boolean {
    if (this.isEmpty) return false;
    const family = parseIp(ip, this.#words);
    return family !== null && this.includes(family, this.#words);
  }

  /** @param words as `parseIp` writes them */
  includes(family: IpFamily, words: Uint32Array): boolean {
    const ranges = this.#ranges[family];
    let low = 0;
    let high = ranges.length / (2 * IP_WORDS);
    // The first range that begins behind the address; it may be in the one before.
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(ranges, middle * 2 * IP_WORDS, words) > 0) high = middle;
      else low = middle + 1;
    }
    return low > 0 && compare(ranges, (low * 2 - 1) * IP_WORDS, words) >= 0;
  }
}

/** Of the address at `at` with the other one. */
function compare(addresses: ArrayLike<number>, at: number, words: ArrayLike<number>): number {
  for (let i = 0; i < IP_WORDS; i++) {
    const difference = addresses[at + i]! - words[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

function rangeOf(address: Uint32Array, prefix: number): Range {
  const first: number[] = [];
  const last: number[] = [];
  for (let i = 0; i < IP_WORDS; i++) {
    const bits = Math.min(Math.max(prefix - 32 * i, 0), 32);
    const mask = bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
    first.push((address[i]! & mask) >>> 0);
    last.push((address[i]! | ~mask) >>> 0);
  }
  return { first, last };
}

/** Sorted, with those that overlap made one. */
function joined(ranges: readonly Range[]): Uint32Array {
  const kept: Range[] = [];
  for (const range of ranges.toSorted((a, b) => compare(a.first, 0, b.first))) {
    const before = kept.at(-1);
    if (before === undefined || compare(before.last, 0, range.first) < 0) kept.push(range);
    else if (compare(before.last, 0, range.last) < 0) kept[kept.length - 1] = { first: before.first, last: range.last };
  }
  const flat = new Uint32Array(kept.length * 2 * IP_WORDS);
  for (const [index, { first, last }] of kept.entries()) {
    flat.set(first, index * 2 * IP_WORDS);
    flat.set(last, (index * 2 + 1) * IP_WORDS);
  }
  return flat;
}
