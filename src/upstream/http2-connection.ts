// Hot path. An HTTP/2 connection to a machine, without TLS and with prior knowledge (RFC 9113 section 3.3): many exchanges at a time,
// each on a stream of its own.
//
//     connecting ──► greeting ──► open ──► closed        greeting: no stream begins before the machine has sent its settings

import { connect, type Socket } from "node:net";
import { ConnectionError, H2_ERROR } from "../http/http2/connection-error.ts";
import { EmptyFrames, type EmptyFramesLimits } from "../http/http2/empty-frames.ts";
import type { FieldCache } from "../http/http2/field-cache.ts";
import { DEFAULT_WINDOW, FLAG, HIGHEST_STREAM, PREFACE, SETTING } from "../http/http2/frame.ts";
import { FrameDecoder, type FrameSink } from "../http/http2/frame-decoder.ts";
import { HpackDecoder } from "../http/http2/hpack-decoder.ts";
import { RequestEncoder } from "../http/http2/request-encoder.ts";
import { Http2ResponseHead } from "../http/http2/response-head.ts";
import type { Address } from "../core/app.ts";
import type { Timed } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import type { UpstreamContext } from "./connection.ts";
import { outliveFailedWrites } from "./failed-writes.ts";
import { connectFailure, connectionFailure } from "./failures.ts";
import type { AddedField } from "./forward.ts";
import { Http2Output, type OutputOwner, type OutputPool } from "./http2-output.ts";
import { Http2Sender } from "./http2-sender.ts";
import { STREAM_WINDOW, type Http2UpstreamStream, type UpstreamStreamHost } from "./http2-stream.ts";

/** What the HTTP/2 connections of a worker share, those of clients included. */
export interface Http2UpstreamShared {
  readonly outputs: OutputPool;
  readonly cache: FieldCache;
}

export interface Http2ConnectionOwner {
  onConnected(seconds: number): void;
  /** The machine takes so many streams on a connection. */
  onGreeted(maxStreams: number): void;
  /** The stream came before the machine had said how many it takes, and is one too many here. */
  onSurplus(stream: Http2UpstreamStream): void;
  onClosed(connection: Http2UpstreamConnection, wasConnected: boolean, wasOpen: boolean): void;
}

type State = "connecting" | "greeting" | "open" | "closed";

/** What a machine may send ahead on all streams together; each stream has a bound of its own. */
const CONNECTION_WINDOW = 16 * 1024 * 1024;
/** Streams on one connection, however many the machine would take (RFC 9113 section 6.5.2 recommends no fewer). */
const MOST_STREAMS = 100;
/** Wider than what a client may: some servers measure the connection with PING, and give back windows in small change. */
const EMPTY_FRAMES: EmptyFramesLimits = { most: 10_000, perSecond: 1000, perRequest: 64, bytesPerFrame: 64 };
/** After this much silence the kernel asks the machine whether it is still there. */
const KEEP_ALIVE_MS = 60_000;

export class Http2UpstreamConnection implements FrameSink, OutputOwner, Timed, UpstreamStreamHost {
  deadlineMs: number;
  readonly name: string;
  readonly sender: Http2Sender;
  readonly context: UpstreamContext;
  readonly #owner: Http2ConnectionOwner;
  readonly #socket: Socket;
  readonly #decoder: FrameDecoder;
  readonly #hpack: HpackDecoder;
  readonly #requests: RequestEncoder;
  readonly #head = new Http2ResponseHead();
  readonly #streams = new Map<number, Http2UpstreamStream>();
  readonly #emptyFrames: EmptyFrames;
  /** Exchanges that came before the connection was open. */
  #waiting: Http2UpstreamStream[] = [];
  #state: State = "connecting";
  /** It takes no more streams, and ends after those that it has. */
  #isLeaving = false;
  /** Streams that the machine is believed to take, until it says so. */
  readonly #expectedStreams: number;
  #nextId = 1;
  #receiveWindow = CONNECTION_WINDOW;
  #consumed = 0;
  /** The stream of the DATA frame under way; null when its bytes are of no use. */
  #dataStream: Http2UpstreamStream | null = null;
  #dataLength = 0;
  /** By the clock of the deadlines. */
  #lastReadMs = 0;
  readonly #dialedAtMs = performance.now();

