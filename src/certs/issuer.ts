// Where certificates come from: the local CA, later an ACME server. The contract between those and whoever keeps certificates.

export interface Issuer {
  /**
   * Obtains a new certificate and key for one name, which the caller has found to be declared. May take as long as a network does, but
   * bounds its own waiting; `signal` gives it up. Throws `certificate_unavailable` with the reason.
   */
  issue(hostname: string, signal: AbortSignal): Promise<IssuedCertificate>;
}

/** Plain values: it crosses from the main thread to the workers. The key is in memory only (docs/decisions/002). */
export interface IssuedCertificate {
  /** Canonical, see server-name.ts. */
  readonly hostname: string;
  /** The certificate, then intermediate ones if there are any; never the root. */
  readonly certificatePem: string;
  /** PKCS #8. */
  readonly privateKeyPem: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Since when the name is served with certificates that browsers trust, in milliseconds since the epoch; absent: this is none, or nobody asks. */
  readonly trustedSinceMs?: number;
}
