// Hot path. Bytes of a machine's connection in, responses out; as strict as the request side, so that a machine cannot split a
// response or leave bytes for the next client on a pooled connection (RFC 9112 sections 4 to 7).

import { CHARACTERS, DIGIT, VALUE } from "../characters.ts";
import { FIELD } from "../field-names.ts";
import type { BodyKind, ResponseHead, ResponseSink } from "../message.ts";
import { ProxyError } from "../../core/errors.ts";
import { BodyDecoder, type BodyLimits } from "./body-decoder.ts";
import { Http1Fields } from "./fields.ts";
import { CLOSE, ConnectionOptions, KEEP_ALIVE, UPGRADE, contentLength, isChunked } from "./framing.ts";
import { HeadBuffer } from "./head-buffer.ts";

export interface ResponseLimits extends BodyLimits {
  readonly headBytes: number;
  readonly headers: number;
}

/** Interim responses before the final one; a machine that sends more is broken or hostile. */
const MAX_INTERIM = 16;

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HTTP_1 = new Uint8Array(Buffer.from("HTTP/1.", "latin1"));
/** Of version, space and status. */
const STATUS_BYTES = 12;

export class Http1ResponseHead implements ResponseHead {
  readonly fields: Http1Fields;
  status = 0;
  reason = "";
  version = 11;
  body: BodyKind = "none";
  contentLength = 0;
  upgrade = "";
  connectionNames: readonly string[] | null = null;
  /** May the connection be used again after this response? */
  keepAlive = true;
  /** Did the machine declare a length? For HEAD and 304 that is the length a GET would have had. */
  hasContentLength = false;

  constructor(maxFields: number) {
    this.fields = new Http1Fields(maxFields);
  }
}

export class ResponseDecoder {
  readonly #headBuffer: HeadBuffer;
  readonly #head: Http1ResponseHead;
  readonly #connection = new ConnectionOptions("bad_response");
  readonly #body: BodyDecoder;
  #sink: ResponseSink | null = null;
  #isHead = false;
  #inBody = false;
  #interim = 0;

  constructor(limits: ResponseLimits) {
    this.#headBuffer = new HeadBuffer(limits.headBytes, (buffer, start, end) => this.#readHead(buffer, start, end));
    this.#head = new Http1ResponseHead(limits.headers);
    this.#body = new BodyDecoder(limits, "bad_response", "bad_response", "pass");
  }

  /** A request was sent on this connection: its response goes to `sink`. */
  expect(sink: ResponseSink, isHead: boolean): void {
    this.#sink = sink;
    this.#isHead = isHead;
    this.#inBody = false;
    this.#interim = 0;
  }

  /** No response is awaited. */
  get isIdle(): boolean {
    return this.#sink === null;
  }

