// What a CA hands out is checked before anybody is served with it: the leaf is ours and for the name, and each certificate after it
// vouches for the one before (RFC 8555, section 9.1).

import { createPrivateKey, X509Certificate } from "node:crypto";

import { unavailable } from "./problem.ts";

export interface CheckedChain {
  /** The leaf, then intermediate certificates; never the root. */
  readonly certificatePem: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;
/** Real chains have two or three. */
const MAX_CERTIFICATES = 10;

/**
 * Throws `certificate_unavailable` with what is wrong.
 *
 * @param name canonical; `*.` in front for a wildcard
 */
export function checkChain(chainPem: string, name: string, privateKeyPem: string, nowMs: number): CheckedChain {
  const refuse = (problem: string): never => {
    throw unavailable(`the authority issued a certificate that cannot be used: ${problem}`);
  };
  const blocks = chainPem.match(BLOCK) ?? [];
  if (blocks.length === 0 || blocks.length > MAX_CERTIFICATES) refuse(`the chain has ${blocks.length} certificates`);
  let chain: X509Certificate[];
  try {
    chain = blocks.map((block) => new X509Certificate(block));
  } catch {
    return refuse("one of the chain is damaged");
  }
  const leaf = chain[0]!;
  if (!leaf.checkPrivateKey(createPrivateKey(privateKeyPem))) refuse("it is for another key");
  if (!isFor(leaf, name)) refuse(`it is not for "${name}"`);
  if (leaf.validToDate.getTime() <= nowMs) refuse(`it expired on ${leaf.validToDate.toISOString()}; check the clock of this machine`);
  for (const [index, certificate] of chain.entries()) {
    const next = chain[index + 1];
    if (next !== undefined && !isIssuedBy(certificate, next))
      refuse(`certificate ${index + 2} of the chain did not issue the one before it`);
  }
  const served = chain.filter((certificate, index) => index === 0 || !isIssuedBy(certificate, certificate));
  return {
    certificatePem: served.map((certificate) => certificate.toString()).join(""),
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
  };
}

/** A wildcard is for itself, letter by letter: another one that happens to match it would not do. */
function isFor(leaf: X509Certificate, name: string): boolean {
  if (!name.startsWith("*.")) return leaf.checkHost(name, { subject: "never" }) !== undefined;
  const names = (leaf.subjectAltName ?? "").toLowerCase().split(/,\s*/);
  return names.includes(`dns:${name}`);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
