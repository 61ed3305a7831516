// A certificate as it is kept in the state store, and as the vault holds it: its key sealed, its intermediates shared with all others that
// have the same. Ten thousand of these are in memory, so what can be shared is.

import { X509Certificate } from "node:crypto";

import { z } from "zod";

import { ProxyError } from "../core/errors.ts";
import { splitPem } from "./pem.ts";

export interface StoredCertificate {
  /** Key of its entry; its private key is sealed for it. */
  readonly storeKey: string;
  /** Canonical: the name of an ACME one, the first of an imported one. A wildcard begins with `*.`. */
  readonly hostname: string;
  readonly names: readonly string[];
  readonly source: CertificateSource;
  /** The certificate, then intermediate ones if there are any. */
  readonly certificatePem: string;
  readonly sealedKey: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** SHA-256 of the certificate, in hex. */
  readonly fingerprint: string;
  /** ACME: what proved the name. */
  readonly challenge?: string | undefined;
  /** ACME: the directory of the authority. */
  readonly directory?: string | undefined;
}

export type CertificateSource = "acme" | "imported";

/** The value of an entry. Dates are milliseconds since the epoch, so that nothing must be parsed as X.509 to know them. */
const storedForm = z.object({
  names: z.array(z.string()).min(1),
  leaf: z.string(),
  /** Intermediate certificates, one after the other. */
  chain: z.string(),
  /** Sealed. */
  key: z.string(),
  notBeforeMs: z.number(),
  notAfterMs: z.number(),
  fingerprint: z.string(),
  challenge: z.string().optional(),
  directory: z.string().optional(),
});

export type StoredForm = z.infer<typeof storedForm>;

/** Null when the value is not a certificate as this version writes it. */
export function readForm(value: string): StoredForm | null {
  try {
    return storedForm.parse(JSON.parse(value));
  } catch {
    return null;
  }
}

/** What of the value is the certificate's own. Throws `certificate_invalid`. */
export function formOf(certificatePem: string): Pick<StoredForm, "leaf" | "chain" | "notBeforeMs" | "notAfterMs" | "fingerprint"> {
  const [leaf = "", ...intermediates] = splitPem(certificatePem).certificates;
  const parsed = parseCertificate(leaf);
  return {
    leaf,
    chain: intermediates.join(""),
    notBeforeMs: parsed.validFromDate.getTime(),
    notAfterMs: parsed.validToDate.getTime(),
    fingerprint: parsed.fingerprint256.replaceAll(":", "").toLowerCase(),
  };
}

/** Throws `certificate_invalid`. */
export function parseCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new ProxyError("certificate_invalid", `a certificate cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** One text for all that are equal. */
export class SharedTexts {
  readonly #texts = new Map<string, string>();

  get(text: string): string {
    const known = this.#texts.get(text);
    if (known === undefined) this.#texts.set(text, text);
    return known ?? text;
  }
}

export class HeldCertificate implements StoredCertificate {
  readonly storeKey: string;
  readonly source: CertificateSource;
  readonly names: readonly string[];
  readonly sealedKey: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly fingerprint: string;
  readonly challenge: string | undefined;
  readonly directory: string | undefined;
  readonly #leaf: string;
  readonly #chain: string;

  constructor(storeKey: string, source: CertificateSource, form: StoredForm, shared: SharedTexts) {
    this.storeKey = storeKey;
    this.source = source;
    this.names = form.names;
    this.sealedKey = form.key;
    this.notBefore = new Date(form.notBeforeMs);
    this.notAfter = new Date(form.notAfterMs);
    this.fingerprint = form.fingerprint;
    this.challenge = form.challenge === undefined ? undefined : shared.get(form.challenge);
    this.directory = form.directory === undefined ? undefined : shared.get(form.directory);
    this.#leaf = form.leaf;
    this.#chain = shared.get(form.chain);
  }

  get hostname(): string {
    return this.names[0]!;
  }

  get certificatePem(): string {
    return this.#leaf + this.#chain;
  }
}
