// One spelling for each name that a certificate can be for, so that caches and declarations compare equal.

import { isIP } from "node:net";

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const MAX_LENGTH = 253;

/**
 * Lower case and without the trailing dot; null for what is no host name: empty, too long, with a NUL or anything else beyond
 * letters, digits and hyphens (RFC 1123, section 2.1; names in other scripts arrive as A-labels). IP addresses pass.
 */
export function canonicalServerName(name: string): string | null {
  if (isIP(name) !== 0) return name.includes("%") ? null : name.toLowerCase();
  const canonical = (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
  if (canonical.length > MAX_LENGTH) return null;
  return canonical.split(".").every((label) => LABEL.test(label)) ? canonical : null;
}
