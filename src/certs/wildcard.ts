// Names and the wildcards above them: a star stands for one label (RFC 9525, section 6.3).

import { isIP } from "node:net";

/** The wildcard that would cover a name: `*.example.com` for `www.example.com`; null for addresses, wildcards and names of one label. */
export function wildcardOf(name: string): string | null {
  const dot = name.indexOf(".");
  if (dot <= 0 || name.startsWith("*.") || isIP(name) !== 0) return null;
  return `*${name.slice(dot)}`;
}
