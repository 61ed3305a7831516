// Hot path. One stream of an HTTP/2 connection to a machine: carries one attempt of an exchange (RFC 9113 section 5.1).
//
//     waiting ──► open ──► this side ended ──► closed
//                  └─────► the machine ended ────┘          a reset leads there from everywhere

import { DEFAULT_WINDOW } from "../http/http2/frame.ts";
import { H2_ERROR } from "../http/http2/connection-error.ts";
import type { Http2Fields } from "../http/http2/request-head.ts";
import type { Http2ResponseHead } from "../http/http2/response-head.ts";
import type { Fields } from "../http/message.ts";
import type { Timed } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import type { CarriedExchange, Carrier, UpstreamContext } from "./connection.ts";
import type { AddedField } from "./forward.ts";
import { HeldBytes } from "./held-bytes.ts";
import type { Http2Sender, SendingStream } from "./http2-sender.ts";

/** The connection, as its streams see it. */
export interface UpstreamStreamHost {
  /** `host:port`, for messages. */
  readonly name: string;
  readonly sender: Http2Sender;
  readonly context: UpstreamContext;
  /** Sends the trailers and ends the stream. */
  sendTrailers(stream: Http2UpstreamStream, trailers: readonly AddedField[]): void;
  /** A stream waited in vain; if nothing at all came since `sinceMs` of the deadlines' clock, nobody may be there any more. */
  onSilence(sinceMs: number): void;
  onClosed(stream: Http2UpstreamStream): void;
  flush(): void;
}

/** What a machine may send ahead on a stream, which is the most that a slow client makes the edge hold. */
export const STREAM_WINDOW: number = 256 * 1024;
/** Interim responses before the final one; a machine that sends more is broken or hostile. */
const MAX_INTERIM = 16;

export class Http2UpstreamStream implements Carrier, SendingStream, Timed {
  /** 0 until it is opened. */
  id = 0;
  deadlineMs = Infinity;
  sendWindow: number = DEFAULT_WINDOW;
  readonly held = new HeldBytes();
  isQueued = false;
  isClosed = false;
  receiveWindow: number = STREAM_WINDOW;
  exchange: CarriedExchange | null;
  #host: UpstreamStreamHost | null = null;
  /** Since when the machine is waited for, by the clock of the deadlines. */
  #waitsSinceMs = 0;
  #isEnding = false;
  #localEnded = false;
  #trailers: AddedField[] | null = null;
  #hasAnswered = false;
  #interim = 0;
  #isPaused = false;
  /** Nothing of the body comes before the machine has asked for it, or the client has lost patience. */
  #awaitsContinue = false;
  #consumed = 0;
  /** Bytes that the response still has by its content-length; Infinity where none was given. */
  #bodyLeft = Infinity;

  constructor(exchange: CarriedExchange) {
    this.exchange = exchange;
  }

  /** This connection will carry it, unless that turns out to have no room. */
  join(host: UpstreamStreamHost): void {
    this.#host = host;
  }

