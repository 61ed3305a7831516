// Which hosts a TLS connection may carry requests for: the one that its client named, and whichever that one's certificate is for (RFC 9110
// section 7.4, RFC 9113 section 9.1.1). Clients reuse a connection for other hosts on the strength of the certificate alone.

import { wildcardOf } from "../certs/wildcard.ts";
import type { ConnectionHosts } from "../upstream/forward.ts";

/** Names that the certificate of a host is for, wildcards among them; empty where it is not at hand. */
export type CertifiedNames = (hostname: string) => readonly string[];

export class CertifiedHosts implements ConnectionHosts {
  readonly #serverName: string;
  readonly #names: CertifiedNames;
  /** The last of the others that it was found to be for. */
  #other = "";

  /** @param serverName canonical */
  constructor(serverName: string, names: CertifiedNames) {
    this.#serverName = serverName;
    this.#names = names;
  }

  /** Asked of the certificate as it is now: that of a resumed session is not shown again, and may have been renewed. */
  includes(host: string): boolean {
    if (host === this.#serverName || host === this.#other) return true;
    const names = this.#names(this.#serverName);
    if (!names.includes(host) && !names.includes(wildcardOf(host) ?? "")) return false;
    this.#other = host;
    return true;
  }
}
