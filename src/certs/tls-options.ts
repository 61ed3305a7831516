// What every TLS server of the edge agrees on: versions, ciphers, resumption, whose client certificates count. The listener needs them as much as each certificate's
// context does, because a connection keeps the versions and ciphers of the server it was accepted by.

import { createHash } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import type { ClientAuth, TlsVersions } from "../core/app.ts";

export interface TlsOptionsInput {
  /** 48 random bytes, the same for all workers of a node; otherwise a client resumes only if it meets the same worker again. */
  readonly ticketKeys?: Buffer;
  /** Default: all that are accepted at all, 1.2 and 1.3. */
  readonly versions?: TlsVersions;
  /** null, the default: clients are not asked for certificates. */
  readonly clientAuth?: ClientAuth | null;
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

/**
 * The first of a client's key shares that is in it. Without a list there would be slow ones too (finite fields, P-521), for whoever wants to keep a
 * node busy.
 */
const GROUPS = ["X25519MLKEM768", "X25519", "prime256v1", "secp384r1"].join(":");

/** Seconds. A ticket that outlives its key's rotation is harmless: the client does a full handshake. */
const SESSION_TIMEOUT_S = 3600;

/** For `tls.createServer`, beside `SNICallback` and ALPN, and for `tls.createSecureContext`, beside certificate and key. */
export function tlsOptions({ ticketKeys, versions = "all", clientAuth = null }: TlsOptionsInput = {}): SecureContextOptions {
  return {
    minVersion: versions === "all" ? "TLSv1.2" : versions,
    ...(versions === "all" ? {} : { maxVersion: versions }),
    ciphers: CIPHERS,
    honorCipherOrder: true,
    ecdhCurve: GROUPS,
    sessionTimeout: SESSION_TIMEOUT_S,
    sessionIdContext: sessionIdContext(versions, clientAuth),
    // Without this a context would refer to the system's roots.
    ca: clientAuth === null ? [] : clientAuth.ca,
    // Whoever is in that file is trusted, and be it an intermediate whose root is not.
    ...(clientAuth === null ? {} : { allowPartialTrustChain: true }),
    ...(clientAuth === null || clientAuth.crl === null ? {} : { crl: clientAuth.crl }),
    ...(ticketKeys === undefined ? {} : { ticketKeys }),
  };
}

/**
 * A session that one set of rules allowed does not get past another: OpenSSL resumes none of another context. Node would derive it from the
 * command line, which differs between a node's threads. At most 32 bytes.
 */
function sessionIdContext(versions: TlsVersions, clientAuth: ClientAuth | null): string {
  if (clientAuth === null) return `kittiwake ${versions}`;
  return createHash("sha256").update(`${versions} ${clientAuth.id}`).digest("base64url").slice(0, 32);
}
