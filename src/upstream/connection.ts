// Hot path. One HTTP/1.1 connection to a machine: carries one exchange at a time, rests in its pool between them, or becomes a tunnel.
//
//     queued ──► connecting ──► busy ──► idle ──► busy …
//                                 └────► tunnel           every state ──► closed

import { connect, type Socket } from "node:net";
import { CHUNK_END, LAST_CHUNK, TRAILERS_END, chunkStart, lastChunkWithTrailers } from "../http/http1/encode.ts";
import type { Http1ResponseHead } from "../http/http1/response-decoder.ts";
import { ResponseDecoder, type ResponseLimits } from "../http/http1/response-decoder.ts";
import type { Fields, RequestHead, ResponseSink } from "../http/message.ts";
import type { Address } from "../core/app.ts";
import type { Deadlines, Timed } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import { connectFailure, connectionFailure } from "./failures.ts";
import type { AddedField, ClientFacts } from "./forward.ts";
import { outliveFailedWrites } from "./failed-writes.ts";
import { KEEP_ALIVE_MS } from "./keep-alive.ts";
import { SocketWriter, type WriteSlab } from "./socket-writer.ts";

/** What all upstream connections of a worker share. */
export interface UpstreamContext {
  readonly deadlines: Deadlines;
  readonly slab: WriteSlab;
  /** Every read of every upstream socket lands here; its bytes are used up before the next read. */
  readonly readBuffer: Buffer;
  readonly limits: ResponseLimits;
  readonly timeouts: UpstreamTimeouts;
}

export interface UpstreamTimeouts {
  readonly connectMs: number;
  /** From the request's last byte to the response head; 0 is off. */
  readonly headMs: number;
  /** The longest silence in the middle of a response; 0 is off. */
  readonly silenceMs: number;
  /** How long nothing may pass through a tunnel, either way; 0 is off. */
  readonly tunnelIdleMs: number;
  /** How long an unused connection is kept. */
  readonly idleMs: number;
}

/** What carries an attempt to the machine: a connection, or a stream of one. */
export interface Carrier {
  /** Appends body bytes that nobody will overwrite. False: stop until `onUpstreamDrain`. */
  sendData(buffer: Buffer, start: number, end: number): boolean;
  sendTrailers(fields: Fields): void;
  /** The request's body is complete. */
  sendEnd(): void;
  tunnelData(buffer: Buffer, start: number, end: number): boolean;
  /** The client will send no more through the tunnel. */
  tunnelEnd(): void;
  /** Both sides have ended the tunnel. Its exchange is over; what the machine has not taken yet still goes out to it. */
  leaveTunnel(): void;
  /** Stops the response, after what is under way. */
  pause(): void;
  resume(): void;
  /** Ends the attempt; its exchange hears nothing more. */
  destroy(): void;
}

/** The exchange that a connection carries. A failure comes once, and nothing after it. */
export interface CarriedExchange extends ResponseSink {
  /** The request's head as it goes to the machine, as HTTP/1.1 text; asked for when the connection stands. */
  requestHead(): string;
  /** The request as it came, and from whom; what the edge adds to it are `requestFields`. For a machine that speaks HTTP/2. */
  readonly request: { readonly head: RequestHead; readonly client: ClientFacts };
  requestFields(): AddedField[];
  /** Set before anything else happens, and left alone by the connection. */
  upstream: Carrier | null;
  readonly isHeadRequest: boolean;
  /** Attempts so far, this one included. */
  readonly attempts: number;
  /** Does the client wait for a 100 before it sends its body? */
  readonly expectsContinue: boolean;
  /** It sees itself to it that the machine is not silent for too long. */
  readonly watchesSilence: boolean;
  /** How the request's body is framed; "none" when there is none. */
  readonly requestBody: "none" | "length" | "chunked";
  /** The head was written: the body may follow. */
  onSent(): void;
  onUpstreamDrain(): void;
  /**
   * `wasSent`: the machine may have seen the request. `wasStale`: the connection had rested, and the machine may just have grown tired
   * of it.
   */
  onUpstreamFailed(error: ProxyError, wasSent: boolean, wasStale: boolean): void;
  onTunnelData(buffer: Buffer, start: number, end: number): void;
  onTunnelEnd(): void;
}

