// What a fake ACME authority signs with: a root, an intermediate under it, and leaves for the keys of the requests that it is sent.

import { randomBytes, type webcrypto } from "node:crypto";

import "reflect-metadata"; // before the library, whose container looks for it while it loads
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

interface Authority {
  readonly certificate: X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
}

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNING = { name: "ECDSA", hash: "SHA-256" } as const;
const ALTERNATIVE_NAME = "2.5.29.17";
const DECADE_MS = 3652 * 86_400_000;

export class FakeCa {
  readonly rootPem: string;
  readonly #intermediate: Authority;

  private constructor(root: Authority, intermediate: Authority) {
    this.rootPem = `${root.certificate.toString("pem")}\n`;
    this.#intermediate = intermediate;
  }

  static async create(nowMs: number): Promise<FakeCa> {
    const root = await createAuthority("CN=Fake Root", nowMs, null);
    return new FakeCa(root, await createAuthority("CN=Fake Intermediate", nowMs, root));
  }

  /** The chain, without the root; null when the request is not for that one name. */
  async sign(request: Buffer, name: string, validity: { readonly notBefore: Date; readonly notAfter: Date }): Promise<string | null> {
    const parsed = new Pkcs10CertificateRequest(request);
    const names = parsed.getExtension(ALTERNATIVE_NAME) as SubjectAlternativeNameExtension | null;
    const asked = names?.names.toJSON() ?? [];
    if (!(await parsed.verify()) || asked.length !== 1 || asked[0]!.value !== name) return null;
    const { certificate, keys } = this.#intermediate;
    const leaf = await X509CertificateGenerator.create({
      ...validity,
      issuer: certificate.subjectName,
      serialNumber: randomBytes(16).toString("hex"),
      publicKey: parsed.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: SIGNING,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension([{ type: "dns", value: name }], true),
        await AuthorityKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return `${leaf.toString("pem")}\n${certificate.toString("pem")}\n`;
  }
}

/** @param issuer null: it signs itself */
async function createAuthority(name: string, nowMs: number, issuer: Authority | null): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.create({
    notBefore: new Date(nowMs - 86_400_000),
    notAfter: new Date(nowMs + DECADE_MS),
    subject: name,
    issuer: issuer?.certificate.subjectName ?? name,
    serialNumber: randomBytes(16).toString("hex"),
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
    signingAlgorithm: SIGNING,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create((issuer?.keys ?? keys).publicKey),
    ],
  });
  return { certificate, keys };
}
