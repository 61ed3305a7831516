// What every TLS server of the edge agrees on: versions, ciphers, resumption. The listener needs them as much as each certificate's
// context does, because a connection keeps the versions and ciphers of the server it was accepted by.

import type { SecureContextOptions } from "node:tls";
import type { TlsVersions } from "../core/app.ts";

export interface TlsOptionsInput {
  /** 48 random bytes, the same for all workers of a node; otherwise a client resumes only if it meets the same worker again. */
  readonly ticketKeys?: Buffer;
  /** Default: all that are accepted at all, 1.2 and 1.3. */
  readonly versions?: TlsVersions;
}

/** TLS 1.3, then TLS 1.2 with forward secrecy and authenticated encryption only; AES-128 first, the cheapest per byte. */
const CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/** Seconds. A ticket that outlives its key's rotation is harmless: the client does a full handshake. */
const SESSION_TIMEOUT_S = 3600;

/** For `tls.createServer`, beside `SNICallback` and ALPN, and for `tls.createSecureContext`, beside certificate and key. */
export function tlsOptions({ ticketKeys, versions = "all" }: TlsOptionsInput = {}): SecureContextOptions {
  return {
    minVersion: versions === "all" ? "TLSv1.2" : versions,
    ...(versions === "all" ? {} : { maxVersion: versions }),
    ciphers: CIPHERS,
    honorCipherOrder: true,
    sessionTimeout: SESSION_TIMEOUT_S,
    // Node would derive it from the command line, which differs between a node's threads. A session that one set of rules allowed does
    // not get past another.
    sessionIdContext: `kittiwake ${versions}`,
    // Nobody verifies client certificates here; without this each context would refer to the system's roots.
    ca: [],
    ...(ticketKeys === undefined ? {} : { ticketKeys }),
  };
}
