// A certificate authority for tests that need more than the local CA makes: an intermediate, several names, any dates, keys of any kind.

import { KeyObject, type webcrypto } from "node:crypto";

import "reflect-metadata"; // before the library, whose container looks for it while it loads
import {
  BasicConstraintsExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type JsonGeneralName,
  type X509Certificate,
} from "@peculiar/x509";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const EC = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNATURE = { name: "ECDSA", hash: "SHA-256" } as const;

export interface TestCertificate {
  readonly pem: string;
  /** PKCS #8. */
  readonly keyPem: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface LeafOptions {
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Bits; without it the key is on P-256. */
  readonly rsaBits?: number;
  /** Signed by the root itself. */
  readonly isDirect?: boolean;
  /** For certificates by the thousand: all that ask for it have one key. */
  readonly hasSharedKey?: boolean;
}

interface Signer {
  readonly certificate: X509Certificate;
  readonly privateKey: CryptoKey;
}

export class TestAuthority {
  readonly rootPem: string;
  readonly intermediatePem: string;
  readonly #root: Signer;
  readonly #intermediate: Signer;
  #sharedKeys: Promise<webcrypto.CryptoKeyPair> | null = null;

  private constructor(root: Signer, intermediate: Signer) {
    this.#root = root;
    this.#intermediate = intermediate;
    this.rootPem = pemOf(root.certificate);
    this.intermediatePem = pemOf(intermediate.certificate);
  }

  static async create(name = "Test"): Promise<TestAuthority> {
    const validity = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + 3650 * DAY_MS) };
    const keys = await crypto.subtle.generateKey(EC, true, ["sign", "verify"]);
    const extensions = [new BasicConstraintsExtension(true, undefined, true)];
    const common = { ...validity, signingAlgorithm: SIGNATURE, extensions };
    const root = await X509CertificateGenerator.createSelfSigned({ ...common, name: `CN=${name} Root`, serialNumber: "01", keys });
    const between = await crypto.subtle.generateKey(EC, true, ["sign", "verify"]);
    const intermediate = await X509CertificateGenerator.create({
      ...common,
      subject: `CN=${name} Intermediate`,
      issuer: root.subjectName,
      serialNumber: "02",
      publicKey: between.publicKey,
      signingKey: keys.privateKey,
    });
    return new TestAuthority(
      { certificate: root, privateKey: keys.privateKey },
      { certificate: intermediate, privateKey: between.privateKey },
    );
  }

  /** @param names host names, wildcards, or what else alternative names can be */
  async leaf(names: readonly (string | JsonGeneralName)[], options: LeafOptions = {}): Promise<TestCertificate> {
    const { rsaBits, isDirect = false, hasSharedKey = false } = options;
    const signer = isDirect ? this.#root : this.#intermediate;
    const keys = await (hasSharedKey ? (this.#sharedKeys ??= generateKeys(rsaBits)) : generateKeys(rsaBits));
    const alternatives = names.map((name) => (typeof name === "string" ? { type: "dns" as const, value: name } : name));
    const certificate = await X509CertificateGenerator.create({
      notBefore: options.notBefore ?? new Date(Date.now() - HOUR_MS),
      notAfter: options.notAfter ?? new Date(Date.now() + 90 * DAY_MS),
      subject: `CN=${typeof names[0] === "string" ? names[0] : "leaf"}`,
      issuer: signer.certificate.subjectName,
      serialNumber: crypto.randomUUID().replaceAll("-", ""),
      publicKey: keys.publicKey,
      signingKey: signer.privateKey,
      signingAlgorithm: SIGNATURE,
      extensions: alternatives.length === 0 ? [] : [new SubjectAlternativeNameExtension(alternatives)],
    });
    return {
      pem: pemOf(certificate),
      keyPem: KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" }).toString(),
      notBefore: certificate.notBefore,
      notAfter: certificate.notAfter,
    };
  }
}

async function generateKeys(rsaBits: number | undefined): Promise<webcrypto.CryptoKeyPair> {
  if (rsaBits === undefined) return await crypto.subtle.generateKey(EC, true, ["sign", "verify"]);
  const rsa = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: rsaBits, publicExponent: new Uint8Array([1, 0, 1]) };
  return await crypto.subtle.generateKey(rsa, true, ["sign", "verify"]);
}

function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}