  /** The stream has a number now, and its request's head is on the way. */
  open(id: number, sendWindow: number): void {
    const host = this.#host!;
    this.id = id;
    this.sendWindow = sendWindow;
    host.context.deadlines.add(this);
    const { requestBody, expectsContinue } = this.exchange!;
    this.#localEnded = requestBody === "none";
    this.#awaitsContinue = expectsContinue && !this.#localEnded;
    // Otherwise its client is waited for, which has a deadline of its own.
    if (this.#localEnded || this.#awaitsContinue) this.#waitFor(host.context.timeouts.headMs);
  }

  sendData(buffer: Buffer, start: number, end: number): boolean {
    const host = this.#host;
    if (host === null || this.id === 0 || this.isClosed) return true;
    const { sender } = host;
    const { held } = this;
    if (this.#awaitsContinue) this.#endWaiting();
    if (held.length === 0) start = sender.data(this, buffer, start, end);
    if (start < end) held.append(buffer, start, end);
    else if (held.length === 0 && sender.output.isFlowing) {
      if (this.#hasAnswered) this.#waitForMore();
      return true;
    }
    // One that takes no more of a request has as long as one that does not answer it.
    if (!this.#hasAnswered) this.#waitFor(host.context.timeouts.headMs);
    sender.wait(this);
    return false;
  }

  sendTrailers(fields: Fields): void {
    this.#trailers = [];
    for (let i = 0; i < fields.count; i++) this.#trailers.push([fields.name(i), fields.value(i)]);
  }

  sendEnd(): void {
    if (this.isClosed || this.#localEnded) return;
    this.#isEnding = true;
    if (this.held.length === 0) this.#finish();
  }

  // An Upgrade goes over a connection of HTTP/1.1, so that no stream becomes a tunnel; and if one did, its bytes would be those of a body.
  tunnelData(buffer: Buffer, start: number, end: number): boolean {
    return this.sendData(buffer, start, end);
  }

  tunnelEnd(): void {
    this.sendEnd();
  }

  leaveTunnel(): void {
    this.exchange = null;
  }

  pause(): void {
    this.#isPaused = true;
    this.deadlineMs = Infinity;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#credit(0);
    this.#waitForMore();
  }

  destroy(): void {
    this.exchange = null;
    this.reset(H2_ERROR.cancel);
  }

  onProgress(): void {
    if (this.held.length > 0) return;
    if (this.#isEnding) this.#finish();
    else {
      if (this.#hasAnswered) this.#waitForMore();
      else this.deadlineMs = Infinity;
      this.exchange?.onUpstreamDrain();
    }
  }

  /** A header block: an interim or the final head, or trailers. */
  onHeaders(head: Http2ResponseHead, endStream: boolean): void {
    if (this.#hasAnswered) return this.#onTrailers(head.fields, endStream);
    const { exchange } = this;
    if (!head.read(endStream, exchange!.isHeadRequest)) return this.fail("the response is malformed");
    if (head.isInterim) {
      if (++this.#interim > MAX_INTERIM) return this.fail("too many interim responses");
      if (head.status === 100 && this.#awaitsContinue) this.#endWaiting();
      exchange!.onInterim(head);
      return;
    }
    this.#hasAnswered = true;
    if (head.body !== "chunked") this.#bodyLeft = head.body === "length" ? head.contentLength : 0;
    this.#waitForMore();
    exchange!.onHead(head);
    if (endStream) this.#onRemoteEnd();
  }

  onDataStart(length: number): void {
    this.receiveWindow -= length;
    if (this.receiveWindow < 0) this.fail("more than the window of the stream");
    else if (!this.#hasAnswered) this.fail("a body before the response");
  }

  onData(buffer: Buffer, start: number, end: number): void {
    const bytes = end - start;
    this.#bodyLeft -= bytes;
    if (this.#bodyLeft < 0) return this.fail("a body that is longer than its length");
    this.#waitForMore();
    this.exchange?.onData(buffer, start, end);
    this.#credit(bytes);
  }

  onDataEnd(padding: number, endStream: boolean): void {
    if (padding > 0) this.#credit(padding);
    if (endStream) this.#onRemoteEnd();
  }

  /** The machine reset the stream. */
  onReset(code: number): void {
    this.#close();
    const wasSent = code !== H2_ERROR.refusedStream;
    this.#report(new ProxyError("upstream_reset", `"${this.#host!.name}" reset the stream with error ${code}`), wasSent, !wasSent);
  }

  /** The connection is gone, or never was. */
  onLost(error: ProxyError, wasSent: boolean, wasStale: boolean): void {
    this.#close();
    this.#report(error, wasSent, wasStale);
  }

  /** What came on this stream is no response. */
  fail(message: string): void {
    this.reset(H2_ERROR.protocolError);
    this.#report(new ProxyError("bad_response", message), true, false);
  }

  reset(code: number): void {
    if (this.isClosed) return;
    if (this.id !== 0) this.#host!.sender.reset(this.id, code);
    this.#close();
  }

  onDeadline(): void {
    const host = this.#host!;
    this.reset(H2_ERROR.cancel);
    host.onSilence(this.#waitsSinceMs);
    const fault = this.#hasAnswered ? "fell silent in the middle of its response" : "did not answer in time";
    this.#report(new ProxyError("upstream_timeout", `"${host.name}" ${fault}`), true, false);
    host.flush();
  }

  #onTrailers(fields: Http2Fields, endStream: boolean): void {
    if (!endStream || !fields.keepTrailers(this.#host!.context.limits.trailers, "pass")) return this.fail("the trailers are malformed");
    if (fields.count > 0 && this.#bodyLeft === Infinity) this.exchange?.onTrailers(fields);
    this.#onRemoteEnd();
  }

  #onRemoteEnd(): void {
    if (this.isClosed) return;
    if (!this.#hasAnswered) return this.fail("a stream that ended without a response");
    if (this.#bodyLeft > 0 && this.#bodyLeft !== Infinity) {
      this.reset(H2_ERROR.protocolError);
      this.#report(new ProxyError("response_truncated"), true, false);
      return;
    }
    const { exchange } = this;
    this.exchange = null;
    // What is left of a request that was answered before its end is of no use (RFC 9113 section 8.1).
    if (this.#localEnded) this.#close();
    else this.reset(H2_ERROR.cancel);
    exchange?.onEnd();
  }

  /** Everything of the request is on its way but its end. */
  #finish(): void {
    const host = this.#host;
    if (host === null || this.id === 0 || this.#localEnded) return;
    this.#localEnded = true;
    if (this.#trailers === null) host.sender.output.endStream(this.id);
    else host.sendTrailers(this, this.#trailers);
    if (this.#hasAnswered) this.#waitForMore();
    else this.#waitFor(host.context.timeouts.headMs);
  }

  /** It is the client's turn. */
  #endWaiting(): void {
    this.#awaitsContinue = false;
    this.deadlineMs = Infinity;
  }

  /** The last that was heard of the machine, or that it took, is now. */
  #waitForMore(): void {
    if (!this.isClosed && !this.#isPaused && this.#hasAnswered) this.#waitFor(this.#host!.context.timeouts.silenceMs);
  }

  #waitFor(ms: number): void {
    const { deadlines } = this.#host!.context;
    this.#waitsSinceMs = deadlines.nowMs;
    this.deadlineMs = this.exchange?.watchesSilence === true ? Infinity : deadlines.after(ms);
  }

  /** The window grows as the client takes the body: by halves. */
  #credit(bytes: number): void {
    this.#consumed += bytes;
    if (this.isClosed || this.#isPaused || this.#consumed < STREAM_WINDOW / 2) return;
    this.receiveWindow += this.#consumed;
    this.#host!.sender.windowUpdate(this.id, this.#consumed);
    this.#consumed = 0;
  }

  #report(error: ProxyError, wasSent: boolean, wasStale: boolean): void {
    const { exchange } = this;
    this.exchange = null;
    exchange?.onUpstreamFailed(error, wasSent, wasStale);
  }

  #close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.deadlineMs = Infinity;
    this.held.clear();
    const host = this.#host;
    if (host === null) return;
    host.context.deadlines.remove(this);
    host.sender.forget(this);
    host.onClosed(this);
  }
}
