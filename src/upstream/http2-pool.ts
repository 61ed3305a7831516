// Hot path. The HTTP/2 connections to one machine: the oldest with room takes the next exchange, so that the surplus ages out.

import type { Address } from "../core/app.ts";
import type { CarriedExchange, UpstreamContext } from "./connection.ts";
import { Http2UpstreamConnection, type Http2ConnectionOwner, type Http2UpstreamShared } from "./http2-connection.ts";
import { Http2UpstreamStream } from "./http2-stream.ts";
import type { PoolObserver } from "./pools.ts";

/** Connections being set up to one machine at once, as with HTTP/1.1. */
const MAX_DIALING = 64;

export class Http2Pool implements Http2ConnectionOwner {
  readonly #context: UpstreamContext;
  readonly #shared: Http2UpstreamShared;
  readonly #address: Address;
  readonly #observer: PoolObserver;
  readonly #connections: Http2UpstreamConnection[] = [];
  /** Streams that wait until one of those that are being set up is. */
  #queued: Http2UpstreamStream[] = [];
  #dialing = 0;
  /** What the machine said last. */
  #maxStreams = Infinity;

  constructor(context: UpstreamContext, shared: Http2UpstreamShared, address: Address, observer: PoolObserver) {
    this.#context = context;
    this.#shared = shared;
    this.#address = address;
    this.#observer = observer;
  }

  /** Sends the exchange on a stream of its own, over a connection that has room or a new one as soon as it stands. */
  carry(exchange: CarriedExchange): void {
    const stream = new Http2UpstreamStream(exchange);
    exchange.upstream = stream;
    this.onSurplus(stream);
  }

  /** Takes no more on the connections that there are; they end after their exchanges. */
  closeIdle(): void {
    for (const connection of [...this.#connections]) connection.leave();
  }

  onConnected(seconds: number): void {
    this.#observer.onConnected(seconds);
  }

  onGreeted(maxStreams: number): void {
    this.#maxStreams = Math.max(1, maxStreams);
    this.#onDialed();
  }

  onSurplus(stream: Http2UpstreamStream): void {
    const connection = this.#withRoom();
    if (connection === null) this.#queued.push(stream);
    else connection.carry(stream);
  }

  onClosed(connection: Http2UpstreamConnection, wasConnected: boolean, wasOpen: boolean): void {
    const index = this.#connections.indexOf(connection);
    if (index !== -1) this.#connections.splice(index, 1);
    if (wasConnected) this.#observer.onDisconnected();
    if (!wasOpen) this.#onDialed();
  }

  #onDialed(): void {
    this.#dialing--;
    if (this.#queued.length === 0) return;
    const queued = this.#queued;
    this.#queued = [];
    for (const stream of queued) if (!stream.isClosed) this.onSurplus(stream);
  }

  /** Null: there are enough that are not open yet. */
  #withRoom(): Http2UpstreamConnection | null {
    for (let i = 0; i < this.#connections.length; i++) if (this.#connections[i]!.hasRoom) return this.#connections[i]!;
    if (this.#dialing === MAX_DIALING) return null;
    this.#dialing++;
    const connection = new Http2UpstreamConnection(this.#context, this.#shared, this, this.#address, this.#maxStreams);
    this.#connections.push(connection);
    return connection;
  }
}
