// Hot path. Heads and chunk framing out, as text: re-serialised from parsed fields, hop-by-hop fields left behind
// (RFC 9110 section 7.6.1). What the edge adds comes in as ready lines.

import { FIELD, FIELD_COUNT } from "../field-names.ts";
import type { BodyKind, Fields, RequestHead, ResponseHead } from "../message.ts";
import { announcedTrailers } from "../trailers.ts";
import { Http2Fields } from "../http2/request-head.ts";
import { Http1Fields } from "./fields.ts";

/** Fields of a request that are not copied: hop-by-hop, framing, and those that the edge writes itself. */
export const REQUEST_DROPS: Uint8Array = flags([
  FIELD.withheld,
  FIELD.host,
  FIELD.connection,
  FIELD.contentLength,
  FIELD.transferEncoding,
  FIELD.te,
  FIELD.trailer,
  FIELD.upgrade,
  FIELD.keepAlive,
  FIELD.proxyConnection,
  FIELD.proxyAuthorization,
  FIELD.http2Settings,
  FIELD.via,
  FIELD.xForwardedFor,
  FIELD.xForwardedProto,
  FIELD.xForwardedPort,
  FIELD.xForwardedSsl,
  FIELD.xRequestStart,
  FIELD.flyClientIp,
  FIELD.flyForwardedPort,
  FIELD.flyForwardedProto,
  FIELD.flyForwardedSsl,
  FIELD.flyRegion,
  FIELD.flyRequestId,
  FIELD.flyTraceparent,
  FIELD.flyTracestate,
  FIELD.flyReplay,
  FIELD.flyReplaySrc,
  FIELD.flyReplayFailed,
  FIELD.flyReplayCacheStatus,
  FIELD.flyPreferredInstanceUnavailable,
  FIELD.flySrc,
  FIELD.flySrcSignature,
  FIELD.flyDispatchStart,
  FIELD.clientCert,
  FIELD.clientCertChain,
  FIELD.xClientCert,
  FIELD.xClientCertVerify,
  FIELD.xClientCertSubject,
  FIELD.xClientCertIssuer,
  FIELD.xClientCertSerial,
  FIELD.xClientCertNotAfter,
  FIELD.xClientCertFingerprint,
  FIELD.xClientCertSan,
]);

const RESPONSE_DROPS_BUT_LENGTH = flags([
  FIELD.connection,
  FIELD.transferEncoding,
  FIELD.te,
  FIELD.trailer,
  FIELD.upgrade,
  FIELD.keepAlive,
  FIELD.proxyConnection,
  FIELD.proxyAuthenticate,
  FIELD.via,
  FIELD.server,
  FIELD.flyRequestId,
  FIELD.kittiwakeBusy,
  FIELD.flyReplay,
  FIELD.flyReplaySrc,
  FIELD.flyReplayFailed,
  FIELD.flyReplayCacheStatus,
]);
/** Fields of a response that are not copied. */
export const RESPONSE_DROPS: Uint8Array = withMore(RESPONSE_DROPS_BUT_LENGTH, FIELD.contentLength);

/** The head of a request to a machine. `added` are complete lines, CRLF included. */
export function encodeRequestHead(head: RequestHead, added: string): string {
  const kept = keptLines(head.fields, REQUEST_DROPS, head.connectionNames);
  return `${head.method} ${head.target} HTTP/1.1\r\nhost: ${head.authority}\r\n${kept}${requestFraming(head)}${added}\r\n`;
}

/**
 * The head of a response to a client. `added` are complete lines that frame the body among others.
 *
 * @param keepsLength the machine's own Content-Length is right for the client, too
 */
export function encodeResponseHead(head: ResponseHead, added: string, keepsLength = false): string {
  const { fields, connectionNames } = head;
  const drops = keepsLength ? RESPONSE_DROPS_BUT_LENGTH : RESPONSE_DROPS;
  if (fields instanceof Http1Fields && fields.hasPlainStart) return `${fields.kept(drops, connectionNames, true)}${added}\r\n`;
  return `HTTP/1.1 ${head.status} ${head.reason}\r\n${keptLines(fields, drops, connectionNames)}${added}\r\n`;
}

function requestFraming(head: RequestHead): string {
  if (head.body === "chunked") return `transfer-encoding: chunked\r\n${announcementLine(head.fields)}`;
  const hasLength = head.body === "length" || head.fields.find(FIELD.contentLength) !== -1;
  return hasLength ? `content-length: ${head.contentLength}\r\n` : "";
}

/** The line that says how long a body is; a body that ran until the machine closed is chunked for a client that knows how. */
export function framingLine(body: BodyKind, contentLength: number): string {
  if (body === "chunked" || body === "until_close") return "transfer-encoding: chunked\r\n";
  return `content-length: ${contentLength}\r\n`;
}

/** The line that announces trailers, for a chunked body; empty for none. */
export function announcementLine(fields: Fields): string {
  if (fields.find(FIELD.trailer) === -1) return "";
  const names = announcedTrailers(fields);
  return names === null ? "" : `trailer: ${names}\r\n`;
}

export function chunkStart(bytes: number): string {
  return `${bytes.toString(16)}\r\n`;
}

export const CHUNK_END = "\r\n";
export const LAST_CHUNK = "0\r\n\r\n";

/** The last chunk and the trailers behind it; `TRAILERS_END` completes the body. */
export function lastChunkWithTrailers(fields: Fields): string {
  let text = "0\r\n";
  for (let i = 0; i < fields.count; i++) text += fields.line(i);
  return text;
}

export const TRAILERS_END = "\r\n";

function keptLines(fields: Fields, drops: Uint8Array, connectionNames: readonly string[] | null): string {
  if (fields instanceof Http1Fields) return fields.kept(drops, connectionNames, false);
  if (fields instanceof Http2Fields) return fields.kept(drops);
  let text = "";
  for (let i = 0; i < fields.count; i++) {
    const id = fields.id(i);
    if (drops[id] === 1) continue;
    if (connectionNames !== null && connectionNames.includes(fields.name(i))) continue;
    text += fields.line(i);
  }
  return text;
}

function flags(ids: readonly number[]): Uint8Array {
  const table = new Uint8Array(FIELD_COUNT);
  for (const id of ids) table[id] = 1;
  return table;
}

function withMore(flags: Uint8Array, id: number): Uint8Array {
  const table = flags.slice();
  table[id] = 1;
  return table;
}
