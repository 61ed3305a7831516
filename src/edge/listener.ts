// A port that clients connect to: TLS where it has to be, then HTTP/1.1, HTTP/2, or a raw connection. Step 1 in the life of a request.

import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Ends } from "../core/ends.ts";
import type { PortKind } from "../core/port-kind.ts";
import { canonicalServerName } from "../certs/server-name.ts";
import type { Router } from "../routing/router.ts";
import type { ClientFacts } from "../upstream/forward.ts";
import type { ClientConnection, ConnectionContext, HeadTime } from "./client-connection.ts";
import type { EdgeApp, EdgeService } from "./edge-app.ts";
import type { HeadTimes } from "./head-times.ts";
import { Http1Connection } from "./http1-connection.ts";
import { Http2Connection } from "./http2-connection.ts";
import type { Http2Shared } from "./http2-streams.ts";
import { RawConnection, type RawContext } from "./raw-connection.ts";
import { TlsHandshake, type TlsServing } from "./tls-handshake.ts";

export interface ListenerOptions {
  readonly host: string;
  /** Bound port; 0 is any free one. */
  readonly port: number;
  /** The port by which clients and `fly.toml` know it. */
  readonly publicPort: number;
  readonly kind: Exclude<PortKind, "udp">;
  readonly tls: TlsServing;
  readonly handshakeTimeoutMs: number;
  readonly region: string;
  readonly connections: Omit<ConnectionContext, "onClosed">;
  readonly raw: RawContext;
  readonly router: Router<EdgeService, EdgeApp>;
  readonly http2: Http2Shared;
  readonly headTimes: HeadTimes;
  readonly events: ListenerEvents;
}

export interface ListenerEvents {
  onHandshake(version: string, seconds: number): void;
  onHandshakeFailed(servername: string, error: Error): void;
  /** A client's connection ended. */
  onClosed(connection: ClientConnection): void;
}

/** Connections that the kernel may hold for a worker that is busy. */
const BACKLOG = 4096;

export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #connections = new Set<ClientConnection | RawConnection>();
  readonly #handshakes = new Set<TlsHandshake>();
  readonly #context: ConnectionContext;
  readonly #rawContext: RawContext;
  #isDraining = false;
  readonly #drained = Promise.withResolvers<void>();

  constructor(options: ListenerOptions) {
    this.#options = options;
    const { connections, raw, events } = options;
    this.#context = {
      ...connections,
      onClosed: (connection) => {
        this.#forget(connection);
        events.onClosed(connection);
      },
    };
    this.#rawContext = {
      ...raw,
      onClosed: (connection) => {
        this.#forget(connection);
        raw.onClosed(connection);
      },
    };
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

  /** Accepts no more; connections end after what they are doing. Resolves when all have ended; may be called again. */
  drain(): Promise<void> {
    this.#server.close();
    for (const handshake of this.#handshakes) handshake.destroy();
    for (const connection of this.#connections) connection.drain();
    this.#isDraining = true;
    if (this.#connections.size === 0) this.#drained.resolve();
    return this.#drained.promise;
  }

  destroy(): void {
    this.#server.close();
    for (const handshake of this.#handshakes) handshake.destroy();
    for (const connection of this.#connections) connection.destroy();
  }

  #accept(socket: Socket): void {
    const { kind, tls, handshakeTimeoutMs, events, connections } = this.#options;
    if (kind === "tcp") return this.#openRaw(socket);
    if (kind === "http") return this.#open(socket, "http", this.#headTime(null, connections.deadlines.nowMs), false);
    const acceptedMs = connections.deadlines.nowMs;
    const handshake = new TlsHandshake(socket, tls, connections.deadlines, handshakeTimeoutMs, {
      onSecure: (secured, seconds) => {
        this.#handshakes.delete(handshake);
        events.onHandshake(secured.getProtocol() ?? "unknown", seconds);
        this.#open(secured, "https", this.#headTime(secured, acceptedMs), secured.alpnProtocol === "h2");
      },
      onFailed: (servername, error) => {
        this.#handshakes.delete(handshake);
        events.onHandshakeFailed(servername, error);
      },
    });
    this.#handshakes.add(handshake);
  }

  /** One for the handshake and the first head together: whoever trickles both in has no more time than for one. */
  #headTime(secured: TLSSocket | null, acceptedMs: number): HeadTime {
    const { publicPort, headTimes, connections } = this.#options;
    const { deadlines } = connections;
    const serverName = (secured as { servername?: string | false } | null)?.servername;
    const ms = headTimes.ms(publicPort, typeof serverName === "string" ? canonicalServerName(serverName) : null);
    return { ms, firstDeadlineMs: deadlines.after(ms) - (deadlines.nowMs - acceptedMs) };
  }

  #open(socket: Socket, scheme: "http" | "https", headTime: HeadTime, isHttp2: boolean): void {
    const { publicPort, region, http2 } = this.#options;
    const ends = this.#ends(socket);
    if (ends === null) return;
    const client: ClientFacts = { ip: ends.sourceIp, scheme, localIp: ends.destinationIp, port: publicPort, region };
    const context = this.#context;
    this.#connections.add(
      isHttp2 ? new Http2Connection(socket, client, context, http2, headTime) : new Http1Connection(socket, client, context, headTime),
    );
  }

  /** No name tells apps apart here, so there is one on this port; none for a moment, if it is just going. */
  #openRaw(socket: Socket): void {
    const { kind, router, publicPort } = this.#options;
    const ends = this.#ends(socket);
    if (ends === null) return;
    const route = router.only("tcp", publicPort);
    if (route === null) {
      socket.resetAndDestroy();
      return;
    }
    const connection = new RawConnection(socket, { kind, ends, serverName: null, isSecure: false, route }, this.#rawContext);
    this.#connections.add(connection);
    connection.begin();
  }

  /** null, and the socket closed: the client was gone before it was accepted, and has no address any more. */
  #ends(socket: Socket): Ends | null {
    const sourceIp = plainIp(socket.remoteAddress);
    const destinationIp = plainIp(socket.localAddress);
    if (sourceIp === null || destinationIp === null) {
      socket.destroy();
      return null;
    }
    return { sourceIp, sourcePort: socket.remotePort ?? 0, destinationIp, destinationPort: this.#options.publicPort };
  }

  #forget(connection: ClientConnection | RawConnection): void {
    this.#connections.delete(connection);
    if (this.#isDraining && this.#connections.size === 0) this.#drained.resolve();
  }
}

/** Without the IPv6 form that a dual-stack socket gives an IPv4 address. */
function plainIp(address: string | undefined): string | null {
  if (address === undefined) return null;
  return address.startsWith("::ffff:") ? address.slice(7) : address;
}
