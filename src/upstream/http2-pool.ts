// Hot path. The HTTP/2 connections to one machine: the oldest with room takes the next exchange, so that the surplus ages out.

import type { Address } from "../core/app.ts";
import type { CarriedExchange, UpstreamContext } from "./connection.ts";
import { Http2UpstreamConnection, type Http2ConnectionOwner, type Http2UpstreamShared } from "./http2-connection.ts";
import { Http2UpstreamStream } from "./http2-stream.ts";
import type { PoolObserver } from "./pools.ts";

export class Http2Pool implements Http2ConnectionOwner {
  readonly #context: UpstreamContext;
  readonly #shared: Http2UpstreamShared;
  readonly #address: Address;
  readonly #observer: PoolObserver;
  readonly #connections: Http2UpstreamConnection[] = [];

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
    this.#withRoom().carry(stream);
  }

  /** Takes no more on the connections that there are; they end after their exchanges. */
  closeIdle(): void {
    for (const connection of [...this.#connections]) connection.leave();
  }

  onConnected(seconds: number): void {
    this.#observer.onConnected(seconds);
  }

  onClosed(connection: Http2UpstreamConnection, wasConnected: boolean): void {
    const index = this.#connections.indexOf(connection);
    if (index !== -1) this.#connections.splice(index, 1);
    if (wasConnected) this.#observer.onDisconnected();
  }

  #withRoom(): Http2UpstreamConnection {
    for (let i = 0; i < this.#connections.length; i++) if (this.#connections[i]!.hasRoom) return this.#connections[i]!;
    const connection = new Http2UpstreamConnection(this.#context, this.#shared, this, this.#address);
    this.#connections.push(connection);
    return connection;
  }
}
