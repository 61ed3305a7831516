// Makes X.509 structures (RFC 5280): the root of the local CA and the leaves under it, certificates that sign themselves, and requests to other
// CAs. The only file that speaks to @peculiar/x509; it reads and writes nothing.

import { createHash, createPrivateKey, createPublicKey, KeyObject, randomBytes, type webcrypto } from "node:crypto";
import { isIP } from "node:net";

import "reflect-metadata"; // before the library, whose container looks for it while it loads
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

import type { IssuedCertificate } from "./issuer.ts";
import type { RootPair } from "./root-files.ts";

/** What signs leaves: a root in the form that the library wants. */
export interface Signer {
  readonly certificate: X509Certificate;
  readonly privateKey: CryptoKey;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
const RSA_ALGORITHM = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } as const;
const SIGNATURE_ALGORITHM = { name: "ECDSA", hash: "SHA-256" } as const;
/** id-pe-acmeIdentifier. */
const ACME_IDENTIFIER = "1.3.6.1.5.5.7.1.31";
/** An OCTET STRING of 32 bytes, in DER. */
const DIGEST_HEADER = Buffer.from([0x04, 0x20]);
/** Of a certificate that is shown once: those who check it may have another time. */
const DAY_MS = 86_400_000;

/** A self-signed root, named after its key so that two of them are told apart in a trust store. */
export async function createRoot(validity: Validity): Promise<RootPair> {
  const keys = await generateKeys();
  const subjectKeyId = await SubjectKeyIdentifierExtension.create(keys.publicKey);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...validity,
    name: `CN=Kittiwake Local CA ${subjectKeyId.keyId.slice(0, 8)}`,
    serialNumber: randomSerial(),
    keys,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      subjectKeyId,
    ],
  });
  return { certificatePem: pemOf(certificate), privateKeyPem: exportKey(keys.privateKey) };
}

/** The certificate of a server. Its subject is empty, so the alternative name is critical (RFC 5280, section 4.2.1.6). */
export async function createLeaf(hostname: string, validity: Validity, signer: Signer): Promise<IssuedCertificate> {
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.create({
    ...validity,
    issuer: signer.certificate.subjectName,
    serialNumber: randomSerial(),
    publicKey: keys.publicKey,
    signingKey: signer.privateKey,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([{ type: isIP(hostname) === 0 ? "dns" : "ip", value: hostname }], true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await authorityKeyId(signer.certificate),
    ],
  });
  return {
    hostname,
    certificatePem: pemOf(certificate),
    privateKeyPem: exportKey(keys.privateKey),
    // As written: X.509 has whole seconds.
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
  };
}

/** For clients that name no host, and do not verify whom they reach either. Named for nobody. */
export async function createSelfSigned(validity: Validity): Promise<RootPair> {
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...validity,
    name: "CN=Kittiwake default certificate",
    serialNumber: randomSerial(),
    keys,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    ],
  });
  return { certificatePem: pemOf(certificate), privateKeyPem: exportKey(keys.privateKey) };
}

/** What a TLS-ALPN-01 challenge is answered with (RFC 8737 section 3). */
export async function createChallengeCertificate(hostname: string, keyAuthorization: string, now: Date): Promise<RootPair> {
  const keys = await generateKeys();
  const digest = createHash("sha256").update(keyAuthorization).digest();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    notBefore: new Date(now.getTime() - DAY_MS),
    notAfter: new Date(now.getTime() + DAY_MS),
    name: "CN=ACME challenge",
    serialNumber: randomSerial(),
    keys,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    extensions: [
      new SubjectAlternativeNameExtension([{ type: "dns", value: hostname }]),
      new Extension(ACME_IDENTIFIER, true, Buffer.concat([DIGEST_HEADER, digest])),
    ],
  });
  return { certificatePem: pemOf(certificate), privateKeyPem: exportKey(keys.privateKey) };
}

/**
 * A request for a certificate, in PEM (RFC 2986). Its subject is empty: CAs go by the alternative name.
 *
 * @param hostname canonical; `*.` in front for a wildcard
 * @param privateKeyPem RSA, or EC on P-256
 */
export async function createRequest(hostname: string, privateKeyPem: string): Promise<string> {
  const privateKey = createPrivateKey(privateKeyPem);
  const isRsa = privateKey.asymmetricKeyType === "rsa";
  const algorithm = isRsa ? RSA_ALGORITHM : KEY_ALGORITHM;
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys: {
      privateKey: privateKey.toCryptoKey(algorithm, true, ["sign"]),
      publicKey: createPublicKey(privateKey).toCryptoKey(algorithm, true, ["verify"]),
    },
    signingAlgorithm: isRsa ? RSA_ALGORITHM : SIGNATURE_ALGORITHM,
    extensions: [new SubjectAlternativeNameExtension([{ type: "dns", value: hostname }])],
  });
  return request.toString("pem");
}

/** @param privateKey an EC key on P-256 */
export function createSigner(certificatePem: string, privateKey: KeyObject): Signer {
  return { certificate: new X509Certificate(certificatePem), privateKey: privateKey.toCryptoKey(KEY_ALGORITHM, false, ["sign"]) };
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
}

/** 128 random bits in hex; the library keeps the number positive (RFC 5280, section 4.1.2.2). */
function randomSerial(): string {
  return randomBytes(16).toString("hex");
}

/** The root's own idea of its key's name, as one that an operator brought may have formed it in another way. */
async function authorityKeyId(root: X509Certificate): Promise<AuthorityKeyIdentifierExtension> {
  const keyId = root.getExtension(SubjectKeyIdentifierExtension)?.keyId;
  return keyId === undefined ? AuthorityKeyIdentifierExtension.create(root.publicKey) : new AuthorityKeyIdentifierExtension(keyId);
}

function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

function exportKey(key: CryptoKey): string {
  return KeyObject.from(key).export({ type: "pkcs8", format: "pem" }).toString();
}
