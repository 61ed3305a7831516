// Hot path. One stream of a client's HTTP/2 connection: the channel of one exchange (RFC 9113 section 5.1).
//
//     open ──► the client ended its side ──► closed
//      └─────► this side ended ──────────────┘          a reset leads there from everywhere

import { FIELD } from "../http/field-names.ts";
import { H2_ERROR } from "../http/http2/connection-error.ts";
import { DEFAULT_WINDOW } from "../http/http2/frame.ts";
import type { Http2RequestHead } from "../http/http2/request-head.ts";
import type { ResponseEncoder } from "../http/http2/response-encoder.ts";
import type { Fields, ResponseHead } from "../http/message.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { ClientFacts, ClientLines } from "../upstream/forward.ts";
import type { ClientChannel, ClientEvents, OwnFacts, OwnField } from "./client-channel.ts";
import { HeldBytes } from "../upstream/held-bytes.ts";
import type { Http2Sender, SendingStream } from "../upstream/http2-sender.ts";
import type { Pace } from "./pace.ts";

/** The connection, as its streams see it. */
export interface StreamHost {
  readonly client: ClientFacts;
  readonly clientLines: ClientLines;
  account: object | null;
  readonly sender: Http2Sender;
  readonly responses: ResponseEncoder;
  /** The client sends nothing more on the connection, WINDOW_UPDATE neither. */
  readonly clientEnded: boolean;
  /** The latest moment, by the clock of the deadlines, to look at this connection's streams again. */
  wakeBy(deadlineMs: number): void;
  /** For a client that has to read, or to send. */
  pace(): Pace;
  /** Body bytes were used up or thrown away: the client may send as many more on the connection. */
  credit(bytes: number): void;
  /** Both sides are done, or the stream was reset. */
  onClosed(stream: Http2Stream): void;
  /** The connection takes no new streams. */
  retire(): void;
  flush(): void;
}

/** What a client may send ahead on a stream whose body goes on; until then it is the default window. */
const FLOWING_WINDOW = 256 * 1024;

export class Http2Stream implements ClientChannel, SendingStream {
  readonly id: number;
  readonly client: ClientFacts;
  readonly clientLines: ClientLines;
  readonly protocol: string = "HTTP/2.0";
  readonly head: Http2RequestHead;
  readonly #host: StreamHost;
  /** null when it is over, whatever is left to send. */
  exchange: ClientEvents | null = null;
  bytesSent = 0;

  sendWindow: number;
  readonly held = new HeldBytes();
  isQueued = false;
  #isEnding = false;
  #trailers: OwnField[] | null = null;
  #localEnded = false;
  /** Of the client as it reads; null until it is waited for. */
  #reading: Pace | null = null;

  remoteEnded: boolean;
  isClosed = false;
  receiveWindow: number = DEFAULT_WINDOW;
  #isTunnel = false;
  /** Nobody wants the request's body yet, or just now. */
  #isPaused = true;
  /** Until a 100 has been passed on, or it sends its body unasked: the machine is waited for, and not the client. */
  #awaitsContinue: boolean;
  #input: HeldBytes | null = null;
  #inputTrailers: Fields | null = null;
  /** The end of the body was told of. */
  #endTold = false;
  /** Bytes that the body still has by its content-length; Infinity where none was given. */
  #bodyLeft: number;
  #windowTarget: number = DEFAULT_WINDOW;
  #consumed = 0;
  /** Of the client as it sends. */
  #upload: Pace | null = null;

  constructor(host: StreamHost, id: number, head: Http2RequestHead, endStream: boolean, sendWindow: number) {
    this.#host = host;
    this.id = id;
    this.client = host.client;
    this.clientLines = host.clientLines;
    this.head = head;
    this.remoteEnded = endStream;
    this.#endTold = endStream && head.webSocketAccept === "";
    this.sendWindow = sendWindow;
    this.#awaitsContinue = head.expectsContinue && !endStream;
    const isOpenEnded = head.webSocketAccept !== "" || head.fields.find(FIELD.contentLength) === -1;
    this.#bodyLeft = isOpenEnded ? Infinity : head.contentLength;
  }

  get account(): object | null {
    return this.#host.account;
  }

  set account(account: object | null) {
    this.#host.account = account;
  }

