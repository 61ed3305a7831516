// Which hosts a TLS connection may carry requests for: the one that its client named, and whichever that one's certificate is for (RFC 9110
// section 7.4, RFC 9113 section 9.1.1). Clients reuse a connection for other hosts on the strength of the certificate alone.

import { wildcardOf } from "../certs/wildcard.ts";
import type { ConnectionHosts } from "../upstream/forward.ts";

/** Names that the certificate of a host is for, wildcards among them; empty where it is not at hand. */
export type CertifiedNames = (hostname: string) => readonly string[];

export class CertifiedHosts implements ConnectionHosts {
  readonly #serverName: string;
  readonly #namesOf: CertifiedNames;
  /** As they were when the connection was made: it lives on when its certificate is renewed. */
  #names: readonly string[];
  /** The last of the others that it was found to be for. */
  #other = "";

  /** @param serverName canonical */
  constructor(serverName: string, namesOf: CertifiedNames) {
    this.#serverName = serverName;
    this.#namesOf = namesOf;
    this.#names = namesOf(serverName);
  }

  includes(host: string): boolean {
    if (host === this.#serverName || host === this.#other) return true;
    // A session may be resumed, without any certificate, before the worker has had to know one.
    if (this.#names.length === 0) this.#names = this.#namesOf(this.#serverName);
    if (!this.#names.includes(host) && !this.#names.includes(wildcardOf(host) ?? "")) return false;
    this.#other = host;
    return true;
  }
}
