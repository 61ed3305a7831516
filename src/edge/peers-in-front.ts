// Addresses of proxies in front of this edge, whose connections begin with a PROXY header that is believed.

import { BlockList, isIPv4, isIPv6 } from "node:net";

export class PeersInFront {
  readonly #blocks = new BlockList();
  readonly #isEmpty: boolean;

  /** @param blocks addresses and CIDR blocks */
  constructor(blocks: readonly string[]) {
    this.#isEmpty = blocks.length === 0;
    for (const block of blocks) {
      const [address = "", prefix] = block.split("/");
      const family = isIPv4(address) ? "ipv4" : "ipv6";
      this.#blocks.addSubnet(address, prefix === undefined ? (family === "ipv4" ? 32 : 128) : Number(prefix), family);
    }
  }

  has(ip: string): boolean {
    if (this.#isEmpty) return false;
    if (isIPv4(ip)) return this.#blocks.check(ip, "ipv4");
    // Which interface a link-local address is on is not part of it.
    const [address = ""] = ip.split("%");
    return isIPv6(address) && this.#blocks.check(address, "ipv6");
  }
}
