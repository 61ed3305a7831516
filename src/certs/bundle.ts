// Certificates that an operator brings: the one that the key belongs to is found among them, its chain is put in order, and what no client
// would accept is refused with the reason. Nothing here says more of a private key than that it fits or not.

import { createPrivateKey, type KeyObject, type X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";

import { ProxyError } from "../core/errors.ts";
import { alternativeNames } from "./alternative-names.ts";
import { splitPem } from "./pem.ts";
import { parseCertificate } from "./stored-certificate.ts";
import { tlsOptions } from "./tls-options.ts";

export interface Bundle {
  /** Canonical; wildcards begin with `*.`. */
  readonly names: readonly string[];
  /** The certificate, then intermediate ones, each signed by the next; never a root. */
  readonly certificatePem: string;
  /** PKCS #8. */
  readonly privateKeyPem: string;
  /** What the operator may want to know, though it is no reason to refuse it. */
  readonly notes: readonly string[];
}

/** What a directory of certificates may hold at most that are not wanted. */
const MAX_CERTIFICATES = 50;
const MAX_KEYS = 10;

/**
 * @param pem certificates in any order, others among them, and one private key that is not encrypted
 * @throws `certificate_invalid`
 */
export function readBundle(pem: string, nowMs: number): Bundle {
  const { certificates, keys } = splitPem(pem);
  if (certificates.length === 0) throw invalid("there is no certificate in what was given");
  if (keys.length === 0) throw invalid("there is no private key in what was given; name its file with --key");
  if (certificates.length > MAX_CERTIFICATES)
    throw invalid(`there are ${certificates.length} certificates; ${MAX_CERTIFICATES} are the most`);
  if (keys.length > MAX_KEYS) throw invalid(`there are ${keys.length} private keys; ${MAX_KEYS} are the most`);
  const parsed = certificates.map(parseCertificate);
  const { leaf, key } = matchingPair(parsed, keys.map(parseKey));
  refuseExpired(leaf, nowMs);
  const names = namesOf(leaf);
  const { chain, notes } = chainOf(leaf, parsed, nowMs);
  const certificatePem = [leaf, ...chain].map((certificate) => certificate.toString()).join("");
  const privateKeyPem = key.export({ type: "pkcs8", format: "pem" }).toString();
  refuseUnusable(certificatePem, privateKeyPem);
  if (leaf.validFromDate.getTime() > nowMs)
    notes.push(`it is not valid before ${leaf.validFromDate.toISOString()}, and is not served until then`);
  return { names, certificatePem, privateKeyPem, notes };
}

function parseKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reason = code === "ERR_MISSING_PASSPHRASE" ? "it is encrypted" : "it is damaged, or of a kind that is not known here";
    // What OpenSSL says of it stays here: nobody knows what it quotes.
    throw invalid(`the private key cannot be read: ${reason}`);
  }
}

/** With several of both, the last certificate to expire that has its key. */
function matchingPair(certificates: readonly X509Certificate[], keys: readonly KeyObject[]): { leaf: X509Certificate; key: KeyObject } {
  const pairs = certificates.flatMap((leaf) => {
    const key = keys.find((candidate) => leaf.checkPrivateKey(candidate));
    return key === undefined ? [] : [{ leaf, key }];
  });
  const [best] = pairs.toSorted((one, other) => other.leaf.validToDate.getTime() - one.leaf.validToDate.getTime());
  if (best !== undefined) return best;
  throw invalid(
    certificates.length === 1
      ? `the private key does not belong to the certificate for ${describe(certificates[0]!)}`
      : `the private key belongs to none of the ${certificates.length} certificates`,
  );
}

function refuseExpired(leaf: X509Certificate, nowMs: number): void {
  if (leaf.validToDate.getTime() > nowMs) return;
  throw invalid(`the certificate for ${describe(leaf)} expired on ${leaf.validToDate.toISOString()}`);
}

function namesOf(leaf: X509Certificate): readonly string[] {
  const names = alternativeNames(leaf);
  if (names.length > 0) return names;
  throw invalid(`the certificate for ${describe(leaf)} has no alternative name that is a host name or an address`);
}

/** From the leaf upwards, as far as there is somebody who signed it; roots are left out, since clients have their own. */
function chainOf(
  leaf: X509Certificate,
  certificates: readonly X509Certificate[],
  nowMs: number,
): { readonly chain: readonly X509Certificate[]; readonly notes: string[] } {
  const chain: X509Certificate[] = [];
  const notes: string[] = [];
  const rest = new Map(certificates.map((certificate) => [certificate.fingerprint256, certificate]));
  rest.delete(leaf.fingerprint256);
  let last = leaf;
  while (!isSelfSigned(last)) {
    // Of a certificate that was issued anew with the same key, the one that lasts.
    const [issuer] = [...rest.values()].filter((one) => isIssuedBy(last, one)).toSorted((one, other) => lifetimeOrder(one, other));
    if (issuer === undefined) break;
    rest.delete(issuer.fingerprint256);
    last = issuer;
    if (isSelfSigned(issuer)) break;
    chain.push(issuer);
    if (issuer.validToDate.getTime() <= nowMs)
      notes.push(`the intermediate certificate "${commonName(issuer)}" expired on ${issuer.validToDate.toISOString()}`);
  }
  if (isSelfSigned(leaf)) notes.push("it is signed by itself: only clients that were given it will trust it");
  else if (chain.length === 0 && last === leaf) {
    notes.push("no intermediate certificate came with it: most clients trust it only if its issuer is a root that they have");
  }
  const others = [...rest.values()].filter((one) => !isSelfSigned(one)).length;
  if (others > 0)
    notes.push(
      `${others} certificate${others === 1 ? " that has" : "s that have"} nothing to do with it ${others === 1 ? "was" : "were"} left out`,
    );
  return { chain, notes };
}

function isSelfSigned(certificate: X509Certificate): boolean {
  return isIssuedBy(certificate, certificate);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    // A key of a kind that is not known here has signed nothing that could be used.
    return false;
  }
}

function lifetimeOrder(one: X509Certificate, other: X509Certificate): number {
  return other.validToDate.getTime() - one.validToDate.getTime();
}

/** A key that is too short, or a signature that is too old, would fail every handshake. */
function refuseUnusable(cert: string, key: string): void {
  try {
    createSecureContext({ ...tlsOptions(), cert, key });
  } catch (cause) {
    const { reason = "it is not fit for TLS" } = cause as { readonly reason?: string };
    throw invalid(`TLS cannot use the certificate: ${reason}`);
  }
}

function describe(certificate: X509Certificate): string {
  return `"${commonName(certificate)}"`;
}

function commonName(certificate: X509Certificate): string {
  const { subject, subjectAltName } = certificate;
  return /^CN=(.+)$/m.exec(subject ?? "")?.[1] ?? subjectAltName ?? certificate.fingerprint256;
}

function invalid(message: string): ProxyError {
  return new ProxyError("certificate_invalid", message);
}
