// Hot path. The streams of a client's HTTP/2 connection, and what each frame of the client's means for them (RFC 9113 sections 5, 6 and 8).

import { ConnectionError, H2_ERROR } from "../http/http2/connection-error.ts";
import { EmptyFrames, type EmptyFramesLimits } from "../http/http2/empty-frames.ts";
import type { FieldCache } from "../http/http2/field-cache.ts";
import { DEFAULT_WINDOW, FLAG, HIGHEST_STREAM } from "../http/http2/frame.ts";
import type { FrameSink } from "../http/http2/frame-decoder.ts";
import { HpackDecoder } from "../http/http2/hpack-decoder.ts";
import { Http2Fields, Http2RequestHead } from "../http/http2/request-head.ts";
import { RequestReader } from "../http/http2/request-reader.ts";
import type { ResponseEncoder } from "../http/http2/response-encoder.ts";
import type { AddressAllowances } from "../core/address-allowances.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { ClientFacts, ClientLines } from "../upstream/forward.ts";
import type { ConnectionContext, Sender } from "./client-connection.ts";
import type { OutputPool } from "../upstream/http2-output.ts";
import type { Http2Sender } from "../upstream/http2-sender.ts";
import { Http2Resets } from "./http2-resets.ts";
import { Http2Stream, type StreamHost } from "./http2-stream.ts";
import { Pace } from "./pace.ts";

/** What the HTTP/2 connections of a worker share beyond what those of HTTP/1.1 do. */
export interface Http2Shared {
  readonly outputs: OutputPool;
  readonly cache: FieldCache;
  readonly responses: ResponseEncoder;
  /** Heads of requests that are over, to be filled again. */
  readonly heads: Http2RequestHead[];
  readonly maxStreams: number;
  /** Streams that come to nothing, of each client's address. */
  readonly resets: AddressAllowances;
}

/** The connection, as the streams of it see it. */
export interface StreamsOwner extends Sender {
  readonly clientLines: ClientLines;
  account: object | null;
  /** Frames are wanted. */
  readonly isReading: boolean;
  wakeBy(deadlineMs: number): void;
  onPingAck(): void;
  onGoaway(): void;
  /** Ends after the streams that there are. */
  drain(): void;
  /** No stream is left. */
  onIdle(): void;
}

/** What a client may send ahead on all streams together, which is the most that the edge ever holds of a connection. */
const CONNECTION_WINDOW = 1024 * 1024;
const MOST_FREE_HEADS = 512;
/** Streams of this side's making that the client may not have heard of yet. */
const MOST_REMEMBERED = 1024;
const EMPTY_FRAMES: EmptyFramesLimits = { most: 1000, perSecond: 200, perRequest: 2, bytesPerFrame: 1024 };

export class Http2Streams implements FrameSink, StreamHost {
  readonly client: ClientFacts;
  readonly clientLines: ClientLines;
  readonly sender: Http2Sender;
  readonly responses: ResponseEncoder;
  readonly #owner: StreamsOwner;
  readonly #context: ConnectionContext;
  readonly #shared: Http2Shared;
  readonly #hpack: HpackDecoder;
  readonly #reader: RequestReader;
  readonly #emptyFrames: EmptyFrames;
  readonly #resets: Http2Resets;
  readonly #streams = new Map<number, Http2Stream>();
  /** Those that no exchange was opened for yet. */
  #opened: Http2Stream[] = [];
  #lastStreamId = 0;
  /** Streams above this one are not looked at any more. */
  #highestStreamId = HIGHEST_STREAM;
  /** Streams that this side ended before the client did: what it sent before it knew is not held against it. */
  readonly #endedHere = new Set<number>();
  clientEnded = false;
  #receiveWindow = CONNECTION_WINDOW;
  #consumed = 0;
  /** The stream of the DATA frame under way; null when its bytes are of no use. */
  #dataStream: Http2Stream | null = null;
  #dataLength = 0;
  /** What of that frame no stream has got. */
  #dataBytes = 0;

  constructor(owner: StreamsOwner, sender: Http2Sender, context: ConnectionContext, shared: Http2Shared) {
    const { limits, deadlines } = context;
    this.client = owner.client;
    this.clientLines = owner.clientLines;
    this.sender = sender;
    this.responses = shared.responses;
    this.#owner = owner;
    this.#context = context;
    this.#shared = shared;
    this.#hpack = new HpackDecoder({ cache: shared.cache, listBytes: limits.headBytes, maxFields: limits.headers });
    this.#reader = new RequestReader(owner.client.scheme, limits);
    this.#emptyFrames = new EmptyFrames(EMPTY_FRAMES, deadlines);
    this.#resets = new Http2Resets(deadlines, shared.resets.of(owner.client.ip, deadlines.nowMs));
    sender.windowUpdate(0, CONNECTION_WINDOW - DEFAULT_WINDOW);
  }

  get account(): object | null {
    return this.#owner.account;
  }

  set account(account: object | null) {
    this.#owner.account = account;
  }

  get isReading(): boolean {
    return this.#owner.isReading;
  }

  get isEmpty(): boolean {
    return this.#streams.size === 0;
  }

  /** Of the streams that were opened. */
  get lastStreamId(): number {
    return this.#lastStreamId;
  }