  /** When the client's patience with this stream, or ours with it, ends. */
  get deadlineMs(): number {
    return Math.min(this.#reading?.deadlineMs ?? Infinity, this.#upload?.deadlineMs ?? Infinity);
  }

  sendInterim(head: ResponseHead): void {
    if (this.isClosed) return;
    const { sender, responses } = this.#host;
    responses.opening(sender.beginBlock(), head.status, head, null);
    this.bytesSent += sender.endBlock(this.id, false);
    if (head.status !== 100 || !this.#awaitsContinue) return;
    this.#awaitsContinue = false;
    this.#afterInput();
  }

  sendHead(head: ResponseHead, own: OwnFacts | null): void {
    if (this.isClosed) return;
    // From here on both sides may speak when they like, so it is their silence together that counts: that of the machine.
    this.#upload?.rest();
    const { sender, responses } = this.#host;
    const encoder = sender.beginBlock();
    if (head.status === 101) responses.opening(encoder, 200, head, own);
    else responses.response(encoder, head, own, this.head.method === "HEAD");
    this.bytesSent += sender.endBlock(this.id, false);
  }

  sendData(buffer: Buffer, start: number, end: number): boolean {
    if (this.isClosed) return true;
    const { sender } = this.#host;
    this.bytesSent += end - start;
    const { held } = this;
    if (held.length === 0) start = sender.data(this, buffer, start, end);
    if (start < end) held.append(buffer, start, end);
    else if (held.length === 0 && sender.output.isFlowing) return true;
    this.#waitToSend();
    return false;
  }

  sendTrailers(fields: Fields): void {
    const trailers: OwnField[] = [];
    for (let i = 0; i < fields.count; i++) trailers.push([fields.name(i), fields.value(i)]);
    this.#trailers = trailers;
  }

  sendEnd(): void {
    this.exchange = null;
    this.#end();
  }

  sendOwn(status: number, fields: readonly OwnField[], body: Buffer): void {
    this.exchange = null;
    if (this.isClosed) return;
    const { sender, responses } = this.#host;
    responses.own(sender.beginBlock(), status, fields, body.length);
    this.bytesSent += sender.endBlock(this.id, false);
    if (this.head.method !== "HEAD" && body.length > 0) this.sendData(body, 0, body.length);
    this.#end();
  }

  abort(): void {
    this.exchange = null;
    this.reset(this.#isTunnel ? H2_ERROR.cancel : H2_ERROR.internalError);
  }

  pauseBody(): void {
    this.#isPaused = true;
    this.#upload?.rest();
  }

  resumeBody(): void {
    if (!this.#isPaused || this.isClosed) return;
    this.#isPaused = false;
    const input = this.#input;
    this.#input = null;
    if (input !== null && input.length > 0) this.#deliver(input.buffer, input.start, input.end);
    this.#afterInput();
  }

  openTunnel(): void {
    this.#isTunnel = true;
    this.resumeBody();
  }

  sendTunnelData(buffer: Buffer, start: number, end: number): boolean {
    return this.sendData(buffer, start, end);
  }

  endTunnel(): void {
    this.#end();
  }

  pauseTunnel(): void {
    this.pauseBody();
  }

  resumeTunnel(): void {
    this.resumeBody();
  }

  retire(): void {
    this.#host.retire();
  }

  flush(): void {
    this.#host.flush();
  }

  onProgress(bytes: number): void {
    this.#reading?.moved(bytes);
    if (this.held.length > 0) return;
    this.#reading?.rest();
    if (this.#isEnding) this.#finish();
    else this.exchange?.onClientDrain();
  }

  /** A part of the body. False: it is longer than its content-length. */
  onData(buffer: Buffer, start: number, end: number): boolean {
    this.#bodyLeft -= end - start;
    if (this.#bodyLeft < 0) return false;
    this.#awaitsContinue = false;
    if (this.#isPaused) (this.#input ??= new HeldBytes()).append(buffer, start, end);
    else {
      this.#upload?.moved(end - start);
      this.#deliver(buffer, start, end);
      this.#afterInput();
    }
    return true;
  }

  /** Padding, which nobody waits for. */
  onPadding(bytes: number): void {
    this.#credit(bytes);
  }

  /** The client ends its side. False: its body is shorter than its content-length. */
  onRemoteEnd(trailers: Fields | null): boolean {
    this.remoteEnded = true;
    this.#upload?.rest();
    if (this.#bodyLeft !== Infinity && this.#bodyLeft > 0) return false;
    this.#inputTrailers = trailers;
    if (!this.#isPaused) this.#afterInput();
    return true;
  }

  /** The client reset the stream, or its connection is gone. */
  onGone(code: ErrorCode): void {
    const { exchange } = this;
    this.exchange = null;
    this.#close();
    exchange?.onClientFailed(code);
  }

  /** An error of the client's on this stream. */
  fail(h2Code: number, code: ErrorCode): void {
    const { exchange } = this;
    this.exchange = null;
    this.reset(h2Code);
    exchange?.onClientFailed(code);
  }

  /** Ends the stream at once, with whatever it still holds. */
  reset(code: number): void {
    if (this.isClosed) return;
    this.#host.sender.reset(this.id, code);
    this.#close();
  }

  onDeadline(): void {
    this.#rest();
    if (this.exchange !== null) this.exchange.onClientFailed("request_timeout");
    else this.reset(H2_ERROR.cancel);
  }

  #waitToSend(): void {
    const host = this.#host;
    // A tunnel may be silent for as long as both ends like.
    if (!this.#isTunnel) {
      this.#reading ??= host.pace();
      this.#reading.wait();
      host.wakeBy(this.#reading.deadlineMs);
    }
    // It may be for ever, which is looked at when nothing is under way.
    if (host.clientEnded) host.wakeBy(0);
    host.sender.wait(this);
  }

  #end(): void {
    if (this.isClosed || this.#localEnded) return;
    this.#isEnding = true;
    if (this.held.length === 0) this.#finish();
  }

  /** Everything of the response is on its way but its end. */
  #finish(): void {
    const { sender, responses } = this.#host;
    const trailers = this.#trailers;
    this.#localEnded = true;
    if (trailers === null) sender.output.endStream(this.id);
    else {
      responses.trailers(sender.beginBlock(), trailers);
      this.bytesSent += sender.endBlock(this.id, true);
    }
    if (this.remoteEnded && (this.#endTold || !this.#isTunnel)) this.#close();
    // Nobody waits for the rest of a body that the response did not wait for (RFC 9113 section 8.1).
    else if (!this.#isTunnel) this.reset(H2_ERROR.noError);
  }

  #deliver(buffer: Buffer, start: number, end: number): void {
    const { exchange } = this;
    if (this.#isTunnel) exchange?.onTunnelInput(buffer, start, end);
    else exchange?.onRequestData(buffer, start, end);
    this.#credit(end - start);
  }

  /** What came so far was delivered: wait for more, or tell of the end. */
  #afterInput(): void {
    if (this.#isPaused || this.isClosed) return;
    if (!this.remoteEnded) {
      if (this.#isTunnel || this.#awaitsContinue || this.exchange?.responseStarted === true) return;
      this.#upload ??= this.#host.pace();
      this.#upload.wait();
      this.#host.wakeBy(this.#upload.deadlineMs);
    } else if (!this.#endTold) {
      this.#endTold = true;
      const { exchange } = this;
      if (this.#isTunnel) {
        exchange?.onTunnelInputEnd();
        if (this.#localEnded) this.#close();
        return;
      }
      if (this.#inputTrailers !== null) exchange?.onRequestTrailers(this.#inputTrailers);
      exchange?.onRequestEnd();
    }
  }

  /** The window grows as the body is used up: by halves, and to its full size only for a body that goes on. */
  #credit(bytes: number): void {
    const host = this.#host;
    host.credit(bytes);
    if (this.remoteEnded || this.isClosed) return;
    this.#consumed += bytes;
    if (this.#consumed < this.#windowTarget / 2) return;
    const increment = this.#consumed + FLOWING_WINDOW - this.#windowTarget;
    this.#windowTarget = FLOWING_WINDOW;
    this.#consumed = 0;
    this.receiveWindow += increment;
    host.sender.windowUpdate(this.id, increment);
  }

  #rest(): void {
    this.#reading?.rest();
    this.#upload?.rest();
  }

  #close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#rest();
    const host = this.#host;
    host.sender.forget(this);
    this.held.clear();
    const input = this.#input;
    this.#input = null;
    if (input !== null && input.length > 0) host.credit(input.length);
    host.onClosed(this);
  }
}
