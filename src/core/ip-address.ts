// Hot path. IP addresses as numbers, read without making an object: to be found among blocks of them, and to be counted by network.

export type IpFamily = 4 | 6;

/** An address takes so many words; one of IPv4 is in the last of them, behind the prefix of RFC 4291 section 2.5.5.2. */
export const IP_WORDS = 4;

const DOT = 0x2e;
const COLON = 0x3a;
const ZERO = 0x30;
const NINE = 0x39;

/**
 * Writes the address into `words`; null, and `words` in any state, for what is none. A zone (`%eth0`) is not part of an address. An IPv4
 * address in the form that a socket for both gives it is one of IPv4.
 */
export function parseIp(text: string, words: Uint32Array): IpFamily | null {
  return text.includes(":") ? parseIpv6(text, words) : parseIpv4(text, 0, text.length, words);
}

/** A zero in front is refused: some read the number as octal then. */
function parseIpv4(text: string, start: number, end: number, words: Uint32Array): IpFamily | null {
  let value = 0;
  let at = start;
  for (let part = 0; part < 4; part++) {
    if (part > 0 && (at >= end || text.charCodeAt(at++) !== DOT)) return null;
    const first = at;
    let number = 0;
    for (; at < end && at - first < 3; at++) {
      const code = text.charCodeAt(at);
      if (code < ZERO || code > NINE) break;
      number = number * 10 + code - ZERO;
    }
    if (at === first || number > 255 || (at - first > 1 && text.charCodeAt(first) === ZERO)) return null;
    value = value * 256 + number;
  }
  if (at !== end) return null;
  words[0] = words[1] = 0;
  words[2] = 0xffff;
  words[3] = value;
  return 4;
}

function parseIpv6(text: string, words: Uint32Array): IpFamily | null {
  const zone = text.indexOf("%");
  const end = zone === -1 ? text.length : zone;
  words.fill(0);
  let group = 0;
  /** How many groups are in front of "::"; -1: none was seen. */
  let gap = -1;
  let at = 0;
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return null;
    gap = 0;
    at = 2;
  }
  while (at < end) {
    if (group === 8) return null;
    const first = at;
    let value = 0;
    for (; at < end && at - first < 4; at++) {
      const digit = hexDigit(text.charCodeAt(at));
      if (digit === -1) break;
      value = value * 16 + digit;
    }
    if (at < end && text.charCodeAt(at) === DOT) return parseTail(text, first, end, words, group, gap);
    if (at === first) return null;
    setGroup(words, group++, value);
    if (at === end) break;
    if (text.charCodeAt(at++) !== COLON) return null;
    if (at < end && text.charCodeAt(at) === COLON) {
      if (gap !== -1) return null;
      gap = group;
      at++;
    } else if (at === end) return null;
  }
  return spread(words, group, gap);
}

/** The last two groups, written as an IPv4 address. */
function parseTail(text: string, first: number, end: number, words: Uint32Array, group: number, gap: number): IpFamily | null {
  if (group > 6) return null;
  const tail = new Uint32Array(IP_WORDS);
  if (parseIpv4(text, first, end, tail) === null) return null;
  setGroup(words, group, tail[3]! >>> 16);
  setGroup(words, group + 1, tail[3]! & 0xffff);
  return spread(words, group + 2, gap);
}

/** Moves what is behind "::" to the end. */
function spread(words: Uint32Array, count: number, gap: number): IpFamily | null {
  if (gap === -1 ? count !== 8 : count > 7) return null;
  for (let i = 1; gap !== -1 && i <= count - gap; i++) {
    const value = groupOf(words, count - i);
    setGroup(words, count - i, 0);
    setGroup(words, 8 - i, value);
  }
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff ? 4 : 6;
}

function groupOf(words: Uint32Array, group: number): number {
  const word = words[group >> 1]!;
  return (group & 1) === 0 ? word >>> 16 : word & 0xffff;
}

function setGroup(words: Uint32Array, group: number, value: number): void {
  const word = words[group >> 1]!;
  words[group >> 1] = (group & 1) === 0 ? ((word & 0xffff) | (value << 16)) >>> 0 : ((word & 0xffff0000) | value) >>> 0;
}

function hexDigit(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
