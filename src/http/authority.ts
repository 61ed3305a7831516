// Hot path. Host and port as a client names them, in one canonical form: lower case, no trailing dot (RFC 3986 section 3.2).

import { isIPv6 } from "node:net";
import { CHARACTERS, DIGIT, HOST } from "./characters.ts";

export interface Authority {
  /** Lower case, without trailing dot; an IPv6 address keeps its brackets. */
  readonly host: string;
  /** null where none is given. */
  readonly port: number | null;
}

/** Parses `uri-host [ ":" port ]`; null for anything else, user information and an empty host included. */
export function parseAuthority(text: string): Authority | null {
  const hostEnd = text.charCodeAt(0) === 0x5b ? literalEnd(text) : nameEnd(text);
  if (hostEnd <= 0) return null;
  let host = text.substring(0, hostEnd).toLowerCase();
  if (host.startsWith(".") || host.includes("..")) return null;
  if (host.endsWith(".")) host = host.slice(0, -1);
  if (hostEnd === text.length) return { host, port: null };
  if (text.charCodeAt(hostEnd) !== 0x3a) return null;
  const port = parsePort(text, hostEnd + 1);
  return port === undefined ? null : { host, port };
}

function nameEnd(text: string): number {
  let i = 0;
  while (i < text.length && (CHARACTERS[text.charCodeAt(i) & 0xff]! & HOST) !== 0 && text.charCodeAt(i) < 0x80) i++;
  return i;
}

/** End of `[…]` holding an IPv6 address without a zone, which means nothing to anybody else (RFC 6874); -1 otherwise. */
function literalEnd(text: string): number {
  const close = text.indexOf("]");
  const address = text.substring(1, close);
  return close !== -1 && !address.includes("%") && isIPv6(address) ? close + 1 : -1;
}

/** An empty port is allowed and means none (RFC 3986 section 3.2.3). */
function parsePort(text: string, start: number): number | null | undefined {
  if (start === text.length) return null;
  if (text.length - start > 5) return undefined;
  let port = 0;
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f || (CHARACTERS[code]! & DIGIT) === 0) return undefined;
    port = port * 10 + code - 0x30;
  }
  return port <= 65535 ? port : undefined;
}
