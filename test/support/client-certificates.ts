// An authority for the certificates of clients, as an operator has one: issues good ones, ones with each of the faults there are, and lists of
// those that it revoked.

import { KeyObject, randomBytes, type webcrypto } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import "reflect-metadata";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  X509CrlGenerator,
  type JsonGeneralName,
  type JsonName,
  type X509Certificate,
} from "@peculiar/x509";

export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
  /** Hexadecimal. */
  readonly serial: string;
}

export interface ClientCertificateOptions {
  /** Default: `CN=alice`. */
  readonly subject?: string | JsonName;
  readonly names?: readonly JsonGeneralName[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Not for clients, but for servers. */
  readonly isForServers?: boolean;
}

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNATURE_ALGORITHM = { name: "ECDSA", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;

export class ClientAuthority implements Disposable {
  /** Where it writes its files. */
  readonly directory = mkdtempSync(join(tmpdir(), "kittiwake-clients-"));
  readonly pem: string;
  readonly #certificate: X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;

  private constructor(certificate: X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.#certificate = certificate;
    this.#keys = keys;
    this.pem = `${certificate.toString("pem")}\n`;
  }

  static async create(name = "Clients"): Promise<ClientAuthority> {
    const keys = await generateKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: `CN=${name},O=Example`,
      serialNumber: randomSerial(),
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + DAY_MS),
      keys,
      signingAlgorithm: SIGNATURE_ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    return new ClientAuthority(certificate, keys);
  }

  async issue(options: ClientCertificateOptions = {}): Promise<ClientCertificate> {
    const { subject = "CN=alice", names = [], isForServers = false } = options;
    const { notBefore = new Date(Date.now() - DAY_MS), notAfter = new Date(Date.now() + DAY_MS) } = options;
    const keys = await generateKeys();
    const serial = randomSerial();
    const certificate = await X509CertificateGenerator.create({
      subject,
      issuer: this.#certificate.subjectName,
      serialNumber: serial,
      notBefore,
      notAfter,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: SIGNATURE_ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([isForServers ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth]),
        ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...names])]),
      ],
    });
    const key = KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" }).toString();
    return { cert: `${certificate.toString("pem")}\n`, key, serial };
  }

  /** A list of what was revoked, as PEM. */
  async revoke(certificates: readonly ClientCertificate[], nextUpdate = new Date(Date.now() + DAY_MS)): Promise<string> {
    const list = await X509CrlGenerator.create({
      issuer: this.#certificate.subject,
      thisUpdate: new Date(Date.now() - DAY_MS),
      nextUpdate,
      entries: certificates.map(({ serial }) => ({ serialNumber: serial, revocationDate: new Date(Date.now() - 1000) })),
      signingAlgorithm: SIGNATURE_ALGORITHM,
      signingKey: this.#keys.privateKey,
    });
    // The library names it otherwise than RFC 7468 section 6.
    return `${list.toString("pem").replaceAll(" CRL-----", " X509 CRL-----")}\n`;
  }

  /** Returns the path. */
  write(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
}

/** Positive, and without a zero in front, so that all who print it print the same. */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString("hex");
}
