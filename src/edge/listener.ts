// A port that clients connect to: TLS where it has to be, then an HTTP/1.1 connection. Step 1 in the life of a request.

import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { ClientFacts } from "../upstream/forward.ts";
import { Http1Connection, type ConnectionContext } from "./http1-connection.ts";
import { TlsHandshake, type TlsServing } from "./tls-handshake.ts";

export interface ListenerOptions {
  readonly host: string;
  /** Bound port; 0 is any free one. */
  readonly port: number;
  /** The port by which clients and `fly.toml` know it. */
  readonly publicPort: number;
  /** null: plain text. */
  readonly tls: TlsServing | null;
  readonly handshakeTimeoutMs: number;
  readonly region: string;
  readonly connections: Omit<ConnectionContext, "onClosed">;
  readonly events: ListenerEvents;
}

export interface ListenerEvents {
  onHandshake(version: string, seconds: number): void;
  onHandshakeFailed(servername: string, error: Error): void;
  /** A client's connection ended. */
  onClosed(connection: Http1Connection): void;
}

/** Connections that the kernel may hold for a worker that is busy. */
const BACKLOG = 4096;

export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #connections = new Set<Http1Connection>();
  readonly #handshakes = new Set<TlsHandshake>();
  readonly #context: ConnectionContext;
  #onEmpty: (() => void) | null = null;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#context = { ...options.connections, onClosed: (connection) => this.#forget(connection) };
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: false }, (socket) => this.#accept(socket));
    // Accepting can fail for a while (no more descriptors); the listener itself is not broken by it.
    this.#server.on("error", () => {});
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Resolves to the bound port. Several threads may listen on one: the kernel spreads connections over them. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port, backlog: BACKLOG, reusePort: true, ipv6Only: host.includes(":") }, () => {
        this.#server.removeListener("error", reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Accepts no more; connections end after what they are doing. Resolves when all have ended. */
  drain(): Promise<void> {
    this.#server.close();
    for (const handshake of this.#handshakes) handshake.destroy();
    for (const connection of this.#connections) connection.drain();
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  destroy(): void {
    this.#server.close();
    for (const handshake of this.#handshakes) handshake.destroy();
    for (const connection of this.#connections) connection.destroy();
  }

  #accept(socket: Socket): void {
    const { tls, handshakeTimeoutMs, events, connections } = this.#options;
    // One for the handshake and the first head together: whoever trickles both in has no more time than for one.
    const headDeadlineMs = connections.deadlines.after(connections.timeouts.requestHeadMs);
    if (tls === null) return this.#open(socket, "http", headDeadlineMs);
    const handshake = new TlsHandshake(socket, tls, connections.deadlines, handshakeTimeoutMs, {
      onSecure: (secured, seconds) => {
        this.#handshakes.delete(handshake);
        events.onHandshake(secured.getProtocol() ?? "unknown", seconds);
        this.#open(secured, "https", headDeadlineMs);
      },
      onFailed: (servername, error) => {
        this.#handshakes.delete(handshake);
        events.onHandshakeFailed(servername, error);
      },
    });
    this.#handshakes.add(handshake);
  }

  #open(socket: Socket, scheme: "http" | "https", headDeadlineMs: number): void {
    const { publicPort, region } = this.#options;
    const ip = plainIp(socket.remoteAddress);
    const localIp = plainIp(socket.localAddress);
    // A client that was gone before it was accepted has no address any more.
    if (ip === null || localIp === null) {
      socket.destroy();
      return;
    }
    const client: ClientFacts = { ip, scheme, localIp, port: publicPort, region };
    this.#connections.add(new Http1Connection(socket, client, this.#context, headDeadlineMs));
  }

  #forget(connection: Http1Connection): void {
    this.#connections.delete(connection);
    this.#options.events.onClosed(connection);
    if (this.#connections.size === 0) this.#onEmpty?.();
  }
}

/** Without the IPv6 form that a dual-stack socket gives an IPv4 address. */
function plainIp(address: string | undefined): string | null {
  if (address === undefined) return null;
  return address.startsWith("::ffff:") ? address.slice(7) : address;
}