/** Where a connection goes when it is free, or gone. */
export interface ConnectionOwner {
  onIdle(connection: UpstreamConnection): void;
  /** The dial is over, well or not. */
  onDialed(): void;
  onConnected(seconds: number): void;
  onClosed(connection: UpstreamConnection, wasIdle: boolean, wasConnected: boolean): void;
}

/** How long a machine that ended its side of a tunnel may take for the client's last bytes. */
const TUNNEL_FLUSH_MS = 60_000;

type State = "queued" | "connecting" | "busy" | "idle" | "tunnel" | "closed";

export class UpstreamConnection implements Carrier, Timed, ResponseSink {
  deadlineMs = Infinity;
  readonly #context: UpstreamContext;
  readonly #owner: ConnectionOwner;
  readonly #address: Address;
  readonly #decoder: ResponseDecoder;
  #state: State = "queued";
  #socket: Socket | null = null;
  #writer: SocketWriter | null = null;
  #exchange: CarriedExchange | null;
  #requestEnded = false;
  #hasTrailers = false;
  /** Nothing of the body comes before the machine has asked for it, or the client has lost patience. */
  #awaitsContinue = false;
  #hasAnswered = false;
  #responseEnded = false;
  #keepAlive = true;
  #readPaused = false;
  #canWrite = true;
  #isReused = false;
  #dialedAtMs = 0;
  readonly #reusable: boolean;

  constructor(context: UpstreamContext, owner: ConnectionOwner, address: Address, reusable: boolean, exchange: CarriedExchange) {
    this.#context = context;
    this.#owner = owner;
    this.#address = address;
    this.#reusable = reusable;
    this.#exchange = exchange;
    this.#decoder = new ResponseDecoder(context.limits);
  }

  get isOpen(): boolean {
    return this.#state !== "closed";
  }

