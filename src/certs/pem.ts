// PEM (RFC 7468) taken apart: the blocks of a text by what they are. What stands between blocks is allowed by the RFC and ignored.

export interface PemBlocks {
  /** Each with a line break at its end. */
  readonly certificates: readonly string[];
  /** Private ones, encrypted or not. */
  readonly keys: readonly string[];
}

const BOUNDARY = /-----(BEGIN|END) ([A-Z0-9 ]{1,40})-----/g;
/** The second is an old spelling of the first. */
const CERTIFICATE = new Set(["CERTIFICATE", "X509 CERTIFICATE"]);

export function splitPem(text: string): PemBlocks {
  const certificates: string[] = [];
  const keys: string[] = [];
  let begun: { readonly label: string; readonly index: number } | null = null;
  // From boundary to boundary, so that a text of nothing but beginnings takes no longer than any other.
  for (const { 0: boundary, 1: kind, 2: label = "", index } of text.matchAll(BOUNDARY)) {
    if (kind === "BEGIN") {
      begun = { label, index };
      continue;
    }
    const block = begun?.label === label ? `${text.slice(begun.index, index)}${boundary}\n` : null;
    begun = null;
    if (block === null) continue;
    if (CERTIFICATE.has(label)) certificates.push(block);
    else if (label.endsWith("PRIVATE KEY")) keys.push(block);
  }
  return { certificates, keys };
}
