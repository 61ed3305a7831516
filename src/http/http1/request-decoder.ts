// Hot path. Bytes of a client's connection in, requests out. Strict: RFC 9112 sections 2 to 7, nothing repaired.
// One request at a time: after its end the decoder stands still until `next`, whatever was pipelined behind it.

import { parseAuthority } from "../authority.ts";
import { CHARACTERS, DIGIT, TARGET, TOKEN } from "../characters.ts";
import { FIELD } from "../field-names.ts";
import type { BodyKind, MessageSink, RequestHead, Underscores } from "../message.ts";
import { ProxyError } from "../../core/errors.ts";
import { BodyDecoder, type BodyLimits } from "./body-decoder.ts";
import { Http1Fields } from "./fields.ts";
import { CLOSE, ConnectionOptions, KEEP_ALIVE, UPGRADE, contentLength, isChunked } from "./framing.ts";
import { HeadBuffer } from "./head-buffer.ts";

export interface RequestLimits extends BodyLimits {
  /** Request line and header fields together. */
  readonly headBytes: number;
  readonly targetBytes: number;
  readonly headers: number;
  readonly underscores: Underscores;
}

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const SLASH = 0x2f;
const DOT = 0x2e;
const STAR = 0x2a;
/** Of ` HTTP/1.1` and the end of the line. */
const VERSION_BYTES = 11;

/** How much of an empty line has come before the request line. */
const NO_EMPTY_LINE = 0;
const HALF_EMPTY_LINE = 1;
const WHOLE_EMPTY_LINE = 2;
type EmptyLine = typeof NO_EMPTY_LINE | typeof HALF_EMPTY_LINE | typeof WHOLE_EMPTY_LINE;

export class Http1RequestHead implements RequestHead {
  readonly fields: Http1Fields;
  method = "";
  target = "";
  authority = "";
  host = "";
  version = 11;
  body: BodyKind = "none";
  contentLength = 0;
  upgrade = "";
  readonly webSocketAccept = "";
  expectsContinue = false;
  connectionNames: readonly string[] | null = null;
  /** Does the client want the connection to go on? */
  keepAlive = true;

  constructor(maxFields: number) {
    this.fields = new Http1Fields(maxFields);
  }
}

export class RequestDecoder {
  readonly #limits: RequestLimits;
  readonly #sink: MessageSink<Http1RequestHead>;
  readonly #headBuffer: HeadBuffer;
  readonly #head: Http1RequestHead;
  readonly #connection = new ConnectionOptions("bad_header");
  readonly #body: BodyDecoder;
  #inBody = false;
  #complete = false;
  #emptyLine: EmptyLine = NO_EMPTY_LINE;
  /** Set by the sink, also from within a call: decoding stops after the current event. A new request begins without it. */
  isPaused = false;
  /** The last Host value as it came, to canonicalise it once for each connection and not for each request. */
  #lastAuthorityText = "";

  constructor(limits: RequestLimits, sink: MessageSink<Http1RequestHead>) {
    this.#limits = limits;
    this.#sink = sink;
    this.#headBuffer = new HeadBuffer(limits.headBytes, (buffer, start, end) => this.#readHead(buffer, start, end));
    this.#head = new Http1RequestHead(limits.headers);
    this.#body = new BodyDecoder(limits, "bad_framing", "head_too_large", limits.underscores);
  }

  /** No byte of the next request has come; an empty line before it is none of it. */
  get isIdle(): boolean {
    return !this.#inBody && !this.#complete && this.#headBuffer.isEmpty;
  }