  dial(): void {
    const { host, port } = this.#address;
    this.#state = "connecting";
    this.#dialedAtMs = performance.now();
    this.deadlineMs = this.#context.deadlines.after(this.#context.timeouts.connectMs);
    this.#context.deadlines.add(this);
    const onread = {
      buffer: this.#context.readBuffer,
      callback: (bytes: number, buffer: Uint8Array) => this.#onRead(bytes, buffer as Buffer),
    };
    const socket = connect({ host, port, onread, noDelay: true, allowHalfOpen: true, autoSelectFamily: false });
    this.#socket = socket;
    this.#writer = new SocketWriter(socket, this.#context.slab, false);
    outliveFailedWrites(socket, () => this.#onWriteFailed());
    socket.on("connect", () => this.#onConnect());
    socket.on("drain", () => this.#onDrain());
    socket.on("end", () => this.#onEof());
    socket.on("error", (error) => this.#onError(error));
    socket.on("close", () => this.#fail(new ProxyError("upstream_closed")));
  }

  /** Carries the next exchange on a connection that stands. */
  begin(exchange: CarriedExchange): void {
    this.#exchange = exchange;
    this.#isReused = true;
    this.#send();
  }

  /** Appends body bytes that nobody will overwrite. False: stop until `onUpstreamDrain`. */
  sendData(buffer: Buffer, start: number, end: number): boolean {
    const writer = this.#writer!;
    if (this.#awaitsContinue) this.#endWaiting();
    if (this.#exchange?.requestBody === "chunked") {
      writer.text(chunkStart(end - start));
      writer.own(buffer, start, end);
      writer.text(CHUNK_END);
    } else writer.own(buffer, start, end);
    if (writer.isFlowing) {
      if (this.#hasAnswered) this.#waitForMore();
      return true;
    }
    // One that takes no more of a request has as long as one that does not answer it, or does not go on.
    if (!this.#hasAnswered) this.deadlineMs = this.#patience(this.#context.timeouts.headMs);
    return false;
  }

  /** Comes between the last data and `sendEnd`; a body with a length does without. */
  sendTrailers(fields: Fields): void {
    if (this.#exchange?.requestBody !== "chunked") return;
    this.#hasTrailers = true;
    this.#writer!.text(lastChunkWithTrailers(fields));
  }

  /** The request's body is complete. */
  sendEnd(): void {
    if (this.#exchange?.requestBody === "chunked") this.#writer!.text(this.#hasTrailers ? TRAILERS_END : LAST_CHUNK);
    this.#requestEnded = true;
    if (this.#hasAnswered) this.#waitForMore();
    else this.deadlineMs = this.#patience(this.#context.timeouts.headMs);
  }

  tunnelData(buffer: Buffer, start: number, end: number): boolean {
    this.#touchTunnel();
    this.#writer!.own(buffer, start, end);
    return this.#writer!.isFlowing;
  }

  /** The client will send no more through the tunnel. */
  tunnelEnd(): void {
    this.#writer!.flush();
    this.#socket!.end();
  }

  /** Both sides have ended the tunnel. Its exchange is over; what the machine has not taken yet still goes out to it. */
  leaveTunnel(): void {
    this.#exchange = null;
    this.deadlineMs = this.#context.deadlines.after(TUNNEL_FLUSH_MS);
  }

  pause(): void {
    this.#readPaused = true;
    this.#socket?.pause();
    // While it is not read, the client is who is waited for.
    if (this.#state === "busy") this.deadlineMs = Infinity;
  }

  resume(): void {
    if (!this.#readPaused) return;
    this.#readPaused = false;
    this.#socket?.resume();
    if (this.#state === "busy") this.#waitForMore();
  }

  /** Ends the connection; its exchange, if any, hears nothing more. */
  destroy(): void {
    if (this.#state === "closed") return;
    const wasIdle = this.#state === "idle";
    const wasConnecting = this.#state === "connecting";
    const wasConnected = !wasConnecting && this.#state !== "queued";
    this.#state = "closed";
    this.#exchange = null;
    this.deadlineMs = Infinity;
    this.#context.deadlines.remove(this);
    this.#socket?.destroy();
    if (wasConnecting) this.#owner.onDialed();
    this.#owner.onClosed(this, wasIdle, wasConnected);
  }

  onDeadline(): void {
    const address = `${this.#address.host}:${this.#address.port}`;
    if (this.#state === "connecting") this.#fail(new ProxyError("connect_timeout", `"${address}" did not accept the connection in time`));
    else if (this.#state === "busy") {
      const fault = this.#hasAnswered ? "fell silent in the middle of its response" : "did not answer in time";
      this.#fail(new ProxyError("upstream_timeout", `"${address}" ${fault}`));
    } else if (this.#state === "tunnel" && this.#exchange !== null) this.#fail(new ProxyError("connection_idle"));
    else this.destroy();
    this.#context.slab.flush();
  }

  onInterim(head: Http1ResponseHead): void {
    if (head.status === 100 && this.#awaitsContinue) this.#endWaiting();
    this.#exchange?.onInterim(head);
  }

  onHead(head: Http1ResponseHead): void {
    this.deadlineMs = Infinity;
    this.#hasAnswered = true;
    this.#keepAlive = head.keepAlive;
    if (head.status === 101) this.#enterTunnel();
    this.#exchange?.onHead(head);
  }

  onData(buffer: Buffer, start: number, end: number): void {
    this.#exchange?.onData(buffer, start, end);
  }

  onTrailers(fields: Fields): void {
    this.#exchange?.onTrailers(fields);
  }

  onEnd(): void {
    // What follows in the same read decides whether the connection can be used again, so the exchange ends after that.
    this.#responseEnded = true;
  }

  #onConnect(): void {
    this.#owner.onConnected((performance.now() - this.#dialedAtMs) / 1000);
    this.#send();
    this.#owner.onDialed();
    this.#context.slab.flush();
  }

  #send(): void {
    const exchange = this.#exchange!;
    this.#state = "busy";
    this.#responseEnded = false;
    this.#hasAnswered = false;
    this.#hasTrailers = false;
    this.#requestEnded = exchange.requestBody === "none";
    this.#writer!.text(exchange.requestHead());
    this.#decoder.expect(this, exchange.isHeadRequest);
    this.#awaitsContinue = exchange.expectsContinue && !this.#requestEnded;
    // Otherwise its client is waited for, which has a deadline of its own.
    const isWaitedFor = this.#requestEnded || this.#awaitsContinue;
    this.deadlineMs = isWaitedFor ? this.#patience(this.#context.timeouts.headMs) : Infinity;
    exchange.onSent();
  }

  /** It is the client's turn. */
  #endWaiting(): void {
    this.#awaitsContinue = false;
    this.deadlineMs = Infinity;
  }

  #onRead(bytes: number, buffer: Buffer): boolean {
    if (this.#state === "tunnel") {
      this.#touchTunnel();
      this.#exchange?.onTunnelData(buffer, 0, bytes);
    } else if (this.#state === "busy") this.#decode(buffer, bytes);
    else this.destroy(); // Bytes that nobody asked for: the next client must not get them.
    this.#context.slab.flush();
    return !this.#readPaused;
  }

  #decode(buffer: Buffer, bytes: number): void {
    let position: number;
    try {
      position = this.#decoder.decode(buffer, 0, bytes);
    } catch (error) {
      this.#fail(asProxyError(error));
      return;
    }
    if (this.#isTunnel()) {
      if (position < bytes) this.#exchange?.onTunnelData(buffer, position, bytes);
    } else if (this.#responseEnded) this.#settle(position < bytes);
    else if (this.#hasAnswered) this.#waitForMore();
  }

  /** The last that was heard of the machine, or that it took, is now. */
  #waitForMore(): void {
    if (this.#state !== "busy" || this.#readPaused || this.#responseEnded) return;
    this.deadlineMs = this.#patience(this.#context.timeouts.silenceMs);
  }

  /** The deadline of a machine that may be silent for so long. */
  #patience(ms: number): number {
    return this.#exchange?.watchesSilence === true ? Infinity : this.#context.deadlines.after(ms);
  }

  #enterTunnel(): void {
    this.#state = "tunnel";
    // Both may be silent for as long as they like, so the kernel has to find out if one is gone.
    this.#socket!.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#touchTunnel();
  }

  #touchTunnel(): void {
    if (this.#exchange !== null) this.deadlineMs = this.#patience(this.#context.timeouts.tunnelIdleMs);
  }

  #isTunnel(): boolean {
    return this.#state === "tunnel";
  }

  /** The response is complete: pool the connection if it can carry another one, then tell the exchange. */
  #settle(hasLeftover: boolean): void {
    const exchange = this.#exchange;
    if (this.#state === "closed") return;
    this.#exchange = null;
    if (this.#keepAlive && this.#requestEnded && this.#reusable && this.#canWrite && !hasLeftover && !this.#socket!.destroyed) {
      this.#state = "idle";
      this.resume();
      this.deadlineMs = this.#context.deadlines.after(this.#context.timeouts.idleMs);
      this.#owner.onIdle(this);
    } else this.destroy();
    exchange?.onEnd();
  }

  #onEof(): void {
    if (this.#state === "tunnel") {
      this.#exchange?.onTunnelEnd();
    } else if (this.#state === "busy") {
      try {
        this.#decoder.finish();
        this.#settle(true);
      } catch (error) {
        this.#fail(asProxyError(error));
      }
    } else if (this.#state === "idle") this.destroy();
    this.#context.slab.flush();
  }

  #onDrain(): void {
    if (this.#state === "tunnel") this.#touchTunnel();
    else if (this.#hasAnswered) this.#waitForMore();
    else if (!this.#requestEnded) this.deadlineMs = Infinity;
    this.#exchange?.onUpstreamDrain();
    this.#context.slab.flush();
  }

  #onWriteFailed(): void {
    this.#canWrite = false;
    if (this.#state === "idle") this.destroy();
  }

  #onError(error: Error): void {
    const address = `${this.#address.host}:${this.#address.port}`;
    this.#fail(this.#state === "connecting" ? connectFailure(error, address) : connectionFailure(error, address));
    this.#context.slab.flush();
  }

  #fail(error: ProxyError): void {
    if (this.#state === "closed") return;
    const exchange = this.#exchange;
    const wasSent = this.#state !== "connecting" && this.#state !== "queued";
    const wasStale = this.#isReused && (error.code === "upstream_closed" || error.code === "upstream_reset");
    this.destroy();
    exchange?.onUpstreamFailed(error, wasSent, wasStale);
    this.#context.slab.flush();
  }
}

function asProxyError(error: unknown): ProxyError {
  return error instanceof ProxyError ? error : new ProxyError("internal", "reading a response failed", { cause: error });
}
