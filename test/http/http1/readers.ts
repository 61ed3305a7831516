// Drives the decoders as a connection does and writes down what they say. Every piece lies in the middle of a buffer of junk that is
// overwritten as soon as the decoder has returned, so that whatever is read too far or kept too long shows.

import { RequestDecoder, type Http1RequestHead, type RequestLimits } from "../../../src/http/http1/request-decoder.ts";
import { ResponseDecoder, type Http1ResponseHead, type ResponseLimits } from "../../../src/http/http1/response-decoder.ts";
import type { BodyKind, Fields } from "../../../src/http/message.ts";
import { ProxyError } from "../../../src/core/errors.ts";

export const LIMITS: RequestLimits = {
  headBytes: 4096,
  targetBytes: 1024,
  headers: 64,
  underscores: "pass",
  trailerBytes: 8192,
  trailers: 32,
  chunkExtensionBytes: 4096,
};

export type FieldList = (readonly [name: string, value: string])[];

export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly host: string;
  readonly version: number;
  readonly body: BodyKind;
  readonly contentLength: number;
  readonly upgrade: string;
  readonly expectsContinue: boolean;
  readonly connectionNames: readonly string[] | null;
  readonly keepAlive: boolean;
  readonly fields: FieldList;
  data: string;
  trailers: FieldList;
  isComplete: boolean;
}

export interface ReadResponse {
  readonly status: number;
  readonly reason: string;
  readonly version: number;
  readonly body: BodyKind;
  readonly contentLength: number;
  readonly hasContentLength: boolean;
  readonly upgrade: string;
  readonly connectionNames: readonly string[] | null;
  readonly keepAlive: boolean;
  readonly fields: FieldList;
  data: string;
  trailers: FieldList;
  isComplete: boolean;
}

/** What a whole connection said. */
export interface Requests {
  readonly requests: ReadRequest[];
  /** Why the connection was refused; null when it was not. */
  error: string | null;
}

export interface Responses {
  readonly interim: ReadResponse[];
  final: ReadResponse | null;
  /** Bytes behind the response. */
  leftover: string;
  error: string | null;
}

export interface ReadResponseOptions {
  readonly isHead?: boolean;
  /** Does the machine close the connection behind the bytes? */
  readonly closes?: boolean;
  readonly limits?: ResponseLimits;
}

/** Reads requests until the bytes end, one is refused, or, unless told to read on, one ends the connection. */
export function readRequests(pieces: readonly Buffer[], limits: RequestLimits = LIMITS, { readsOn = false } = {}): Requests {
  const result: Requests = { requests: [], error: null };
  let last: ReadRequest | null = null;
  const decoder = new RequestDecoder(limits, {
    onHead(head) {
      last = readRequest(head);
      result.requests.push(last);
    },
    onData(buffer, start, end) {
      last!.data += text(buffer, start, end);
    },
    onTrailers(fields) {
      last!.trailers = listFields(fields);
    },
    onEnd() {
      last!.isComplete = true;
    },
  });
  try {
    for (const piece of pieces) {
      const junked = new JunkedPiece(piece);
      let position = junked.start;
      while (position < junked.end) {
        position = decoder.decode(junked.buffer, position, junked.end);
        if (last === null || !(last as ReadRequest).isComplete) continue;
        if (!(last as ReadRequest).keepAlive && !readsOn) return result;
        last = null;
        decoder.next();
      }
      junked.destroy();
    }
  } catch (error) {
    result.error = codeOf(error);
  }
  return result;
}

export function readResponse(pieces: readonly Buffer[], options: ReadResponseOptions = {}): Responses {
  const result: Responses = { interim: [], final: null, leftover: "", error: null };
  const decoder = new ResponseDecoder(options.limits ?? LIMITS);
  const sink = {
    onInterim: (head: Http1ResponseHead) => void result.interim.push(readResponseHead(head)),
    onHead: (head: Http1ResponseHead) => void (result.final = readResponseHead(head)),
    onData: (buffer: Buffer, start: number, end: number) => void (result.final!.data += text(buffer, start, end)),
    onTrailers: (fields: Fields) => void (result.final!.trailers = listFields(fields)),
    onEnd: () => void (result.final!.isComplete = true),
  };
  decoder.expect(sink as never, options.isHead ?? false);
  try {
    for (const piece of pieces) {
      const junked = new JunkedPiece(piece);
      const position = decoder.decode(junked.buffer, junked.start, junked.end);
      result.leftover += junked.buffer.toString("latin1", position, junked.end);
      junked.destroy();
    }
    if (options.closes ?? false) decoder.finish();
  } catch (error) {
    result.error = codeOf(error);
  }
  return result;
}

/** The ways in which bytes may arrive: in one piece, in all pairs of pieces, byte by byte. */
export function* cuts(bytes: Buffer): Generator<Buffer[]> {
  for (let at = 1; at < bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)];
  yield Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
}

export function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

class JunkedPiece {
  readonly buffer: Buffer;
  readonly start = 3;
  readonly end: number;

  constructor(piece: Buffer) {
    // What follows would complete a head, were it read.
    this.buffer = Buffer.concat([latin1("\r\nx"), piece, latin1("\r\n\r\n0\r\n\r\n")]);
    this.end = this.start + piece.length;
  }

  destroy(): void {
    this.buffer.fill("~");
  }
}

function readRequest(head: Http1RequestHead): ReadRequest {
  const { method, target, authority, host, version, body, contentLength, upgrade, expectsContinue, connectionNames, keepAlive } = head;
  const fields = listFields(head.fields);
  const facts = { method, target, authority, host, version, body, contentLength, upgrade, expectsContinue, connectionNames, keepAlive };
  return { ...facts, fields, data: "", trailers: [], isComplete: false };
}

function readResponseHead(head: Http1ResponseHead): ReadResponse {
  const { status, reason, version, body, contentLength, hasContentLength, upgrade, connectionNames, keepAlive } = head;
  const fields = listFields(head.fields);
  const facts = { status, reason, version, body, contentLength, hasContentLength, upgrade, connectionNames, keepAlive };
  return { ...facts, fields, data: "", trailers: [], isComplete: false };
}

function listFields(fields: Fields): FieldList {
  return Array.from({ length: fields.count }, (_, index) => [fields.name(index), fields.value(index)] as const);
}

function text(buffer: Buffer, start: number, end: number): string {
  if (start >= end) throw new Error("a call without a byte of data");
  return buffer.toString("latin1", start, end);
}

function codeOf(error: unknown): string {
  if (!(error instanceof ProxyError)) throw error;
  return error.code;
}
