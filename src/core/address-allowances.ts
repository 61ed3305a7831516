// So many of something for each client's address, whatever connections it opens. Bounded: the addresses that were quiet longest are
// forgotten first.

import { LRUCache } from "lru-cache";
import { Allowance } from "./allowance.ts";
import { IP_WORDS, parseIp } from "./ip-address.ts";

const MOST_ADDRESSES = 10_000;

export class AddressAllowances {
  readonly #most: number;
  readonly #perSecond: number;
  readonly #words = new Uint32Array(IP_WORDS);
  readonly #byNetwork = new LRUCache<string, Allowance>({ max: MOST_ADDRESSES });

  constructor(most: number, perSecond: number) {
    this.#most = most;
    this.#perSecond = perSecond;
  }

  of(ip: string, nowMs: number): Allowance {
    const network = networkOf(ip, this.#words);
    let allowance = this.#byNetwork.get(network);
    if (allowance === undefined) this.#byNetwork.set(network, (allowance = new Allowance(this.#most, this.#perSecond, nowMs)));
    return allowance;
  }
}

/** Of IPv6 the first 64 bits, since whoever has one address of such a network has all of them (RFC 4291 section 2.5.1). */
function networkOf(ip: string, words: Uint32Array): string {
  const family = parseIp(ip, words);
  if (family === null) return ip;
  return family === 4 ? `4 ${words[3]}` : `6 ${words[0]} ${words[1]}`;
}
