// Hot path. The connections that stand to each machine, most recently used first, so that the surplus ages out.

import type { Address } from "../core/app.ts";
import { UpstreamConnection, type CarriedExchange, type ConnectionOwner, type UpstreamContext } from "./connection.ts";
import type { Http2UpstreamShared } from "./http2-connection.ts";
import { Http2Pool } from "./http2-pool.ts";
import { Link, type LinkEvents, type LinkOwner } from "./link.ts";

/** Connections being set up to one machine at once: a burst on a machine that just woke must fit its listen backlog. */
const MAX_DIALING = 64;

/** Counts what happens to the connections of a machine. */
export interface PoolObserver {
  onConnected(seconds: number): void;
  onDisconnected(): void;
}

export class Pools {
  readonly #context: UpstreamContext;
  readonly #http2: Http2UpstreamShared;
  readonly #pools = new Map<string, Pool>();
  readonly #http2Pools = new Map<string, Http2Pool>();

  constructor(context: UpstreamContext, http2: Http2UpstreamShared) {
    this.#context = context;
    this.#http2 = http2;
  }

  /** The pool of an address; machines keep a reference to theirs. */
  pool(address: Address, reusable: boolean, observer: PoolObserver): Pool {
    const key = `${address.host} ${address.port} ${reusable}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new Pool(this.#context, address, reusable, observer);
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** The pool of an address where HTTP/2 is spoken. */
  http2Pool(address: Address, observer: PoolObserver): Http2Pool {
    const key = `${address.host} ${address.port}`;
    let pool = this.#http2Pools.get(key);
    if (pool === undefined) this.#http2Pools.set(key, (pool = new Http2Pool(this.#context, this.#http2, address, observer)));
    return pool;
  }

  /** Closes what rests in pools that are not in `used` and forgets them. */
  prune(used: ReadonlySet<object>): void {
    for (const [key, pool] of this.#pools) {
      if (used.has(pool)) continue;
      pool.closeIdle();
      this.#pools.delete(key);
    }
    for (const [key, pool] of this.#http2Pools) {
      if (used.has(pool)) continue;
      pool.closeIdle();
      this.#http2Pools.delete(key);
    }
  }

  close(): void {
    this.prune(new Set());
  }
}

/** What waits for its turn to be dialled. */
interface Dialable {
  readonly isOpen: boolean;
  dial(): void;
}

export class Pool implements ConnectionOwner, LinkOwner {
  readonly address: Address;
  readonly #context: UpstreamContext;
  readonly #reusable: boolean;
  readonly #idle: UpstreamConnection[] = [];
  #queued: Dialable[] = [];
  readonly #observer: PoolObserver;
  #dialing = 0;

  constructor(context: UpstreamContext, address: Address, reusable: boolean, observer: PoolObserver) {
    this.#observer = observer;
    this.#context = context;
    this.address = address;
    this.#reusable = reusable;
  }

  /**
   * Sends the exchange over a connection that rests, at once, or over a new one as soon as it stands. After a failure only a new one
   * will do: what rests may be as stale as what failed.
   */
  carry(exchange: CarriedExchange): void {
    const idle = exchange.attempts > 1 ? undefined : this.#idle.pop();
    if (idle !== undefined) {
      exchange.upstream = idle;
      idle.begin(exchange);
      return;
    }
    const connection = new UpstreamConnection(this.#context, this, this.address, this.#reusable, exchange);
    exchange.upstream = connection;
    this.#dialInTurn(connection);
  }

  /** A bare connection of its own, dialled as soon as it is its turn. What becomes of it is heard later, never during the call. */
  link(events: LinkEvents): Link {
    const link = new Link(this.#context, this, this.address, events);
    this.#dialInTurn(link);
    return link;
  }

  closeIdle(): void {
    while (this.#idle.length > 0) this.#idle.pop()!.destroy();
  }

  onIdle(connection: UpstreamConnection): void {
    this.#idle.push(connection);
  }

  onConnected(seconds: number): void {
    this.#observer.onConnected(seconds);
  }

  onDialed(): void {
    this.#dialing--;
    for (;;) {
      const next = this.#queued.shift();
      if (next === undefined) return;
      if (!next.isOpen) continue;
      this.#dial(next);
      return;
    }
  }

  onClosed(connection: UpstreamConnection, wasIdle: boolean, wasConnected: boolean): void {
    if (wasConnected) this.#observer.onDisconnected();
    if (!wasIdle) return;
    const index = this.#idle.indexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
  }

  onUnlinked(wasConnected: boolean): void {
    if (wasConnected) this.#observer.onDisconnected();
  }

  #dialInTurn(connection: Dialable): void {
    if (this.#dialing < MAX_DIALING) this.#dial(connection);
    else this.#queued.push(connection);
  }

  #dial(connection: Dialable): void {
    this.#dialing++;
    connection.dial();
  }
}
