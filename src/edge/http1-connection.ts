// Hot path. A client's HTTP/1.1 connection: bytes into the decoder, one exchange after the other, responses back in order.

import type { Socket } from "node:net";
import {
  CHUNK_END,
  LAST_CHUNK,
  TRAILERS_END,
  announcementLine,
  chunkStart,
  encodeResponseHead,
  framingLine,
  lastChunkWithTrailers,
} from "../http/http1/encode.ts";
import { FIELD } from "../http/field-names.ts";
import { RequestDecoder, type Http1RequestHead } from "../http/http1/request-decoder.ts";
import type { Fields, MessageSink, ResponseHead } from "../http/message.ts";
import { REASON_PHRASES } from "../http/reason-phrases.ts";
import type { Timed } from "../core/deadlines.ts";
import { ProxyError, type ErrorCode } from "../core/errors.ts";
import { clientLines, type ClientFacts, type ClientLines } from "../upstream/forward.ts";
import { reset } from "../upstream/reset.ts";
import { SocketWriter } from "../upstream/socket-writer.ts";
import type { ClientChannel, ClientEvents, OwnFacts, OwnField } from "./client-channel.ts";
import type { ClientConnection, ConnectionContext, HeadTime } from "./client-connection.ts";
import { Pace } from "./pace.ts";
import { ownLines } from "./response-fields.ts";

type State = "open" | "lingering" | "tunnel" | "closed";

/** After the last response the client's unread bytes are swallowed for this long, so that a reset does not destroy the response. */
const LINGER_MS = 2000;
/** How long a connection that leaves waits for its first request. */
const FIRST_REQUEST_MS = 1000;
const HIGHEST_PIPELINED_BYTES = 64 * 1024;

export class Http1Connection implements ClientConnection, ClientChannel, MessageSink<Http1RequestHead>, Timed {
  deadlineMs: number;
  readonly client: ClientFacts;
  readonly clientLines: ClientLines;
  readonly protocol: string = "HTTP/1.1";
  account: object | null = null;
  readonly #socket: Socket;
  readonly #context: ConnectionContext;
  readonly #headMs: number;
  readonly #writer: SocketWriter;
  readonly #decoder: RequestDecoder;
  #state: State = "open";
  #exchange: ClientEvents | null = null;
  #head: Http1RequestHead | null = null;
  /** Bytes that came before they could be used. */
  #rest: Buffer | null = null;
  #isPumping = false;
  #requestEnded = true;
  /** No head has been read: its deadline is the connection's. */
  #isFresh = true;
  #isLeaving = false;
  #hasEnded = false;
  #keepAlive = true;
  /** Until a 100 has been passed on, or it sends its body unasked: the machine is waited for, and not the client. */
  #awaitsContinue = false;
  #chunked = false;
  #hasTrailers = false;
  #bytesBefore = 0;
  /** Of the bodies that the client sends; null until the first. */
  #upload: Pace | null = null;
  #readDeadlineMs = Infinity;