  /** Does a DATA frame come in that somebody waits for? */
  get isTakingData(): boolean {
    return this.#dataStream !== null && !this.#dataStream.isClosed;
  }

  /** Streams that are opened from now on are not looked at. */
  refuseNew(): void {
    this.#highestStreamId = this.#lastStreamId;
  }

  /** The connection is over, or will be without them. */
  endAll(code: ErrorCode): void {
    for (const stream of this.#streams.values()) stream.onGone(code);
  }

  /** The client sends no more: requests that came whole get their responses, as far as its windows are open. */
  onClientEnd(): void {
    this.clientEnded = true;
    for (const stream of this.#streams.values()) if (!stream.remoteEnded) stream.onGone("client_closed");
    this.endStuck();
  }

  /** Ends those whose response waits for a window that nobody is left to widen. */
  endStuck(): void {
    if (!this.clientEnded) return;
    for (const stream of this.#streams.values()) {
      const isStuck = stream.held.length > 0 && Math.min(stream.sendWindow, this.sender.window) <= 0;
      if (isStuck) stream.onGone("client_closed");
    }
  }

  /** Tunnels end as soon as their protocol allows. */
  leaveTunnels(): void {
    for (const { exchange } of this.#streams.values()) exchange?.leaveTunnel();
  }

  /** Ends those that the client kept waiting too long; returns when to ask again. */
  ask(nowMs: number): number {
    this.endStuck();
    for (const stream of this.#streams.values()) if (stream.deadlineMs <= nowMs) stream.onDeadline();
    let next = Infinity;
    for (const stream of this.#streams.values()) next = Math.min(next, stream.deadlineMs);
    return next;
  }

  wakeBy(deadlineMs: number): void {
    this.#owner.wakeBy(deadlineMs);
  }

  pace(): Pace {
    return new Pace(this.#context.deadlines, this.#context.timeouts.pace);
  }

  retire(): void {
    this.#owner.drain();
  }

  flush(): void {
    this.#context.slab.flush();
  }

  /**
   * Opens the exchanges of the requests that came in a chunk, once all of it is read: for those that the same chunk took back nobody
   * else has to do anything.
   */
  begin(): void {
    if (this.#opened.length === 0) return;
    const opened = this.#opened;
    this.#opened = [];
    for (let i = 0; i < opened.length; i++) {
      const stream = opened[i]!;
      if (stream.isClosed) continue;
      const exchange = this.#context.open(stream, stream.head);
      stream.exchange = exchange;
      exchange.begin();
    }
  }

  onClosed(stream: Http2Stream): void {
    this.#streams.delete(stream.id);
    if (!stream.remoteEnded) this.#remember(stream.id);
    this.#release(stream.head);
    if (this.#streams.size === 0) this.#owner.onIdle();
  }

  onPingAck(): void {
    this.#emptyFrames.onFrame();
    this.#owner.onPingAck();
  }

  onGoaway(): void {
    this.#emptyFrames.onFrame();
    this.#owner.onGoaway();
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

  onData(buffer: Buffer, start: number, end: number): void {
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
    if (padding === this.#dataLength && !endStream) this.#emptyFrames.onFrame();
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
      this.#emptyFrames.onFrame();
      return;
    }
    stream.remoteEnded = true;
    stream.onGone("client_closed");
    this.#resets.onReset();
  }

  onSettings(buffer: Buffer, start: number, end: number): void {
    this.#emptyFrames.onFrame();
    this.sender.onSettings(buffer, start, end, this.#streams);
  }

  onSettingsAck(): void {
    this.#emptyFrames.onFrame();
  }

  onPing(buffer: Buffer, start: number): void {
    this.#emptyFrames.onFrame();
    this.sender.ping(FLAG.ack, buffer, start);
  }

  onWindowUpdate(streamId: number, increment: number): void {
    this.#emptyFrames.onWindowUpdate(this.sender.bodyBytes);
    if (streamId === 0) return this.sender.widen(increment);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#expectOpened(streamId);
    else if (increment === 0) this.#failStream(stream, H2_ERROR.protocolError);
    else if (!this.sender.widenStream(stream, increment)) this.#failStream(stream, H2_ERROR.flowControlError);
  }

  onIgnored(): void {
    this.#emptyFrames.onFrame();
  }

  credit(bytes: number): void {
    this.#consumed += bytes;
    if (this.#consumed < CONNECTION_WINDOW / 2 || !this.isReading) return;
    this.sender.windowUpdate(0, this.#consumed);
    this.#receiveWindow += this.#consumed;
    this.#consumed = 0;
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
    this.#emptyFrames.onRequest();
    const stream = new Http2Stream(this, streamId, head, endStream, this.sender.peer.initialWindow);
    this.#streams.set(streamId, stream);
    if (verdict === "ok") this.#opened.push(stream);
    else this.#context.refuse(stream, verdict);
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
    if (code !== null) this.#context.report(this.#owner, code);
    this.#resets.onReset();
  }

  /** An error of one stream (RFC 9113 section 5.4.2). */
  #failStream(stream: Http2Stream, h2Code: number): void {
    stream.fail(h2Code, "bad_stream");
    this.#resets.onReset();
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
}
