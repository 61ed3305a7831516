// Hot path. A bare connection to a machine: bytes both ways as they are, with back-pressure, each side ended by itself. One for each
// connection of a client without the http handler, and never used again.
//
//     queued ──► connecting ──► open ──► closed       every state ──► closed

import { connect, type Socket } from "node:net";
import type { Address } from "../core/app.ts";
import type { Timed } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import type { UpstreamContext } from "./connection.ts";
import { connectFailure, connectionFailure } from "./failures.ts";
import { outliveFailedWrites } from "./failed-writes.ts";
import { KEEP_ALIVE_MS } from "./keep-alive.ts";
import { reset } from "./reset.ts";
import { SocketWriter } from "./socket-writer.ts";

export interface LinkEvents {
  onLinked(): void;
  /** The bytes are the receiver's only during the call. */
  onLinkData(buffer: Buffer, start: number, end: number): void;
  /** The machine sends no more. */
  onLinkEnd(): void;
  onLinkDrain(): void;
  /** Both sides have ended, and all is written. Nothing comes after it. */
  onLinkClosed(): void;
  /** `wasLinked`: it stood already. Nothing comes after it. */
  onLinkFailed(error: ProxyError, wasLinked: boolean): void;
}

export interface LinkOwner {
  /** The dial is over, well or not. */
  onDialed(): void;
  onConnected(seconds: number): void;
  onUnlinked(wasConnected: boolean): void;
}

type State = "queued" | "connecting" | "open" | "closed";

export class Link implements Timed {
  deadlineMs = Infinity;
  readonly #context: UpstreamContext;
  readonly #owner: LinkOwner;
  readonly #address: Address;
  readonly #events: LinkEvents;
  #state: State = "queued";
  #socket: Socket | null = null;
  #writer: SocketWriter | null = null;
  #readPaused = false;
  #hasEnded = false;
  #canWrite = true;
  #dialedAtMs = 0;

  constructor(context: UpstreamContext, owner: LinkOwner, address: Address, events: LinkEvents) {
    this.#context = context;
    this.#owner = owner;
    this.#address = address;
    this.#events = events;
  }

  get isOpen(): boolean {
    return this.#state !== "closed";
  }

  dial(): void {
    const { host, port } = this.#address;
    const { deadlines, timeouts, readBuffer, slab } = this.#context;
    this.#state = "connecting";
    this.#dialedAtMs = performance.now();
    this.deadlineMs = deadlines.after(timeouts.connectMs);
    deadlines.add(this);
    const onread = { buffer: readBuffer, callback: (bytes: number, buffer: Uint8Array) => this.#onRead(bytes, buffer as Buffer) };
    const socket = connect({ host, port, onread, noDelay: true, allowHalfOpen: true, autoSelectFamily: false });
    this.#socket = socket;
    this.#writer = new SocketWriter(socket, slab, false);
    outliveFailedWrites(socket, () => this.#onWriteFailed());
    socket.on("connect", () => this.#onConnect());
    socket.on("drain", () => this.#onDrain());
    socket.on("end", () => this.#onEof());
    socket.on("error", (error) => this.#onError(error));
    socket.on("close", () => this.#onClose());
  }

  /** Appends bytes that nobody will overwrite. False: stop until `onLinkDrain`. */
  write(buffer: Buffer, start: number, end: number): boolean {
    if (!this.#canWrite) return true;
    this.#writer!.own(buffer, start, end);
    return this.#writer!.isFlowing;
  }

  /** The client sends no more. */
  end(): void {
    this.#writer!.flush();
    if (this.#canWrite) this.#socket!.end();
  }

  pause(): void {
    this.#readPaused = true;
    this.#socket?.pause();
  }

  resume(): void {
    if (!this.#readPaused) return;
    this.#readPaused = false;
    this.#socket?.resume();
  }

  /** Ends the connection in a way that the machine cannot take for the end of what was sent. Nothing is heard of it any more. */
  abort(): void {
    if (this.#state === "open") reset(this.#socket!);
    this.#leave();
  }

  onDeadline(): void {
    this.#fail(new ProxyError("connect_timeout", `"${this.#name}" did not accept the connection in time`));
    this.#context.slab.flush();
  }

  get #name(): string {
    return `${this.#address.host}:${this.#address.port}`;
  }

  #onConnect(): void {
    this.#state = "open";
    this.deadlineMs = Infinity;
    this.#socket!.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#owner.onConnected((performance.now() - this.#dialedAtMs) / 1000);
    this.#events.onLinked();
    this.#owner.onDialed();
    this.#context.slab.flush();
  }

  #onRead(bytes: number, buffer: Buffer): boolean {
    if (this.#state === "open") this.#events.onLinkData(buffer, 0, bytes);
    this.#context.slab.flush();
    return !this.#readPaused;
  }

  #onDrain(): void {
    if (this.#state === "open") this.#events.onLinkDrain();
    this.#context.slab.flush();
  }

  #onEof(): void {
    if (this.#state !== "open") return;
    this.#hasEnded = true;
    this.#events.onLinkEnd();
    if (!this.#canWrite) this.#fail(new ProxyError("upstream_reset", `"${this.#name}" takes no more`));
    this.#context.slab.flush();
  }

  /** What the machine sent before it stopped taking anything is still read; that also says how it ended. */
  #onWriteFailed(): void {
    this.#canWrite = false;
    if (this.#hasEnded) this.#fail(new ProxyError("upstream_reset", `"${this.#name}" takes no more`));
    // Whoever waits for it to take more would wait for ever.
    else if (this.#state === "open") this.#events.onLinkDrain();
    this.#context.slab.flush();
  }

  #onError(error: Error): void {
    this.#fail(this.#state === "connecting" ? connectFailure(error, this.#name) : connectionFailure(error, this.#name));
    this.#context.slab.flush();
  }

  #onClose(): void {
    if (this.#state === "closed") return;
    if (this.#hasEnded && this.#socket!.writableFinished) {
      this.#leave();
      this.#events.onLinkClosed();
    } else this.#fail(new ProxyError("upstream_closed", `the connection to "${this.#name}" broke`));
    this.#context.slab.flush();
  }

  #fail(error: ProxyError): void {
    if (this.#state === "closed") return;
    const wasLinked = this.#state === "open";
    this.#leave();
    this.#events.onLinkFailed(error, wasLinked);
  }

  #leave(): void {
    if (this.#state === "closed") return;
    const wasConnecting = this.#state === "connecting";
    const wasConnected = this.#state === "open";
    this.#state = "closed";
    this.deadlineMs = Infinity;
    this.#context.deadlines.remove(this);
    this.#socket?.destroy();
    if (wasConnecting) this.#owner.onDialed();
    this.#owner.onUnlinked(wasConnected);
  }
}