  constructor(socket: Socket, client: ClientFacts, context: ConnectionContext, headTime: HeadTime) {
    this.#socket = socket;
    this.client = client;
    this.clientLines = clientLines(client, 11);
    this.#context = context;
    this.#headMs = headTime.ms;
    this.#writer = new SocketWriter(socket, context.slab, client.scheme === "https");
    this.#decoder = new RequestDecoder(context.limits, this);
    this.deadlineMs = headTime.firstDeadlineMs;
    context.deadlines.add(this);
    socket.on("data", (chunk: Buffer) => this.#onChunk(chunk));
    socket.on("drain", () => this.#onDrain());
    socket.on("end", () => this.#onEof());
    socket.on("error", () => this.#onClosed());
    socket.on("close", () => this.#onClosed());
  }

  get bytesSent(): number {
    return this.#writer.bytes - this.#bytesBefore;
  }

  /** No request is being read or answered. */
  get isIdle(): boolean {
    return this.#exchange === null && this.#decoder.isIdle;
  }

  /** Ends the connection if it rests; otherwise it ends after the exchange under way. */
  drain(): void {
    this.#keepAlive = false;
    this.#isLeaving = true;
    if (this.isIdle && this.#state === "open") this.#leaveInTime();
    else if (this.#state === "tunnel" && this.#context.isDraining()) this.#exchange?.leaveTunnel();
    this.#context.slab.flush();
  }

  destroy(): void {
    // A clean end could pass for the end of a body that runs until the connection closes.
    if (this.#exchange !== null && this.client.scheme === "http") reset(this.#socket);
    else this.#socket.destroy();
    this.#onClosed();
  }

  onHead(head: Http1RequestHead): void {
    this.deadlineMs = Infinity;
    this.#isFresh = false;
    this.#head = head;
    this.#keepAlive = head.keepAlive && !this.#isLeaving && !this.#context.isDraining();
    this.#requestEnded = head.body === "none";
    this.#awaitsContinue = head.expectsContinue && !this.#requestEnded;
    this.#bytesBefore = this.#writer.bytes;
    // A body waits until somebody wants it: the exchange resumes it when a machine is connected.
    if (head.body !== "none") {
      this.#decoder.isPaused = true;
      this.#upload ??= new Pace(this.#context.deadlines, this.#context.timeouts.pace);
      this.#upload.reset();
    }
    const exchange = this.#context.open(this, head);
    this.#exchange = exchange;
    exchange.begin();
  }

  onData(buffer: Buffer, start: number, end: number): void {
    this.#exchange?.onRequestData(buffer, start, end);
  }

  onTrailers(fields: Fields): void {
    this.#exchange?.onRequestTrailers(fields);
  }

  onEnd(): void {
    this.#requestEnded = true;
    // Answered already, in which case the deadline is that of the next request.
    if (this.#exchange === null) return;
    this.#upload?.rest();
    this.#rearm();
    this.#exchange.onRequestEnd();
  }

  sendInterim(head: ResponseHead): void {
    // HTTP/1.0 knows no interim responses (RFC 9110 section 15.2).
    if (this.#head?.version === 11) this.#writer.text(encodeResponseHead(head, ""));
    if (head.status === 100 && this.#awaitsContinue) this.#endWaiting();
  }

  sendHead(head: ResponseHead, own: OwnFacts | null): void {
    const request = this.#head!;
    const isBodyless = request.method === "HEAD" || head.status === 204 || head.status === 304 || head.status === 101;
    this.#chunked = false;
    this.#hasTrailers = false;
    if (!this.#requestEnded) {
      // Nobody waits for the rest of a body that the response did not wait for.
      this.#keepAlive = false;
      // From here on both sides may speak when they like, so it is their silence together that counts: that of the machine.
      this.#upload?.rest();
      this.#rearm();
    }
    let framing = "";
    let keepsLength = false;
    if (head.status === 101) framing = `connection: upgrade\r\nupgrade: ${head.fields.value(head.fields.find(FIELD.upgrade))}\r\n`;
    else if (isBodyless) {
      keepsLength = head.status !== 204;
    } else if (head.fields.find(FIELD.contentLength) !== -1) keepsLength = true;
    else if (head.body === "none" || head.body === "length" || request.version === 11) {
      framing = framingLine(head.body, head.contentLength);
      this.#chunked = head.body === "chunked" || head.body === "until_close";
      if (head.body === "chunked") framing += announcementLine(head.fields);
    } else this.#keepAlive = false;
    const lines = own === null ? framing : ownLines(head, own) + framing;
    this.#writer.text(encodeResponseHead(head, head.status === 101 ? lines : lines + this.#connectionLine(), keepsLength));
  }

  sendData(buffer: Buffer, start: number, end: number): boolean {
    const writer = this.#writer;
    if (this.#chunked) {
      writer.text(chunkStart(end - start));
      writer.copy(buffer, start, end);
      writer.text(CHUNK_END);
    } else writer.copy(buffer, start, end);
    if (writer.isFlowing) return true;
    // It goes on when all that waits has left, which is a full socket's buffer: slow reading has its least rate by that.
    this.#readDeadlineMs = this.#context.deadlines.after(this.#context.timeouts.pace.silenceMs);
    this.#rearm();
    return false;
  }

  /** Whether it said `TE: trailers` or not: who reads chunks reads what may follow them (RFC 9112 section 7.1). */
  sendTrailers(fields: Fields): void {
    if (!this.#chunked) return;
    this.#hasTrailers = true;
    this.#writer.text(lastChunkWithTrailers(fields));
  }

  sendEnd(): void {
    if (this.#chunked) this.#writer.text(this.#hasTrailers ? TRAILERS_END : LAST_CHUNK);
    this.#finish();
  }

  retire(): void {
    this.#keepAlive = false;
  }

  sendOwn(status: number, fields: readonly OwnField[], body: Buffer, mustClose: boolean): void {
    if (mustClose || !this.#requestEnded) this.#keepAlive = false;
    const isHead = this.#head?.method === "HEAD";
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const own = `date: ${new Date().toUTCString()}\r\ncontent-length: ${body.length}\r\n${this.#connectionLine()}`;
    this.#writer.text(`HTTP/1.1 ${status} ${REASON_PHRASES[status] ?? ""}\r\n${lines}${own}\r\n`);
    if (!isHead) this.#writer.copy(body, 0, body.length);
    this.#finish();
  }

  abort(): void {
    // A clean end could pass for the end of a body that runs until the connection closes.
    this.#writer.flush();
    if (this.client.scheme === "http") reset(this.#socket);
    else this.#socket.destroy();
    this.#onClosed();
  }

  pauseBody(): void {
    this.#decoder.isPaused = true;
    this.#socket.pause();
    this.#upload?.rest();
    this.#rearm();
  }

  resumeBody(): void {
    if (!this.#decoder.isPaused) return;
    this.#decoder.isPaused = false;
    this.#waitForBody();
    this.#pumpRest();
  }

  openTunnel(): void {
    this.#state = "tunnel";
    this.#keepAlive = false;
    this.deadlineMs = Infinity;
    const rest = this.#rest;
    this.#rest = null;
    this.#socket.resume();
    if (rest !== null) this.#exchange?.onTunnelInput(rest, 0, rest.length);
    if (this.#hasEnded) this.#onTunnelEof();
  }

  sendTunnelData(buffer: Buffer, start: number, end: number): boolean {
    this.#writer.copy(buffer, start, end);
    return this.#writer.isFlowing;
  }

  endTunnel(): void {
    this.#writer.flush();
    this.#socket.end();
    if (this.#hasEnded) this.#close();
  }

  pauseTunnel(): void {
    this.#socket.pause();
  }

  resumeTunnel(): void {
    this.#socket.resume();
  }

  flush(): void {
    this.#context.slab.flush();
  }

  onDeadline(): void {
    if (this.#state === "lingering") this.#endLingering();
    else if (this.#exchange !== null) this.#exchange.onClientFailed("request_timeout");
    else if (this.#decoder.isIdle) this.#close();
    else this.#refuse("request_timeout");
    this.#context.slab.flush();
  }

  #onChunk(chunk: Buffer): void {
    if (this.#state === "tunnel") this.#exchange?.onTunnelInput(chunk, 0, chunk.length);
    else if (this.#state === "open") this.#pump(chunk);
    const { slab } = this.#context;
    slab.flush();
    if (this.#rest === null) slab.free(chunk);
    else slab.hasPinned = false;
  }

  /** Decodes as far as it goes; what is left waits for its turn. */
  #pump(chunk: Buffer): void {
    if (this.#rest !== null) {
      this.#hold(Buffer.concat([this.#rest, chunk]));
      return;
    }
    if (this.#awaitsContinue && this.#exchange !== null && !this.#decoder.isPaused) this.#endWaiting();
    if (this.#exchange === null && this.#decoder.isIdle) {
      if (!this.#isFresh) this.deadlineMs = this.#context.deadlines.after(this.#headMs);
    } else if (!this.#requestEnded) {
      this.#upload?.moved(chunk.length);
      this.#rearm();
    }
    const position = this.#decode(chunk);
    if (position < chunk.length && this.#isOpen()) this.#hold(position === 0 ? chunk : chunk.subarray(position));
  }

  #decode(chunk: Buffer): number {
    let position = 0;
    this.#isPumping = true;
    try {
      while (position < chunk.length && this.#isOpen()) {
        const taken = this.#decoder.decode(chunk, position, chunk.length);
        // An exchange that ended at once has the decoder ready for the next request, which may be in the same chunk.
        if (taken === position) break;
        position = taken;
      }
    } catch (error) {
      this.#onMalformed(error);
      position = chunk.length;
    }
    this.#isPumping = false;
    return position;
  }

  /** A tunnel or a closed connection decodes nothing more; a call may have made it one. */
  #isOpen(): boolean {
    return this.#state === "open";
  }

  #hold(rest: Buffer): void {
    this.#rest = rest;
    if (rest.length >= HIGHEST_PIPELINED_BYTES || !this.#requestEnded) this.#socket.pause();
  }

  #pumpRest(): void {
    if (this.#isPumping || this.#state !== "open") return;
    const rest = this.#rest;
    this.#rest = null;
    if (rest !== null) this.#pump(rest);
    if (this.#rest === null && this.#isOpen()) {
      this.#socket.resume();
      if (this.#hasEnded) this.#onEof();
    }
  }

  /** It is the client's turn. */
  #endWaiting(): void {
    this.#awaitsContinue = false;
    if (!this.#decoder.isPaused) this.#waitForBody();
  }

  #waitForBody(): void {
    if (!this.#awaitsContinue && !this.#exchange?.responseStarted) this.#upload?.wait();
    this.#rearm();
  }

  /** The response is complete: next request, or the end. */
  #finish(): void {
    this.#exchange = null;
    this.#head = null;
    this.#readDeadlineMs = Infinity;
    this.#upload?.rest();
    if (this.#state !== "open") return;
    if (!this.#keepAlive || !this.#requestEnded) {
      this.#close();
      return;
    }
    this.deadlineMs = this.#context.deadlines.after(this.#context.timeouts.keepAliveMs);
    this.#decoder.next();
    if (this.#rest !== null || this.#hasEnded || this.#socket.isPaused()) this.#pumpRest();
  }

  /**
   * Ends the connection after everything written has left, for which a slow client has as long as for a body; then waits a little for
   * the client to see it. The socket closes by itself once both sides have ended.
   */
  #close(): void {
    const { deadlines, timeouts } = this.#context;
    this.#state = "lingering";
    this.#rest = null;
    this.#writer.flush();
    this.deadlineMs = deadlines.after(timeouts.pace.silenceMs);
    this.#socket.end(() => {
      if (this.#state === "lingering") this.deadlineMs = deadlines.after(LINGER_MS);
    });
    this.#socket.resume();
  }

  #endLingering(): void {
    if (this.#socket.writableFinished) this.destroy();
    else this.abort();
  }

  #onDrain(): void {
    // Without an exchange it was the end of a response, and the deadline is that of the next request.
    if (this.#exchange !== null) {
      this.#readDeadlineMs = Infinity;
      this.#rearm();
      this.#exchange.onClientDrain();
    }
    this.#context.slab.flush();
  }

  /** The client sends no more, but may still read: a request that came whole gets its response. */
  #onEof(): void {
    this.#hasEnded = true;
    if (this.#state === "tunnel") this.#onTunnelEof();
    else if (this.#state === "lingering" || this.#rest !== null) return;
    else if (this.#exchange === null) this.#close();
    else if (!this.#requestEnded) this.#exchange.onClientFailed("client_closed");
    else this.#keepAlive = false;
    this.#context.slab.flush();
  }

  #onTunnelEof(): void {
    this.#exchange?.onTunnelInputEnd();
    if (this.#socket.writableEnded) this.#close();
  }

  #onClosed(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#rest = null;
    this.deadlineMs = Infinity;
    this.#context.deadlines.remove(this);
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.onClientFailed("client_closed");
    this.#context.onClosed(this);
    this.#context.slab.flush();
  }

  #onMalformed(error: unknown): void {
    if (!(error instanceof ProxyError)) throw error;
    if (this.#exchange !== null) this.#exchange.onClientFailed(error.code);
    else this.#refuse(error.code);
  }

  #refuse(code: ErrorCode): void {
    this.#requestEnded = false;
    this.#bytesBefore = this.#writer.bytes;
    this.#context.refuse(this, code);
  }

  /** It leaves and is idle; but the first request of one that has just come may be on its way. */
  #leaveInTime(): void {
    if (this.#isFresh) this.deadlineMs = Math.min(this.deadlineMs, this.#context.deadlines.after(FIRST_REQUEST_MS));
    else this.#close();
  }

  /** In an exchange: when the client will have been waited for too long, with its own body or with that of the response. */
  #rearm(): void {
    this.deadlineMs = Math.min(this.#readDeadlineMs, this.#upload?.deadlineMs ?? Infinity);
  }

  #connectionLine(): string {
    if (!this.#keepAlive) return "connection: close\r\n";
    return this.#head !== null && this.#head.version < 11 ? "connection: keep-alive\r\n" : "";
  }
}
