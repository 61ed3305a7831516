// PEM (RFC 7468) taken apart: the blocks of a text by what they are. What stands between blocks is allowed by the RFC and ignored.

export interface PemBlocks {
  /** Each with a line break at its end. */
  readonly certificates: readonly string[];
  /** Private ones, encrypted or not. */
  readonly keys: readonly string[];
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,40})-----[\s\S]*?-----END \1-----/g;
/** The second is an old spelling of the first. */
const CERTIFICATE = new Set(["CERTIFICATE", "X509 CERTIFICATE"]);

export function splitPem(text: string): PemBlocks {
  const certificates: string[] = [];
  const keys: string[] = [];
  for (const [block, label = ""] of text.matchAll(BLOCK)) {
    if (CERTIFICATE.has(label)) certificates.push(`${block}\n`);
    else if (label.endsWith("PRIVATE KEY")) keys.push(`${block}\n`);
  }
  return { certificates, keys };
}
