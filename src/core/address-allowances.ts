// So many of something for each client's address, whatever connections it opens. Bounded: the addresses that were quiet longest are
// forgotten first.

import { LRUCache } from "lru-cache";
import { Allowance } from "./allowance.ts";

const MOST_ADDRESSES = 10_000;

export class AddressAllowances {
  readonly #most: number;
  readonly #perSecond: number;
  readonly #byNetwork = new LRUCache<string, Allowance>({ max: MOST_ADDRESSES });

  constructor(most: number, perSecond: number) {
    this.#most = most;
    this.#perSecond = perSecond;
  }

  of(ip: string, nowMs: number): Allowance {
    const network = networkOf(ip);
    let allowance = this.#byNetwork.get(network);
    if (allowance === undefined) this.#byNetwork.set(network, (allowance = new Allowance(this.#most, this.#perSecond, nowMs)));
    return allowance;
  }
}

/** Of IPv6 the first 64 bits, since whoever has one address of such a network has all of them (RFC 4291 section 2.5.1). */
function networkOf(ip: string): string {
  if (!ip.includes(":")) return ip;
  const groups = ip
    .split("::")[0]!
    .split(":")
    .filter((group) => group !== "");
  return Array.from({ length: 4 }, (_, i) => groups[i] ?? "0").join(":");
}