  /**
   * Decodes `buffer[position, end)` and returns the position behind the response: bytes left over belong to nobody (or to the
   * tunnel, after a 101). Throws `bad_response`.
   */
  decode(buffer: Buffer, position: number, end: number): number {
    while (position < end && this.#sink !== null) {
      if (this.#inBody) {
        position = this.#body.decode(buffer, position, end, this.#sink);
        if (this.#body.isDone) this.#end();
      } else position = this.#decodeHead(buffer, position, end);
    }
    return position;
  }

  /** The machine closed the connection. Throws `upstream_closed` or `response_truncated` when that cuts a response short. */
  finish(): void {
    if (this.#sink === null) return;
    if (!this.#inBody) throw new ProxyError("upstream_closed");
    if (!this.#body.mayEnd) throw new ProxyError("response_truncated");
    this.#body.finish();
    this.#end();
  }

  #decodeHead(buffer: Buffer, position: number, end: number): number {
    const next = this.#takeHead(buffer, position, end);
    return next === -1 ? end : this.#begin(next);
  }

  /** The head is read: `next` is the position behind it. */
  #begin(next: number): number {
    const head = this.#head;
    if (head.status < 200 && head.status !== 101) {
      if (++this.#interim > MAX_INTERIM) throw new ProxyError("bad_response", "too many interim responses");
      this.#sink!.onInterim(head);
      return next;
    }
    this.#inBody = head.body !== "none";
    if (this.#inBody) this.#body.begin(head.body, head.contentLength, head.connectionNames);
    this.#sink!.onHead(head);
    if (!this.#inBody) this.#end();
    return next;
  }

  #takeHead(buffer: Buffer, position: number, end: number): number {
    try {
      return this.#headBuffer.take(buffer, position, end);
    } catch (error) {
      if (error instanceof ProxyError && error.code === "bad_response") throw error;
      throw new ProxyError("bad_response", "the response head is malformed or too large", { cause: error });
    }
  }

  #end(): void {
    const sink = this.#sink;
    this.#sink = null;
    this.#inBody = false;
    sink?.onEnd();
  }

  /** Reads the head that begins at `start`; returns the position behind it, or -1 when it has not come whole before `end`. */
  #readHead(buffer: Buffer, start: number, end: number): number {
    if (start + STATUS_BYTES >= end) return -1;
    const head = this.#head;
    head.version = readVersion(buffer, start);
    head.status = readStatus(buffer, start + 9);
    if (head.status < 200 && head.version < 11) throw new ProxyError("bad_response", "an interim response in HTTP/1.0, which has none");
    let position = start + STATUS_BYTES;
    // The space before an empty reason phrase is often left out; nothing can be read two ways because of it.
    const hasSpace = buffer[position] === SP;
    if (hasSpace) position++;
    else if (buffer[position] !== CR) throw new ProxyError("bad_response", "the status line is malformed");
    const reasonStart = position;
    while (position < end && (CHARACTERS[buffer[position]!]! & VALUE) !== 0) position++;
    if (position + 1 >= end) return -1;
    if (buffer[position] !== CR || buffer[position + 1] !== LF) throw new ProxyError("bad_response", "the status line is malformed");
    const reasonEnd = position;
    const next = head.fields.parse(buffer, position + 2, end, start);
    if (next === -1) return -1;
    const text = buffer.toString("latin1", start, next - 2);
    head.fields.setText(text);
    head.fields.hasPlainStart = hasSpace && head.version === 11;
    head.reason = text.substring(reasonStart - start, reasonEnd - start);
    this.#readConnection(head);
    this.#readBody(head);
    return next;
  }

  #readConnection(head: Http1ResponseHead): void {
    const connection = this.#connection;
    connection.read(head.fields);
    head.connectionNames = connection.names;
    head.keepAlive = (connection.flags & CLOSE) === 0 && (head.version >= 11 || (connection.flags & KEEP_ALIVE) !== 0);
    const index = (connection.flags & UPGRADE) !== 0 ? head.fields.find(FIELD.upgrade) : -1;
    head.upgrade = index === -1 ? "" : head.fields.value(index).toLowerCase();
  }

  /** RFC 9112 section 6.3. */
  #readBody(head: Http1ResponseHead): void {
    const chunked = isChunked(head.fields, head.version, "bad_response");
    const length = contentLength(head.fields, "bad_response");
    head.hasContentLength = length >= 0;
    head.contentLength = Math.max(length, 0);
    if (this.#isHead || head.status < 200 || head.status === 204 || head.status === 304) head.body = "none";
    else if (chunked) head.body = "chunked";
    else if (length >= 0) head.body = length > 0 ? "length" : "none";
    else {
      head.body = "until_close";
      head.keepAlive = false;
    }
  }
}

/** Reads `HTTP/1.0 ` or `HTTP/1.1 ` at `position`; 10 or 11. */
function readVersion(buffer: Buffer, position: number): number {
  let isHttp = true;
  for (let i = 0; i < HTTP_1.length; i++) isHttp &&= buffer[position + i] === HTTP_1[i];
  const minor = buffer[position + 7];
  if (isHttp && buffer[position + 8] === SP && (minor === 0x31 || minor === 0x30)) return minor === 0x31 ? 11 : 10;
  throw new ProxyError("bad_response", "the response is not HTTP/1.0 or HTTP/1.1");
}

function readStatus(buffer: Buffer, position: number): number {
  let status = 0;
  for (let i = position; i < position + 3; i++) {
    if ((CHARACTERS[buffer[i]!]! & DIGIT) === 0) throw new ProxyError("bad_response", "the status is not a number");
    status = status * 10 + buffer[i]! - 0x30;
  }
  if (status < 100 || status > 599) throw new ProxyError("bad_response", `the status ${status} is out of range`);
  return status;
}