  constructor(
    context: UpstreamContext,
    shared: Http2UpstreamShared,
    owner: Http2ConnectionOwner,
    { host, port }: Address,
    expectedStreams: number,
  ) {
    const { deadlines, timeouts, limits, readBuffer } = context;
    this.context = context;
    this.#owner = owner;
    this.name = `${host}:${port}`;
    this.#expectedStreams = expectedStreams;
    this.#emptyFrames = new EmptyFrames(EMPTY_FRAMES, deadlines);
    this.#requests = new RequestEncoder(shared.cache);
    this.#decoder = new FrameDecoder(this, { sender: "server", blockBytes: 2 * limits.headBytes });
    this.#hpack = new HpackDecoder({ cache: shared.cache, listBytes: limits.headBytes, maxFields: limits.headers });
    this.deadlineMs = deadlines.after(timeouts.connectMs);
    deadlines.add(this);
    const onread = { buffer: readBuffer, callback: (bytes: number, buffer: Uint8Array) => this.#onRead(buffer as Buffer, bytes) };
    this.#socket = connect({
      host,
      port,
      onread,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      autoSelectFamily: false,
    });
    this.sender = new Http2Sender(new Http2Output(this.#socket, shared.outputs, false, this));
    outliveFailedWrites(this.#socket, () => this.leave());
    this.#socket.on("connect", () => this.#onConnect());
    // What has not left by then may never leave: nobody waits for it.
    this.#socket.on("end", () => this.#fail(new ProxyError("upstream_closed")));
    this.#socket.on("error", (error) => this.#onError(error));
    this.#socket.on("close", () => this.#fail(new ProxyError("upstream_closed")));
  }

  /** May another exchange begin here? Not where what is sent is not read either. */
  get hasRoom(): boolean {
    if (this.#isLeaving || this.#state === "closed" || this.#nextId >= HIGHEST_STREAM || !this.sender.output.isFlowing) return false;
    return this.#streams.size + this.#waiting.length < this.#maxStreams;
  }

  get isReading(): boolean {
    return this.#state === "greeting" || this.#state === "open";
  }

  /** Opens a stream for the exchange, at once or as soon as the machine has said how many it takes. */
  carry(stream: Http2UpstreamStream): void {
    stream.join(this);
    if (this.#state === "open") this.#open(stream);
    else this.#waiting.push(stream);
  }

  /** Takes no more streams, and ends after those that it has. */
  leave(): void {
    this.#isLeaving = true;
    if (this.#streams.size + this.#waiting.length === 0) this.destroy();
  }

  destroy(): void {
    if (this.#state === "closed") return;
    const wasConnected = this.#state !== "connecting";
    const wasOpen = this.#state === "open";
    this.#state = "closed";
    this.deadlineMs = Infinity;
    this.context.deadlines.remove(this);
    this.sender.output.discard();
    this.#socket.destroy();
    this.#owner.onClosed(this, wasConnected, wasOpen);
  }

  onDeadline(): void {
    if (this.#state === "connecting") this.#fail(new ProxyError("connect_timeout", `"${this.name}" did not accept the connection in time`));
    else if (this.#state === "greeting") this.#fail(new ProxyError("upstream_timeout", `"${this.name}" did not send its settings in time`));
    else if (this.#streams.size === 0) this.destroy();
    this.flush();
  }

  onSilence(sinceMs: number): void {
    if (this.#lastReadMs <= sinceMs) this.leave();
  }

  sendTrailers(stream: Http2UpstreamStream, trailers: readonly AddedField[]): void {
    this.#requests.trailers(this.sender.beginBlock(), trailers);
    this.sender.endBlock(stream.id, true);
  }

  onClosed(stream: Http2UpstreamStream): void {
    if (stream.id !== 0) this.#streams.delete(stream.id);
    else if (this.#waiting.includes(stream)) this.#waiting.splice(this.#waiting.indexOf(stream), 1);
    if (this.#streams.size + this.#waiting.length > 0 || this.#state === "closed") return;
    if (this.#isLeaving) this.destroy();
    else if (this.#state === "open") this.deadlineMs = this.context.deadlines.after(this.context.timeouts.idleMs);
  }

  flush(): void {
    this.context.slab.flush();
  }

  onHeaders(streamId: number, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const head = this.#head;
    const { list } = head.fields;
    list.clear();
    // Also if nobody waits for it: the table of names and values goes on with every block.
    this.#hpack.decode(buffer, start, end, list);
    const stream = this.#stream(streamId);
    if (stream === null) this.#emptyFrames.onFrame();
    else stream.onHeaders(head, endStream);
  }

  onDataStart(streamId: number, length: number): void {
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) throw new ConnectionError(H2_ERROR.flowControlError, "more than the window of the connection");
    this.#consumed += length;
    const stream = this.#stream(streamId);
    this.#dataStream = stream;
    this.#dataLength = length;
    if (stream === null) this.#emptyFrames.onFrame();
    else stream.onDataStart(length);
    if (this.#consumed < CONNECTION_WINDOW / 2) return;
    this.sender.windowUpdate(0, this.#consumed);
    this.#receiveWindow += this.#consumed;
    this.#consumed = 0;
  }

  onData(buffer: Buffer, start: number, end: number): void {
    const stream = this.#dataStream;
    if (stream !== null && !stream.isClosed) stream.onData(buffer, start, end);
  }

  onDataEnd(_streamId: number, padding: number, endStream: boolean): void {
    const stream = this.#dataStream;
    this.#dataStream = null;
    if (stream !== null && !endStream && padding === this.#dataLength) this.#emptyFrames.onFrame();
    if (stream !== null && !stream.isClosed) stream.onDataEnd(padding, endStream);
  }

  onReset(streamId: number, code: number): void {
    const stream = this.#stream(streamId);
    if (stream === null) this.#emptyFrames.onFrame();
    else stream.onReset(code);
  }

  onSettings(buffer: Buffer, start: number, end: number): void {
    this.#emptyFrames.onFrame();
    this.#expectReader();
    this.sender.onSettings(buffer, start, end, this.#streams);
    if (this.#state === "greeting") this.#onGreeted();
    if (this.sender.peer.maxStreams === 0) this.leave();
  }

  onSettingsAck(): void {
    this.#emptyFrames.onFrame();
  }

  onPing(buffer: Buffer, start: number): void {
    this.#emptyFrames.onFrame();
    this.#expectReader();
    this.sender.ping(FLAG.ack, buffer, start);
  }

  onPingAck(): void {
    this.#emptyFrames.onFrame();
  }

  /** The machine takes no more streams; those above the last one it has not looked at (RFC 9113 section 6.8). */
  onGoaway(lastStreamId: number): void {
    this.#emptyFrames.onFrame();
    this.#isLeaving = true;
    for (const [id, stream] of [...this.#streams]) {
      if (id > lastStreamId) stream.onLost(new ProxyError("upstream_closed", `"${this.name}" takes no more streams`), false, true);
    }
    this.leave();
  }

  onWindowUpdate(streamId: number, increment: number): void {
    this.#emptyFrames.onWindowUpdate(this.sender.bodyBytes);
    if (streamId === 0) return this.sender.widen(increment);
    const stream = this.#stream(streamId);
    if (stream === null) return;
    if (increment === 0 || !this.sender.widenStream(stream, increment)) stream.fail("a window that is widened by nothing, or too far");
  }

  onIgnored(): void {
    this.#emptyFrames.onFrame();
  }

  onWritten(): void {
    this.sender.pump();
  }

  onBlocked(): void {}

  /** Streams that may be open here at a time. */
  get #maxStreams(): number {
    return Math.min(this.#state === "open" ? this.sender.peer.maxStreams : this.#expectedStreams, MOST_STREAMS);
  }

  #onConnect(): void {
    if (this.#state !== "connecting") return;
    this.#state = "greeting";
    this.#owner.onConnected((performance.now() - this.#dialedAtMs) / 1000);
    const { output } = this.sender;
    output.reserve(PREFACE.length);
    output.length += PREFACE.copy(output.slab, output.length);
    this.sender.settings([
      [SETTING.enablePush, 0],
      [SETTING.initialWindowSize, STREAM_WINDOW],
      [SETTING.maxHeaderListSize, this.context.limits.headBytes],
    ]);
    this.sender.windowUpdate(0, CONNECTION_WINDOW - DEFAULT_WINDOW);
    this.deadlineMs = this.context.deadlines.after(this.context.timeouts.headMs);
    this.flush();
  }

  /** The machine's first settings are here: what waited goes out, as much of it as the machine takes. */
  #onGreeted(): void {
    const { maxStreams } = this.sender.peer;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#state = "open";
    this.#owner.onGreeted(maxStreams);
    for (const stream of waiting) {
      if (stream.isClosed) continue;
      if (maxStreams === 0) stream.onLost(new ProxyError("connect_failed", `"${this.name}" takes no requests`), false, false);
      else if (this.isReading && this.#streams.size < this.#maxStreams) this.#open(stream);
      else this.#owner.onSurplus(stream);
    }
    if (this.#streams.size > 0 || !this.isReading) return;
    if (this.#isLeaving) this.destroy();
    else this.deadlineMs = this.context.deadlines.after(this.context.timeouts.idleMs);
  }

  #open(stream: Http2UpstreamStream): void {
    const exchange = stream.exchange!;
    const id = this.#nextId;
    this.#nextId += 2;
    this.deadlineMs = Infinity;
    this.#emptyFrames.onRequest();
    this.#streams.set(id, stream);
    const { head, client } = exchange.request;
    this.#requests.request(this.sender.beginBlock(), head, client.scheme, exchange.requestFields());
    this.sender.endBlock(id, exchange.requestBody === "none");
    stream.open(id, this.sender.peer.initialWindow);
    exchange.onSent();
  }

  #onRead(buffer: Buffer, bytes: number): boolean {
    this.#lastReadMs = this.context.deadlines.nowMs;
    try {
      this.#decoder.decode(buffer.subarray(0, bytes));
    } catch (error) {
      this.#onMalformed(error);
    }
    this.flush();
    return true;
  }

  #onMalformed(error: unknown): void {
    const isTheirs = error instanceof ConnectionError;
    if (isTheirs && !this.#socket.destroyed) {
      this.sender.goaway(0, error.code);
      this.sender.output.flush();
    }
    const message = isTheirs ? `"${this.name}" does not speak HTTP/2 as it should: ${error.message}` : "reading a response failed";
    this.#fail(error instanceof ProxyError ? error : new ProxyError(isTheirs ? "bad_response" : "internal", message, { cause: error }));
  }

  /** A stream that was opened and is not over; null for one that is. */
  #stream(streamId: number): Http2UpstreamStream | null {
    if (streamId % 2 === 0 || streamId >= this.#nextId) {
      throw new ConnectionError(H2_ERROR.protocolError, "a frame on a stream that was never opened");
    }
    return this.#streams.get(streamId) ?? null;
  }

  /** A machine that asks for answers without reading them would make them pile up. */
  #expectReader(): void {
    if (!this.sender.output.isFlowing) throw new ConnectionError(H2_ERROR.enhanceYourCalm, "answers are asked for and not read");
  }

  #onError(error: Error): void {
    this.#fail(this.#state === "connecting" ? connectFailure(error, this.name) : connectionFailure(error, this.name));
    this.flush();
  }

  #fail(error: ProxyError): void {
    if (this.#state === "closed") return;
    const streams = [...this.#streams.values()];
    const waiting = this.#waiting;
    this.#waiting = [];
    this.destroy();
    const isStale = (error.code === "upstream_closed" || error.code === "upstream_reset") && this.#nextId > 1 + 2 * streams.length;
    for (const stream of streams) stream.onLost(error, true, isStale);
    for (const stream of waiting) stream.onLost(error, false, false);
    this.flush();
  }
}
