// Which fields may come behind a body, and what the announcement in front of it may name (RFC 9110 sections 6.5 and 6.6.2).
// Whoever reads a trailer section drops the others: a recipient may merge trailers into the head, and none of these may change
// there after the message was routed, authorised and framed.

import { FIELD } from "./field-names.ts";
import type { Fields } from "./message.ts";

const NEVER_TRAILERS = new Set([
  // Framing, and what is for one connection
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "upgrade",
  "http2-settings",
  // Routing
  "host",
  "via",
  "forwarded",
  "max-forwards",
  "server",
  "x-real-ip",
  "x-request-start",
  // Authentication, cookies with it
  "authorization",
  "proxy-authorization",
  "proxy-authenticate",
  "proxy-authentication-info",
  "www-authenticate",
  "cookie",
  "cookie2",
  "set-cookie",
  "set-cookie2",
  "origin",
  // What a request asks for
  "cache-control",
  "pragma",
  "expect",
  "range",
  // How a response is to be taken
  "age",
  "date",
  "expires",
  "location",
  "refresh",
  "retry-after",
  "vary",
  "warning",
  "clear-site-data",
  "content-security-policy",
  "strict-transport-security",
  // What the content is; its digests may well come behind it (RFC 9530)
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-location",
  "content-range",
  "content-type",
]);

/** Whole families: those that the edge or another proxy speaks with, and conditions (RFC 9110 section 13.1). */
const NEVER_TRAILER_FAMILIES = ["access-control-", "client-cert", "fly-", "if-", "kittiwake-", "x-client-cert", "x-forwarded-"];

/** @param name in lower case */
export function mayBeTrailer(name: string): boolean {
  return !NEVER_TRAILERS.has(name) && !NEVER_TRAILER_FAMILIES.some((family) => name.startsWith(family));
}

/** The names that a head announces trailers by, without those that will be dropped; null for none. */
export function announcedTrailers(fields: Fields): string | null {
  let names = "";
  for (let i = fields.find(FIELD.trailer); i !== -1 && i < fields.count; i++) {
    if (fields.id(i) !== FIELD.trailer) continue;
    for (const part of fields.value(i).split(",")) {
      const name = part.trim();
      if (name !== "" && mayBeTrailer(name.toLowerCase())) names += names === "" ? name : `, ${name}`;
    }
  }
  return names === "" ? null : names;
}

/** Is the sender of the request willing to get trailers, for itself and whom it speaks for (RFC 9110 section 10.1.4)? */
export function acceptsTrailers(fields: Fields): boolean {
  for (let i = fields.find(FIELD.te); i !== -1 && i < fields.count; i++) {
    if (fields.id(i) !== FIELD.te) continue;
    if (
      fields
        .value(i)
        .toLowerCase()
        .split(",")
        .some((coding) => coding.trim() === "trailers")
    )
      return true;
  }
  return false;
}