  /**
   * Decodes `buffer[position, end)` and returns the position up to which it was taken: less than `end` when paused or when the
   * request is complete. Throws a ProxyError with blame "client"; the connection is then beyond use.
   */
  decode(buffer: Buffer, position: number, end: number): number {
    while (position < end && !this.#complete && !this.isPaused) {
      if (this.#inBody) {
        position = this.#body.decode(buffer, position, end, this.#sink);
        if (this.#body.isDone) this.#end();
      } else position = this.#decodeHead(buffer, position, end);
    }
    return position;
  }

  /** The response is on its way and the request was read to its end: read the next one. */
  next(): void {
    this.#complete = false;
    this.isPaused = false;
  }

  #decodeHead(buffer: Buffer, position: number, end: number): number {
    if (this.#headBuffer.isEmpty) {
      if (this.#emptyLine === HALF_EMPTY_LINE || buffer[position] === CR) position = this.#skipEmptyLine(buffer, position, end);
      if (position === end) return position;
      if ((CHARACTERS[buffer[position]!]! & TOKEN) === 0) throw new ProxyError("bad_request_line");
    }
    const next = this.#takeHead(buffer, position, end);
    return next === -1 ? end : this.#begin(next);
  }

  /** The head is read: `next` is the position behind it. */
  #begin(next: number): number {
    this.#emptyLine = NO_EMPTY_LINE;
    const head = this.#head;
    this.#inBody = head.body !== "none";
    if (this.#inBody) this.#body.begin(head.body, head.contentLength, head.connectionNames);
    // Before the sink hears of it: a request that is answered at once has `next` called from within `onHead`.
    else this.#complete = true;
    this.#sink.onHead(head);
    if (head.body === "none") this.#sink.onEnd();
    return next;
  }

  /** One empty line before a request line is forgiven (RFC 9112 section 2.2), in however many pieces it comes. */
  #skipEmptyLine(buffer: Buffer, position: number, end: number): number {
    if (this.#emptyLine === NO_EMPTY_LINE) {
      this.#emptyLine = HALF_EMPTY_LINE;
      position++;
    }
    if (position === end || this.#emptyLine !== HALF_EMPTY_LINE) return position;
    if (buffer[position] !== LF) throw new ProxyError("bad_request_line");
    this.#emptyLine = WHOLE_EMPTY_LINE;
    return position + 1;
  }

  #takeHead(buffer: Buffer, position: number, end: number): number {
    try {
      return this.#headBuffer.take(buffer, position, end);
    } catch (error) {
      const isTooLarge = error instanceof ProxyError && error.code === "head_too_large";
      if (isTooLarge && !this.#headBuffer.heldText().includes("\r\n")) throw new ProxyError("target_too_long", undefined, { cause: error });
      throw error;
    }
  }

  #end(): void {
    this.#inBody = false;
    this.#complete = true;
    this.#sink.onEnd();
  }

  /** Reads the head that begins at `start`; returns the position behind it, or -1 when it has not come whole before `end`. */
  #readHead(buffer: Buffer, start: number, end: number): number {
    let position = start;
    while (position < end && (CHARACTERS[buffer[position]!]! & TOKEN) !== 0) position++;
    if (position === end) return -1;
    if (position === start || buffer[position] !== SP) throw new ProxyError("bad_request_line");
    const methodEnd = position;
    const targetStart = ++position;
    while (position < end && (CHARACTERS[buffer[position]!]! & TARGET) !== 0) position++;
    if (position - targetStart > this.#limits.targetBytes) throw new ProxyError("target_too_long");
    if (position === end) return -1;
    const targetEnd = position;
    if (targetEnd === targetStart || buffer[targetEnd] !== SP) throw new ProxyError("bad_request_line");
    if (targetEnd + VERSION_BYTES > end) return -1;
    const head = this.#head;
    head.version = readVersion(buffer, targetEnd + 1);
    position = targetEnd + VERSION_BYTES;
    if (buffer[position - 2] !== CR || buffer[position - 1] !== LF) throw new ProxyError("bad_request_line");
    const next = head.fields.parse(buffer, position, end, start);
    if (next === -1) return -1;
    const text = buffer.toString("latin1", start, next - 2);
    head.fields.setText(text);
    head.method = methodName(text, methodEnd - start);
    head.target = text.substring(targetStart - start, targetEnd - start);
    this.#readUnderscores(head);
    this.#readHost(head);
    if (buffer[targetStart] !== SLASH) this.#readOtherTarget(head, buffer[targetStart]!);
    this.#readConnection(head);
    this.#readBody(head);
    this.#readExpect(head);
    return next;
  }

