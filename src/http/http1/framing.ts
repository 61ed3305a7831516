// Hot path. What the fields of a head say about the connection and about the body's length, read strictly
// (RFC 9112 sections 6 and 9.3, RFC 9110 section 7.6.1). Requests and responses share it.

import { FIELD } from "../field-names.ts";
import { ProxyError, type ErrorCode } from "../../core/errors.ts";
import type { Http1Fields } from "./fields.ts";

export const CLOSE = 1;
export const KEEP_ALIVE = 2;
export const UPGRADE = 4;

/**
 * Fields that a `Connection` option can not make a proxy drop: they say whose message this is, where it ends and what is in it, and are for
 * every recipient (RFC 9110 section 7.6.1). Without them an app could take a request for another than it is.
 */
const PROTECTED = new Set([
  ...["host", "content-length", "transfer-encoding", "content-type", "content-encoding", "content-range", "content-language"],
  ...["content-location", "content-disposition", "expect", "range", "cache-control", "pragma", "vary", "age", "date", "etag", "expires"],
  ...["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "last-modified", "location", "allow"],
  ...["authorization", "www-authenticate", "cookie", "set-cookie", "origin", "referer", "accept", "accept-encoding", "accept-language"],
  ...["via", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-real-ip"],
  ...["strict-transport-security", "content-security-policy", "x-frame-options", "x-content-type-options"],
]);
/** Hop-by-hop fields that are dropped whether Connection names them or not. */
const ALWAYS_DROPPED = new Set(["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "http2-settings"]);

/** More names in Connection than any real message has; every field of the head is compared with each of them. */
const MAX_NAMES = 32;
/** Optional white space is these two characters only (RFC 9110 section 5.6.3), unlike for `trim`. */
const SEPARATOR = /[ \t]*,[ \t]*/;

/** What one reading of the Connection fields found; reused. */
export class ConnectionOptions {
  readonly #code: ErrorCode;
  flags = 0;
  names: string[] | null = null;

  constructor(code: ErrorCode) {
    this.#code = code;
  }

  read(fields: Http1Fields): void {
    this.flags = 0;
    this.names = null;
    const first = fields.find(FIELD.connection);
    if (first === -1) return;
    for (let i = first; i < fields.count; i++) if (fields.id(i) === FIELD.connection) this.#add(fields.value(i));
  }

  #add(value: string): void {
    if (value === "keep-alive") this.flags |= KEEP_ALIVE;
    else if (value === "close") this.flags |= CLOSE;
    else for (const option of value.toLowerCase().split(SEPARATOR)) this.#addOption(option);
  }

  #addOption(option: string): void {
    if (option === "close") this.flags |= CLOSE;
    else if (option === "keep-alive") this.flags |= KEEP_ALIVE;
    else if (option === "upgrade") this.flags |= UPGRADE;
    else if (option !== "" && !PROTECTED.has(option) && !ALWAYS_DROPPED.has(option)) this.#addName(option);
  }

  #addName(name: string): void {
    if ((this.names ??= []).push(name) > MAX_NAMES) throw new ProxyError(this.#code, `connection names more than ${MAX_NAMES} fields`);
  }
}

/**
 * The value of Content-Length, -1 when there is none. More than one field, a list and anything but digits are refused: two
 * readers could take different ones (RFC 9112 section 6.3, rule 5).
 */
export function contentLength(fields: Http1Fields, code: ErrorCode): number {
  const index = fields.find(FIELD.contentLength);
  if (index === -1) return -1;
  if (fields.isRepeated(FIELD.contentLength)) throw new ProxyError(code, "more than one content-length");
  refuseTrailingSpace(fields, index, code);
  const value = fields.value(index);
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) throw new ProxyError(code, "the content-length is not a number");
    length = length * 10 + digit;
  }
  if (value.length === 0 || value.length > 15) throw new ProxyError(code, "the content-length is not a number");
  return length;
}

/** Not every reader takes white space behind a value off it, tabs least of all: one may see `chunked` and another something else. */
function refuseTrailingSpace(fields: Http1Fields, index: number, code: ErrorCode): void {
  if (!fields.endsLine(index)) throw new ProxyError(code, "white space behind a field that frames the body");
}

/** Is the message chunked? Any transfer coding but exactly `chunked`, once, is refused. */
export function isChunked(fields: Http1Fields, version: number, code: ErrorCode): boolean {
  const index = fields.find(FIELD.transferEncoding);
  if (index === -1) return false;
  if (version < 11) throw new ProxyError(code, "transfer-encoding in an HTTP/1.0 message");
  if (fields.isRepeated(FIELD.transferEncoding)) throw new ProxyError(code, "more than one transfer-encoding");
  refuseTrailingSpace(fields, index, code);
  if (fields.value(index).toLowerCase() !== "chunked") throw new ProxyError(code, "a transfer-encoding other than chunked");
  if (fields.find(FIELD.contentLength) !== -1) throw new ProxyError(code, "both transfer-encoding and content-length");
  return true;
}
