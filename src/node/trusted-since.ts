// Whether a certificate that is on its way to a worker is one that browsers trust, and since when its name has had such: only then may they be
// told to come by HTTPS alone. One of the local CA is not, nor one that vouches for itself.

import { X509Certificate } from "node:crypto";
import type { App } from "../core/app.ts";
import type { IssuedCertificate } from "../certs/issuer.ts";
import type { ServedSince } from "../certs/served-since.ts";
import type { Vault } from "../certs/vault.ts";
import { wildcardOf } from "../certs/wildcard.ts";

export interface TrustedSinceOptions {
  readonly apps: () => readonly App[];
  readonly vault: Pick<Vault, "serving">;
  readonly servedSince: ServedSince;
}

/** The certificate, with `trustedSinceMs` where an app asks for it and it may have one. Throws `store_unavailable`. */
export async function withTrustedSince(
  hostname: string,
  certificate: IssuedCertificate,
  { apps, vault, servedSince }: TrustedSinceOptions,
): Promise<IssuedCertificate> {
  const declared = [hostname, wildcardOf(hostname)].find(
    (name) => name !== null && apps().some(({ hostnames }) => hostnames.includes(name)),
  );
  const hsts = apps().find(({ hostnames }) => hostnames.includes(declared ?? ""))?.hsts ?? null;
  if (hsts === null) return certificate;
  // Others than those of the vault are the local CA's.
  if (vault.serving(hostname)?.certificatePem !== certificate.certificatePem || isSelfSigned(certificate)) return certificate;
  // An age that is given needs no date.
  return { ...certificate, trustedSinceMs: hsts.maxAgeS === null ? await servedSince.get(declared!) : 0 };
}

function isSelfSigned({ certificatePem }: IssuedCertificate): boolean {
  const certificate = new X509Certificate(certificatePem);
  return certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey);
}
