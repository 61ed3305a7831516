// What a codec says and hears: heads, body bytes and ends, the same for every protocol and in both directions. A decoder calls
// a sink as bytes come in; whoever forwards a message is the sink. Nothing here knows HTTP/1.1 from HTTP/2.

/** The header fields of one head, in order. Reading is by index, so that a codec need not build an object for each field. */
export interface Fields {
  readonly count: number;
  /** `FIELD` id of the name; 0 for an unknown one. */
  id(index: number): number;
  /** Lower case. */
  name(index: number): string;
  /** Without surrounding white space. */
  value(index: number): string;
  /** Of the character at a position of the value; any number where the value is shorter. No string is made for it. */
  charCode(index: number, position: number): number;
  /** `name: value\r\n`, ready to be sent over HTTP/1.1. */
  line(index: number): string;
  /** Index of the first field with this id, or -1. */
  find(id: number): number;
}

/**
 * What becomes of a request's fields with "_" in their names, which many programs cannot tell from "-" (CGI, WSGI and their kin): a client
 * could say with them what only the edge may.
 */
export type Underscores = "pass" | "drop" | "refuse";

/** How the end of a body is known (RFC 9112 section 6.3). */
export type BodyKind = "none" | "length" | "chunked" | "until_close";

export interface RequestHead {
  readonly fields: Fields;
  readonly method: string;
  /** Path and query, or `*`. */
  readonly target: string;
  /** Host and port as sent, lower case, from the target or the Host field; empty only for HTTP/1.0 without one. */
  readonly authority: string;
  /** Host without port and trailing dot, lower case; IPv6 in brackets. */
  readonly host: string;
  /** 10, 11 or 20. */
  readonly version: number;
  readonly body: BodyKind;
  /** Bytes of the body when `body` is "length", otherwise 0. */
  readonly contentLength: number;
  /** What the Upgrade field asks for when Connection names it, lower case; empty otherwise. */
  readonly upgrade: string;
  /** What `sec-websocket-accept` must say in a 101, where the edge asks for it on behalf of its client; otherwise empty. */
  readonly webSocketAccept: string;
  readonly expectsContinue: boolean;
  /** Names in Connection that are not known hop-by-hop fields, lower case; null when there are none, the usual case. */
  readonly connectionNames: readonly string[] | null;
}

export interface ResponseHead {
  readonly fields: Fields;
  readonly status: number;
  readonly reason: string;
  readonly version: number;
  readonly body: BodyKind;
  readonly contentLength: number;
  readonly upgrade: string;
  readonly connectionNames: readonly string[] | null;
}

/**
 * Hears one message. Calls come in the order head, data…, trailers, end; a failure is thrown by the decoder instead. A head, trailers
 * and the bytes of a chunk are valid only during the call: who needs them later copies them (a request head stays valid for its exchange).
 */
export interface MessageSink<Head> {
  onHead(head: Head): void;
  onData(buffer: Buffer, start: number, end: number): void;
  /** Only if there are any, after those that may not be trailers were dropped (`mayBeTrailer`). */
  onTrailers(fields: Fields): void;
  onEnd(): void;
}

/** A response may be preceded by interim ones (1xx but 101; RFC 9110 section 15.2). */
export interface ResponseSink extends MessageSink<ResponseHead> {
  onInterim(head: ResponseHead): void;
}
