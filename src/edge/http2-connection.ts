// Hot path. A client's HTTP/2 connection: bytes into the frame decoder, one write out a turn of the event loop, and its end (RFC 9113).
//
//     open ──► draining ──► closing ──► closed        an error of the connection leads from anywhere to closing

import type { Socket } from "node:net";
import { ConnectionError, H2_ERROR } from "../http/http2/connection-error.ts";
import { FLAG, HIGHEST_STREAM, SETTING } from "../http/http2/frame.ts";
import { FrameDecoder } from "../http/http2/frame-decoder.ts";
import type { Timed } from "../core/deadlines.ts";
import type { ErrorCode } from "../core/errors.ts";
import { clientLines, type ClientFacts, type ClientLines } from "../upstream/forward.ts";
import type { ClientConnection, ConnectionContext, HeadTime } from "./client-connection.ts";
import { Http2Output, type OutputOwner } from "../upstream/http2-output.ts";
import { Http2Sender } from "../upstream/http2-sender.ts";
import { Http2Streams, type Http2Shared, type StreamsOwner } from "./http2-streams.ts";

type State = "open" | "draining" | "closing" | "held" | "closed";

/** How long a client has to take note that no more streams are welcome before they are refused. */
const NOTICE_MS = 1000;
/** After the last frame the client's unread bytes are swallowed for this long, so that a reset does not destroy it. */
const LINGER_MS = 2000;
const MOST_LINGERING_BYTES = 1024 * 1024;
/** Whoever floods is told so, and held, unread: a client let go at once comes back at once, and its handshakes cost more than its flood. */
const HOLD_MS = 1000;
const PING_DATA = Buffer.alloc(8);

