// Hot path. A client's HTTP/2 connection: frames in, a stream for each request, one write out a turn of the event loop (RFC 9113).
//
//     open ──► draining ──► closing ──► closed        an error of the connection leads from anywhere to closing

import type { Socket } from "node:net";
import { ConnectionError, H2_ERROR } from "../http/http2/connection-error.ts";
import { DEFAULT_WINDOW, FLAG, HIGHEST_STREAM, SETTING } from "../http/http2/frame.ts";
import type { FieldCache } from "../http/http2/field-cache.ts";
import { FrameDecoder, type FrameSink } from "../http/http2/frame-decoder.ts";
import { HpackDecoder } from "../http/http2/hpack-decoder.ts";
import { Http2Fields, Http2RequestHead } from "../http/http2/request-head.ts";
import { RequestReader } from "../http/http2/request-reader.ts";
import type { ResponseEncoder } from "../http/http2/response-encoder.ts";
import type { SettingsChanges } from "../http/http2/peer-settings.ts";
import type { Timed } from "../core/deadlines.ts";
import type { ErrorCode } from "../core/errors.ts";
import { clientLines, type ClientFacts, type ClientLines } from "../upstream/forward.ts";
import type { ClientConnection, ConnectionContext, HeadTime } from "./client-connection.ts";
import { Allowance } from "./http2-flood.ts";
import { Http2Output, type OutputOwner, type OutputPool } from "./http2-output.ts";
import { Http2Sender } from "./http2-sender.ts";
import { Http2Stream, type StreamHost } from "./http2-stream.ts";

/** What the HTTP/2 connections of a worker share beyond what those of HTTP/1.1 do. */
export interface Http2Shared {
  readonly outputs: OutputPool;
  readonly cache: FieldCache;
  readonly responses: ResponseEncoder;
  /** Heads of requests that are over, to be filled again. */
  readonly heads: Http2RequestHead[];
  readonly maxStreams: number;
}

type State = "open" | "draining" | "closing" | "closed";

/** What a client may send ahead on all streams together, which is the most that the edge ever holds of a connection. */
const CONNECTION_WINDOW = 1024 * 1024;
const MOST_FREE_HEADS = 512;
/** Streams of this side's making that the client may not have heard of yet. */
const MOST_REMEMBERED = 1024;
/** Streams that the client reset, or that had to be: a page that is left behind, but not one after the other (CVE-2023-44487). */
const RESETS = { most: 200, perSecond: 33 };
/** Frames that carry nothing. */
const EMPTY_FRAMES = { most: 1000, perSecond: 200 };
/** So many bytes of body make a WINDOW_UPDATE worth its while. */
const BYTES_A_FRAME = 1024;
/** How long a client has to take note that no more streams are welcome before they are refused. */
const NOTICE_MS = 1000;
/** After the last frame the client's unread bytes are swallowed for this long, so that a reset does not destroy it. */
const LINGER_MS = 2000;
const MOST_LINGERING_BYTES = 1024 * 1024;
const PING_DATA = Buffer.alloc(8);

export class Http2Connection implements ClientConnection, FrameSink, StreamHost, OutputOwner, SettingsChanges, Timed {
  deadlineMs: number;
  readonly client: ClientFacts;
  readonly clientLines: ClientLines;
  account: object | null = null;
  readonly protocol: string = "HTTP/2.0";
  /** None that belong to no stream are counted. */
  readonly bytesSent: number = 0;
  readonly sender: Http2Sender;
  readonly responses: ResponseEncoder;
  readonly #socket: Socket;
  readonly #context: ConnectionContext;
  readonly #headMs: number;
  readonly #shared: Http2Shared;
  readonly #decoder: FrameDecoder;
  readonly #hpack: HpackDecoder;
  readonly #reader: RequestReader;
  readonly #streams = new Map<number, Http2Stream>();
  readonly #resets: Allowance;
  readonly #emptyFrames: Allowance;
  #state: State = "open";
  #lastStreamId = 0;
  /** Streams above this one are not looked at any more. */
  #highestStreamId = HIGHEST_STREAM;
  /** Streams that this side ended before the client did: what it sent before it knew is not held against it. */
  readonly #endedHere = new Set<number>();
  #receiveWindow = CONNECTION_WINDOW;
  #consumed = 0;
  /** The stream of the DATA frame under way; null when its bytes are of no use. */
  #dataStream: Http2Stream | null = null;
  #dataLength = 0;
  /** What of that frame no stream has got. */
  #dataBytes = 0;
  /** What of `sender.bodyBytes` was turned into allowance. */
  #bytesAllowed = 0;
  #lingeringBytes = 0;
  #idleDeadlineMs: number;
  #frameDeadlineMs = Infinity;
  #writeDeadlineMs = Infinity;
  #noticeDeadlineMs = Infinity;

