// The names that a certificate is for: those that clients compare with. The common name has not counted for years (RFC 9525, section 2).

import type { X509Certificate } from "node:crypto";

import { canonicalServerName } from "./server-name.ts";

/** Host names, wildcards and addresses, canonical; without what is none of these. */
export function alternativeNames({ subjectAltName = "" }: X509Certificate): readonly string[] {
  const names = new Set<string>();
  // Node puts names with anything uncommon in them into quotes: none of those is a host name, whatever it may look like inside.
  const text = subjectAltName.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
  for (const [, name = ""] of text.matchAll(/(?<=^|, )(?:DNS|IP Address):([^",]+)(?=,|$)/g)) {
    const prefix = name.startsWith("*.") ? "*." : "";
    const canonical = canonicalServerName(name.slice(prefix.length));
    if (canonical !== null) names.add(prefix + canonical);
  }
  return [...names];
}