export class Http2Connection implements ClientConnection, StreamsOwner, OutputOwner, Timed {
  deadlineMs: number;
  readonly client: ClientFacts;
  readonly clientLines: ClientLines;
  account: object | null = null;
  readonly protocol: string = "HTTP/2.0";
  /** None that belong to no stream are counted. */
  readonly bytesSent: number = 0;
  readonly #socket: Socket;
  readonly #context: ConnectionContext;
  readonly #headMs: number;
  readonly #sender: Http2Sender;
  readonly #streams: Http2Streams;
  readonly #decoder: FrameDecoder;
  #state: State = "open";
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
    this.#sender = new Http2Sender(new Http2Output(socket, shared.outputs, client.scheme === "https", this));
    this.#sender.settings([
      [SETTING.maxConcurrentStreams, shared.maxStreams],
      [SETTING.maxHeaderListSize, limits.headBytes],
      [SETTING.enableConnectProtocol, 1],
      [SETTING.noRfc7540Priorities, 1],
    ]);
    this.#streams = new Http2Streams(this, this.#sender, context, shared);
    this.#decoder = new FrameDecoder(this.#streams, { sender: "client", blockBytes: 2 * limits.headBytes });
    this.#headMs = headTime.ms;
    this.#idleDeadlineMs = headTime.firstDeadlineMs;
    this.deadlineMs = headTime.firstDeadlineMs;
    deadlines.add(this);
    socket.on("data", (chunk: Buffer) => this.#onChunk(chunk));
    socket.on("end", () => this.#onEof());
    socket.on("error", () => this.#onClosed());
    socket.on("close", () => this.#onClosed());
  }

  /** Frames are read until the connection closes. */
  get isReading(): boolean {
    return this.#state === "open" || this.#state === "draining";
  }

  /** Ends the connection if it rests; otherwise tells the client to open no more streams, and ends after those there are. */
  drain(): void {
    if (this.#context.isDraining()) this.#streams.leaveTunnels();
    if (this.#state !== "open") return;
    this.#state = "draining";
    if (this.#streams.isEmpty) return this.#close(H2_ERROR.noError, "client_closed");
    // What the client sent before it hears of this is still served: the answer to the ping comes after all of that (RFC 9113 section 6.8).
    this.#sender.goaway(HIGHEST_STREAM, H2_ERROR.noError);
    this.#sender.ping(FLAG.none, PING_DATA, 0);
    this.#noticeDeadlineMs = this.#context.deadlines.after(NOTICE_MS);
    this.wakeBy(this.#noticeDeadlineMs);
  }

  destroy(): void {
    this.#socket.destroy();
    this.#onClosed();
  }

  onPingAck(): void {
    if (this.#noticeDeadlineMs !== Infinity) this.#announceEnd();
  }

  /** The client opens no more streams; those it has go on. */
  onGoaway(): void {
    if (this.#state === "open") this.drain();
  }

  onIdle(): void {
    if (this.#state === "draining") this.#close(H2_ERROR.noError, "client_closed");
    else {
      this.#idleDeadlineMs = this.#context.deadlines.after(this.#context.timeouts.keepAliveMs);
      this.wakeBy(this.#idleDeadlineMs);
    }
  }

  wakeBy(deadlineMs: number): void {
    if (deadlineMs < this.deadlineMs) this.deadlineMs = deadlineMs;
  }

  onWritten(): void {
    this.#writeDeadlineMs = Infinity;
    this.#sender.pump();
    this.#streams.endStuck();
    if (this.#state !== "held" && this.#socket.isPaused() && !this.#sender.output.isFull) this.#socket.resume();
  }

  onBlocked(): void {
    if (this.#writeDeadlineMs !== Infinity) return;
    this.#writeDeadlineMs = this.#context.deadlines.after(this.#context.timeouts.pace.silenceMs);
    this.wakeBy(this.#writeDeadlineMs);
  }

  onDeadline(): void {
    const { nowMs } = this.#context.deadlines;
    if (this.#writeDeadlineMs <= nowMs || !this.isReading) return this.destroy();
    if (this.#noticeDeadlineMs <= nowMs) this.#announceEnd();
    const isIdleOver = this.#streams.isEmpty && this.#idleDeadlineMs <= nowMs;
    if (this.#frameDeadlineMs <= nowMs || (isIdleOver && this.#frameDeadlineMs !== Infinity)) {
      this.#fail(H2_ERROR.enhanceYourCalm, "request_timeout");
    } else if (isIdleOver) this.#close(H2_ERROR.noError, "client_closed");
    else {
      const streamsDeadlineMs = this.#streams.ask(nowMs);
      if (this.isReading) this.#setDeadline(streamsDeadlineMs);
    }
    this.#context.slab.flush();
  }

  #setDeadline(streamsDeadlineMs: number): void {
    const idleDeadlineMs = this.#streams.isEmpty ? this.#idleDeadlineMs : Infinity;
    this.deadlineMs = Math.min(streamsDeadlineMs, idleDeadlineMs, this.#frameDeadlineMs, this.#writeDeadlineMs, this.#noticeDeadlineMs);
  }

  #onChunk(chunk: Buffer): void {
    if (this.isReading) {
      try {
        this.#decoder.decode(chunk);
        this.#streams.begin();
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
        this.#fail(error.code, error.code === H2_ERROR.enhanceYourCalm ? "client_flood" : "bad_connection");
      }
      this.#watchFrame();
      if (this.isReading && this.#sender.output.isFull) this.#socket.pause();
    } else if ((this.#lingeringBytes += chunk.length) > MOST_LINGERING_BYTES) this.destroy();
    this.#context.slab.flush();
  }

  /** A frame that is not complete has as long as a request's head; the body of an open stream has its own time. */
  #watchFrame(): void {
    if (!this.isReading) return;
    if (this.#decoder.isBetweenFrames || this.#streams.isTakingData) this.#frameDeadlineMs = Infinity;
    else if (this.#frameDeadlineMs === Infinity) {
      this.#frameDeadlineMs = this.#context.deadlines.after(this.#headMs);
      this.wakeBy(this.#frameDeadlineMs);
    }
  }

  #announceEnd(): void {
    this.#noticeDeadlineMs = Infinity;
    this.#streams.refuseNew();
    this.#sender.goaway(this.#streams.lastStreamId, H2_ERROR.noError);
  }

  /** An error of the connection (RFC 9113 section 5.4.1). */
  #fail(h2Code: number, code: ErrorCode): void {
    if (!this.isReading) return;
    this.#context.report(this, code);
    this.#close(h2Code, code);
  }

  /** Says so, ends after everything written has left, and waits a little for the client to see it. `code` is that of the streams under way. */
  #close(h2Code: number, code: ErrorCode): void {
    if (!this.isReading) return;
    const { deadlines } = this.#context;
    this.#sender.goaway(this.#streams.lastStreamId, h2Code);
    this.#state = code === "client_flood" ? "held" : "closing";
    this.#streams.endAll(code);
    if (this.#state === "held") {
      this.#socket.pause();
      this.deadlineMs = deadlines.after(HOLD_MS);
      return;
    }
    this.deadlineMs = deadlines.after(this.#context.timeouts.pace.silenceMs);
    this.#sender.output.end(() => {
      if (this.#state === "closing") this.deadlineMs = deadlines.after(LINGER_MS);
    });
  }

  /** The client sends no more, but may still read. */
  #onEof(): void {
    if (!this.isReading) return;
    if (this.#state === "open") this.drain();
    this.#streams.onClientEnd();
    this.#context.slab.flush();
  }

  #onClosed(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.deadlineMs = Infinity;
    this.#streams.endAll("client_closed");
    this.#context.deadlines.remove(this);
    this.#sender.output.discard();
    this.#context.onClosed(this);
    this.#context.slab.flush();
  }
}