  #readUnderscores({ fields }: Http1RequestHead): void {
    const { underscores } = this.#limits;
    if (underscores === "pass" || !fields.withholdUnderscored() || underscores === "drop") return;
    throw new ProxyError("bad_header", "a header name has an underscore");
  }

  /** RFC 9112 section 3.2: exactly one Host field in HTTP/1.1, and a valid one. */
  #readHost(head: Http1RequestHead): void {
    const index = head.fields.find(FIELD.host);
    if (index === -1) {
      if (head.version >= 11) throw new ProxyError("bad_host", "the Host header is missing");
      head.authority = head.host = this.#lastAuthorityText = "";
      return;
    }
    if (head.fields.isRepeated(FIELD.host)) throw new ProxyError("bad_host", "more than one Host header");
    const value = head.fields.value(index);
    if (value === this.#lastAuthorityText && value !== "") return;
    const authority = parseAuthority(value);
    if (authority === null) throw new ProxyError("bad_host", "the Host header is malformed");
    head.authority = value.toLowerCase();
    head.host = authority.host;
    this.#lastAuthorityText = value;
  }

  /** Absolute-form and asterisk-form: RFC 9112 sections 3.2.2 and 3.2.4. Authority-form belongs to CONNECT, which is refused. */
  #readOtherTarget(head: Http1RequestHead, first: number): void {
    if (first === STAR && head.target === "*") {
      if (head.method !== "OPTIONS") throw new ProxyError("bad_request_line");
      return;
    }
    const match = /^https?:\/\/([^/?]*)(.*)$/i.exec(head.target);
    if (match === null) throw new ProxyError("bad_request_line");
    const authority = parseAuthority(match[1]!);
    if (authority === null) throw new ProxyError("bad_host", "the request target names no valid host");
    // RFC 9110 section 7.2 lets the target win; a Host that differs can only be a mistake or a trick, so it is refused.
    if (head.authority !== "" && head.authority !== match[1]!.toLowerCase()) throw new ProxyError("bad_host", "the target and Host differ");
    head.authority = match[1]!.toLowerCase();
    head.host = authority.host;
    this.#lastAuthorityText = "";
    const rest = match[2]!;
    if (rest === "") head.target = head.method === "OPTIONS" ? "*" : "/";
    else head.target = rest.startsWith("?") ? `/${rest}` : rest;
  }

  #readConnection(head: Http1RequestHead): void {
    const connection = this.#connection;
    connection.read(head.fields);
    head.connectionNames = connection.names;
    head.keepAlive = (connection.flags & CLOSE) === 0 && (head.version >= 11 || (connection.flags & KEEP_ALIVE) !== 0);
    const index = (connection.flags & UPGRADE) !== 0 && head.version >= 11 ? head.fields.find(FIELD.upgrade) : -1;
    const upgrade = index === -1 ? "" : head.fields.value(index).toLowerCase();
    // HTTP/2 in a tunnel would be requests that nobody here looks at; a client may be refused any upgrade.
    head.upgrade = upgrade.includes("h2c") ? "" : upgrade;
  }

  #readBody(head: Http1RequestHead): void {
    head.contentLength = 0;
    if (isChunked(head.fields, head.version, "bad_framing")) {
      head.body = "chunked";
      return;
    }
    const length = contentLength(head.fields, "bad_framing");
    head.contentLength = Math.max(length, 0);
    head.body = length > 0 ? "length" : "none";
  }

  #readExpect(head: Http1RequestHead): void {
    const index = head.fields.find(FIELD.expect);
    head.expectsContinue = index !== -1 && head.version >= 11;
    if (index !== -1 && head.fields.value(index).toLowerCase() !== "100-continue") throw new ProxyError("expectation_failed");
  }
}

function methodName(text: string, length: number): string {
  if (length === 3 && text.startsWith("GET")) return "GET";
  if (length === 4 && text.startsWith("POST")) return "POST";
  const name = text.substring(0, length);
  if (name === "CONNECT") throw new ProxyError("method_not_allowed", "an edge is not a forward proxy");
  // It would show the client what the edge adds for the machine's eyes (RFC 9110 section 9.3.8).
  if (name === "TRACE") throw new ProxyError("method_not_allowed", "TRACE is not passed on");
  return name;
}

/** Reads `HTTP/1.0` or `HTTP/1.1` at `position`; 10 or 11. */
function readVersion(buffer: Buffer, position: number): number {
  const isHttp =
    buffer[position] === 0x48 && buffer[position + 1] === 0x54 && buffer[position + 2] === 0x54 && buffer[position + 3] === 0x50;
  const major = buffer[position + 5]!;
  const minor = buffer[position + 7]!;
  const isVersion = (CHARACTERS[major]! & CHARACTERS[minor]! & DIGIT) !== 0 && buffer[position + 6] === DOT;
  if (!isHttp || buffer[position + 4] !== SLASH || !isVersion) throw new ProxyError("bad_request_line");
  if (major === 0x31 && (minor === 0x30 || minor === 0x31)) return minor === 0x31 ? 11 : 10;
  throw new ProxyError("version_not_supported");
}
