// `host:port` and host names as people write them in a configuration.

import { isIP } from "node:net";
import { domainToASCII } from "node:url";

import type { Address } from "../core/app.ts";

/** Reads "127.0.0.1:9000", "[::1]:9000" or "db.internal:9000"; null for anything else. Port 0 is understood: "any free port". */
export function parseAddress(text: string): Address | null {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const [, bracketed, plain, digits] = match;
  const port = Number(digits);
  if (port > 65_535) return null;
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? { host: bracketed, port } : null;
  const host = isIP(plain!) === 4 ? plain! : canonicalHostname(plain!);
  return host === null ? null : { host, port };
}

/** Does only this machine reach it? "localhost" counts: RFC 6761 reserves the name. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/**
 * The one form of a host name that all comparisons use: lower case, without a trailing dot, non-ASCII labels in punycode (IDNA).
 * Null for what is not a host name, IP addresses included.
 */
export function canonicalHostname(text: string): string | null {
  // Beyond ASCII, IDNA decides; within it, a URL parser would forgive what is no host name.
  if (/[^a-zA-Z0-9.\-\u0080-\uffff]/.test(text)) return null;
  const ascii = domainToASCII(text).replace(/\.$/, "");
  if (ascii === "" || ascii.length > 253 || isIP(ascii) !== 0) return null;
  const isValid = ascii.split(".").every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label));
  return isValid ? ascii : null;
}