  constructor(socket: Socket, client: ClientFacts, context: ConnectionContext, shared: Http2Shared, headTime: HeadTime) {
    const { deadlines, limits } = context;
    this.#socket = socket;
    this.client = client;
    this.clientLines = clientLines(client, 20);
    this.#context = context;
    this.#headMs = headTime.ms;
    this.#shared = shared;
    this.responses = shared.responses;
    this.sender = new Http2Sender(new Http2Output(socket, shared.outputs, client.scheme === "https", this));
    this.#decoder = new FrameDecoder(this, { blockBytes: 2 * limits.headBytes });
    this.#hpack = new HpackDecoder({ cache: shared.cache, listBytes: limits.headBytes, maxFields: limits.headers });
    this.#reader = new RequestReader(client.scheme, limits);
    this.#resets = new Allowance(RESETS.most, RESETS.perSecond, deadlines.nowMs);
    this.#emptyFrames = new Allowance(EMPTY_FRAMES.most, EMPTY_FRAMES.perSecond, deadlines.nowMs);
    this.#idleDeadlineMs = headTime.firstDeadlineMs;
    this.deadlineMs = this.#idleDeadlineMs;
    deadlines.add(this);
    this.sender.settings([
      [SETTING.maxConcurrentStreams, shared.maxStreams],
      [SETTING.maxHeaderListSize, limits.headBytes],
      [SETTING.enableConnectProtocol, 1],
      [SETTING.noRfc7540Priorities, 1],
    ]);
    this.sender.windowUpdate(0, CONNECTION_WINDOW - DEFAULT_WINDOW);
    socket.on("data", (chunk: Buffer) => this.#onChunk(chunk));
    socket.on("end", () => this.#onEof());
    socket.on("error", () => this.#onClosed());
    socket.on("close", () => this.#onClosed());
  }

  /** Frames are read until the connection closes. */
  get isReading(): boolean {
    return this.#state === "open" || this.#state === "draining";
  }

  get isIdle(): boolean {
    return this.#streams.size === 0;
  }

  /** Ends the connection if it rests; otherwise tells the client to open no more streams, and ends after those there are. */
  drain(): void {
    if (this.#state !== "open") return;
    this.#state = "draining";
    if (this.isIdle) return this.#close(H2_ERROR.noError);
    // What the client sent before it hears of this is still served: the answer to the ping comes after all of that (RFC 9113 section 6.8).
    this.sender.goaway(HIGHEST_STREAM, H2_ERROR.noError);
    this.sender.ping(FLAG.none, PING_DATA, 0);
    this.#noticeDeadlineMs = this.#context.deadlines.after(NOTICE_MS);
    this.wakeBy(this.#noticeDeadlineMs);
  }

  destroy(): void {
    this.#socket.destroy();
    this.#onClosed();
  }

  onHeaders(streamId: number, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    if (streamId % 2 === 0) throw new ConnectionError(H2_ERROR.protocolError, "a client's streams have odd numbers");
    if (streamId > this.#lastStreamId) this.#onRequest(streamId, buffer, start, end, endStream);
    else this.#onTrailers(streamId, buffer, start, end, endStream);
  }

  onDataStart(streamId: number, length: number): void {
    this.#dataStream = null;
    this.#dataLength = length;
    this.#dataBytes = length;
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) throw new ConnectionError(H2_ERROR.flowControlError, "more than the window of the connection");
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return this.#expectEnded(streamId);
    if (stream.remoteEnded) return this.#failStream(stream, H2_ERROR.streamClosed);
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) return this.#failStream(stream, H2_ERROR.flowControlError);
    this.#dataStream = stream;
  }

  onData(_streamId: number, buffer: Buffer, start: number, end: number): void {
    const stream = this.#dataStream;
    if (stream === null || stream.isClosed) return;
    this.#dataBytes -= end - start;
    if (!stream.onData(buffer, start, end)) {
      this.credit(end - start);
      this.#failStream(stream, H2_ERROR.protocolError);
    }
  }

  onDataEnd(streamId: number, padding: number, endStream: boolean): void {
    const stream = this.#dataStream;
    this.#dataStream = null;
    if (padding === this.#dataLength && !endStream) this.#countEmptyFrame();
    if (stream === null || stream.isClosed) {
      if (this.#dataBytes > 0) this.credit(this.#dataBytes);
      if (endStream) this.#endedHere.delete(streamId);
      return;
    }
    if (padding > 0) stream.onPadding(padding);
    if (endStream && !stream.onRemoteEnd(null)) this.#failStream(stream, H2_ERROR.protocolError);
  }

  onReset(streamId: number): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#expectOpened(streamId);
      this.#endedHere.delete(streamId);
      this.#countEmptyFrame();
      return;
    }
    stream.remoteEnded = true;
    stream.onGone("client_closed");
    this.#countReset();
  }

  onSettings(buffer: Buffer, start: number, end: number): void {
    this.#countEmptyFrame();
    this.sender.peer.read(buffer, start, end, this);
    this.sender.settingsAck();
    this.sender.pump();
  }

  onHeaderTableSize(bytes: number): void {
    this.sender.encoder.setTableLimit(bytes);
  }

  onInitialWindow(difference: number): void {
    for (const stream of this.#streams.values()) {
      if (!stream.widen(difference)) throw new ConnectionError(H2_ERROR.flowControlError, "the window of a stream is too large");
    }
  }

  onSettingsAck(): void {
    this.#countEmptyFrame();
  }

  onPing(buffer: Buffer, start: number): void {
    this.#countEmptyFrame();
    this.sender.ping(FLAG.ack, buffer, start);
  }

  onPingAck(): void {
    this.#countEmptyFrame();
    if (this.#noticeDeadlineMs !== Infinity) this.#announceEnd();
  }

  /** The client opens no more streams; those it has go on. */
  onGoaway(): void {
    this.#countEmptyFrame();
    if (this.#state === "open") this.drain();
  }

  onWindowUpdate(streamId: number, increment: number): void {
    this.#countWindowUpdate();
    if (streamId === 0) {
      if (increment === 0) throw new ConnectionError(H2_ERROR.protocolError, "a window is widened by nothing");
      return this.sender.widen(increment);
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#expectOpened(streamId);
    else if (increment === 0) this.#failStream(stream, H2_ERROR.protocolError);
    else if (stream.widen(increment)) this.sender.pump();
    else this.#failStream(stream, H2_ERROR.flowControlError);
  }

  onIgnored(): void {
    this.#countEmptyFrame();
  }

  wakeBy(deadlineMs: number): void {
    if (deadlineMs < this.deadlineMs) this.deadlineMs = deadlineMs;
  }

  clientDeadline(): number {
    return this.#context.deadlines.after(this.#context.timeouts.clientIdleMs);
  }

  credit(bytes: number): void {
    this.#consumed += bytes;
    if (this.#consumed < CONNECTION_WINDOW / 2 || !this.isReading) return;
    this.sender.windowUpdate(0, this.#consumed);
    this.#receiveWindow += this.#consumed;
    this.#consumed = 0;
  }

  onClosed(stream: Http2Stream): void {
    this.#streams.delete(stream.id);
    if (!stream.remoteEnded) this.#remember(stream.id);
    this.#release(stream.head);
    if (this.#streams.size > 0) return;
    if (this.#state === "draining") this.#close(H2_ERROR.noError);
    else {
      this.#idleDeadlineMs = this.#context.deadlines.after(this.#context.timeouts.keepAliveMs);
      this.wakeBy(this.#idleDeadlineMs);
    }
  }

  flush(): void {
    this.#context.slab.flush();
  }

  onWritten(): void {
    this.#writeDeadlineMs = Infinity;
    this.sender.pump();
  }

  onBlocked(): void {
    if (this.#writeDeadlineMs !== Infinity) return;
    this.#writeDeadlineMs = this.clientDeadline();
    this.wakeBy(this.#writeDeadlineMs);
  }

  onDeadline(): void {
    const { nowMs } = this.#context.deadlines;
    if (this.#writeDeadlineMs <= nowMs || this.#state === "closing") return this.destroy();
    if (this.#noticeDeadlineMs <= nowMs) this.#announceEnd();
    if (this.#frameDeadlineMs <= nowMs) this.#fail(H2_ERROR.enhanceYourCalm, "request_timeout");
    else if (this.isIdle && this.#idleDeadlineMs <= nowMs) this.#close(H2_ERROR.noError);
    else this.#askStreams(nowMs);
    this.#context.slab.flush();
  }

  #onRequest(streamId: number, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const head = this.#shared.heads.pop() ?? new Http2RequestHead();
    const { list } = head.fields;
    list.clear();
    // Also if nobody looks at it: the table of names and values goes on with every block.
    this.#hpack.decode(buffer, start, end, list);
    if (streamId > this.#highestStreamId) return this.#release(head);
    this.#lastStreamId = streamId;
    const verdict = this.#reader.read(head, endStream);
    const isFull = this.#streams.size >= this.#shared.maxStreams;
    if (isFull || verdict === "malformed") {
      this.#release(head);
      if (isFull) this.#refuseStream(streamId, endStream, H2_ERROR.refusedStream, null);
      else this.#refuseStream(streamId, endStream, H2_ERROR.protocolError, "bad_stream");
      return;
    }
    this.#emptyFrames.add(2);
    const stream = new Http2Stream(this, streamId, head, endStream, this.sender.peer.initialWindow);
    this.#streams.set(streamId, stream);
    if (verdict === "ok") {
      const exchange = this.#context.open(stream, head);
      stream.exchange = exchange;
      exchange.begin();
    } else this.#context.refuse(stream, verdict);
  }

  #onTrailers(streamId: number, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const fields = new Http2Fields();
    this.#hpack.decode(buffer, start, end, fields.list);
    const stream = this.#streams.get(streamId);
    const { limits } = this.#context;
    if (stream === undefined) {
      if (!this.#endedHere.has(streamId)) throw new ConnectionError(H2_ERROR.streamClosed, "a header block on a stream that ended");
      if (endStream) this.#endedHere.delete(streamId);
    } else if (stream.remoteEnded) this.#failStream(stream, H2_ERROR.streamClosed);
    else if (!endStream || !fields.keepTrailers(limits.trailers, limits.underscores)) this.#failStream(stream, H2_ERROR.protocolError);
    else if (!stream.onRemoteEnd(fields.count === 0 ? null : fields)) this.#failStream(stream, H2_ERROR.protocolError);
  }

  #release(head: Http2RequestHead): void {
    if (this.#shared.heads.length < MOST_FREE_HEADS) this.#shared.heads.push(head);
  }

  /** A stream that never comes to be. */
  #refuseStream(streamId: number, endStream: boolean, h2Code: number, code: ErrorCode | null): void {
    this.sender.reset(streamId, h2Code);
    if (!endStream) this.#remember(streamId);
    if (code !== null) this.#context.report(this, code);
    this.#countReset();
  }

  /** An error of one stream (RFC 9113 section 5.4.2). */
  #failStream(stream: Http2Stream, h2Code: number): void {
    stream.fail(h2Code, "bad_stream");
    this.#countReset();
  }

  #remember(streamId: number): void {
    const ended = this.#endedHere;
    ended.add(streamId);
    if (ended.size <= MOST_REMEMBERED) return;
    for (const oldest of ended) {
      ended.delete(oldest);
      return;
    }
  }

  /** Throws for a stream that was never opened. One that was opened after the end was announced is like one that ended. */
  #expectOpened(streamId: number): void {
    const isTooLate = streamId > this.#highestStreamId;
    if (streamId % 2 === 0 || (streamId > this.#lastStreamId && !isTooLate)) {
      throw new ConnectionError(H2_ERROR.protocolError, "a frame on a stream that was never opened");
    }
  }

  /** DATA on a stream that is not open: fine if this side ended it, and the client could not know yet (RFC 9113 section 5.1). */
  #expectEnded(streamId: number): void {
    this.#expectOpened(streamId);
    if (streamId > this.#highestStreamId) return;
    if (!this.#endedHere.has(streamId)) throw new ConnectionError(H2_ERROR.streamClosed, "DATA on a stream that ended");
  }

  #countReset(): void {
    if (!this.#resets.take(this.#context.deadlines.nowMs))
      throw new ConnectionError(H2_ERROR.enhanceYourCalm, "too many streams came to nothing");
  }

  #countEmptyFrame(): void {
    if (!this.#emptyFrames.take(this.#context.deadlines.nowMs))
      throw new ConnectionError(H2_ERROR.enhanceYourCalm, "too many frames that carry nothing");
  }

  /** Who downloads much has to send many of them. */
  #countWindowUpdate(): void {
    const sent = this.sender.bodyBytes - this.#bytesAllowed;
    if (sent >= BYTES_A_FRAME) {
      this.#emptyFrames.add(sent / BYTES_A_FRAME);
      this.#bytesAllowed += sent;
    }
    this.#countEmptyFrame();
  }

  #onChunk(chunk: Buffer): void {
    if (this.isReading) {
      try {
        this.#decoder.decode(chunk);
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
        this.#fail(error.code, error.code === H2_ERROR.enhanceYourCalm ? "client_flood" : "bad_connection");
      }
      this.#watchFrame();
    } else if ((this.#lingeringBytes += chunk.length) > MOST_LINGERING_BYTES) this.destroy();
    this.#context.slab.flush();
  }

  /** A frame that is not complete has as long as a request's head; the body of an open stream has its own time. */
  #watchFrame(): void {
    if (!this.isReading) return;
    const isWhole = this.#decoder.isBetweenFrames || (this.#dataStream !== null && !this.#dataStream.isClosed);
    if (isWhole) this.#frameDeadlineMs = Infinity;
    else if (this.#frameDeadlineMs === Infinity) {
      this.#frameDeadlineMs = this.#context.deadlines.after(this.#headMs);
      this.wakeBy(this.#frameDeadlineMs);
    }
  }

  #askStreams(nowMs: number): void {
    for (const stream of this.#streams.values()) if (stream.deadlineMs <= nowMs) stream.onDeadline();
    if (!this.isReading) return;
    let next = Math.min(this.#frameDeadlineMs, this.#writeDeadlineMs, this.#noticeDeadlineMs);
    if (this.isIdle) next = Math.min(next, this.#idleDeadlineMs);
    for (const stream of this.#streams.values()) next = Math.min(next, stream.deadlineMs);
    this.deadlineMs = next;
  }

  #announceEnd(): void {
    this.#noticeDeadlineMs = Infinity;
    this.#highestStreamId = this.#lastStreamId;
    this.sender.goaway(this.#lastStreamId, H2_ERROR.noError);
  }

  /** An error of the connection (RFC 9113 section 5.4.1). */
  #fail(h2Code: number, code: ErrorCode): void {
    if (!this.isReading) return;
    this.#context.report(this, code);
    this.#close(h2Code);
  }

  #close(h2Code: number): void {
    if (!this.isReading) return;
    const { deadlines, timeouts } = this.#context;
    this.sender.goaway(this.#lastStreamId, h2Code);
    this.#state = "closing";
    this.#endStreams(h2Code === H2_ERROR.noError ? "client_closed" : "bad_connection");
    this.deadlineMs = deadlines.after(timeouts.clientIdleMs);
    this.sender.output.end(() => {
      if (this.#state === "closing") this.deadlineMs = deadlines.after(LINGER_MS);
    });
  }

  #endStreams(code: ErrorCode): void {
    for (const stream of this.#streams.values()) stream.onGone(code);
  }

  /** The client sends no more, but may still read: requests that came whole get their responses. */
  #onEof(): void {
    if (this.#state === "closing") return;
    if (this.#state === "open") this.drain();
    for (const stream of this.#streams.values()) if (!stream.remoteEnded) stream.onGone("client_closed");
    this.#context.slab.flush();
  }

  #onClosed(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#frameDeadlineMs = Infinity;
    this.deadlineMs = Infinity;
    this.#context.deadlines.remove(this);
    this.#endStreams("client_closed");
    this.sender.output.discard();
    this.#context.onClosed(this);
    this.#context.slab.flush();
  }
}
