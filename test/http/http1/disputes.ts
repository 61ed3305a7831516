// Where we read messages otherwise than llhttp, on purpose. The fuzz tests look away here and nowhere else.
//
//   - "close" wins over "keep-alive" also in HTTP/1.0 (RFC 9112 section 9.3); llhttp keeps such a connection open.
//   - Proxy-Connection says nothing (RFC 9112 appendix C.2.2); llhttp takes it for Connection.
//   - Content-Length, Transfer-Encoding and Connection as trailers say nothing there (RFC 9110 section 6.5.1), and are dropped like all
//     that may not come there; llhttp refuses the first two, obeys the third, and leaves dropping to others.

import { mayBeTrailer } from "../../../src/http/trailers.ts";
import type { FieldList } from "./readers.ts";

/** May the two readers differ about whether the connection goes on? */
export function isPersistenceDisputed({ version, fields }: { readonly version: number; readonly fields: FieldList }): boolean {
  if (fields.some(([name]) => name === "proxy-connection")) return true;
  const options = fields.filter(([name]) => name === "connection").flatMap(([, value]) => value.toLowerCase().split(/[ \t]*,[ \t]*/));
  return version === 10 && options.includes("close") && options.includes("keep-alive");
}

/** Of the trailers that llhttp read, those that we keep. */
export function keptTrailers(trailers: FieldList, connectionNames: readonly string[] | null): FieldList {
  return trailers.filter(([name]) => mayBeTrailer(name) && connectionNames?.includes(name) !== true);
}

const FRAMING_TRAILER = /\r\n0+(?:;[^\r]*)?\r\n(?:[^\r\n]+\r\n)*(?:content-length|transfer-encoding|(?:proxy-)?connection|upgrade):/i;

/** May the two readers differ about whether a chunked body is complete? */
export function hasFramingTrailer(bytes: Buffer): boolean {
  return FRAMING_TRAILER.test(bytes.toString("latin1"));
}
