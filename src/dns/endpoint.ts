// One address of the DNS server: UDP and TCP at the same port.

import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";
import type { Address } from "../core/app.ts";
import { serveConnection } from "./tcp-connection.ts";

export interface EndpointOptions {
  /** An IP address; port 0 takes one that is free for both. */
  readonly listen: Address;
  /** null: no answer; by TCP the connection ends. Never rejects. */
  respond(message: Buffer, from: string, transport: "udp" | "tcp"): Promise<Buffer | null>;
  /** How long a TCP connection may go without a whole message, in milliseconds. */
  readonly idleMs: number;
}

const MOST_CONNECTIONS = 128;
const MOST_CONNECTIONS_OF_ONE = 8;
/** Any free port of UDP may be somebody's of TCP. */
const PORTS_TRIED = 10;

export class Endpoint implements AsyncDisposable {
  readonly address: Address;
  /** Rejects when a socket breaks; never resolves. */
  readonly broken: Promise<never>;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #options: EndpointOptions;
  readonly #connections = new Set<Socket>();

  private constructor(udp: UdpSocket, tcp: Server, options: EndpointOptions) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.#options = options;
    this.address = { host: options.listen.host, port: udp.address().port };
    const { promise, reject } = Promise.withResolvers<never>();
    this.broken = promise;
    promise.catch(() => {});
    udp.on("error", reject);
    tcp.on("error", reject);
    udp.on("message", (message, from) => void this.#onMessage(message, from));
    tcp.on("connection", (socket) => void this.#onConnection(socket));
  }

  /** Rejects with the error of the system. */
  static async open(options: EndpointOptions): Promise<Endpoint> {
    const { host, port } = options.listen;
    for (let tries = 1; ; tries++) {
      const udp = await bindUdp(host, port);
      try {
        return new Endpoint(udp, await listenTcp(host, udp.address().port), options);
      } catch (error) {
        udp.close();
        if (port !== 0 || tries === PORTS_TRIED || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = [new Promise<void>((resolve) => this.#udp.close(resolve)), new Promise((resolve) => this.#tcp.close(resolve))];
    for (const socket of this.#connections) socket.destroy();
    await Promise.all(closed);
  }

  async #onMessage(message: Buffer, { address, port }: RemoteInfo): Promise<void> {
    // Nobody can be answered there.
    if (port === 0) return;
    const answer = await this.#options.respond(message, address, "udp");
    if (answer === null) return;
    try {
      // One that cannot be sent is lost, as datagrams are.
      this.#udp.send(answer, port, address, () => {});
    } catch {
      // The server was stopped meanwhile.
    }
  }

  async #onConnection(socket: Socket): Promise<void> {
    const { remoteAddress } = socket;
    socket.on("error", () => {});
    const others = [...this.#connections].filter((other) => other.remoteAddress === remoteAddress);
    if (remoteAddress === undefined || others.length >= MOST_CONNECTIONS_OF_ONE) return void socket.destroy();
    this.#connections.add(socket);
    socket.once("close", () => this.#connections.delete(socket));
    const respond = (message: Buffer): Promise<Buffer | null> => this.#options.respond(message, remoteAddress, "tcp");
    await serveConnection(socket, { respond, idleMs: this.#options.idleMs });
  }
}

function bindUdp(host: string, port: number): Promise<UdpSocket> {
  const isIPv6 = host.includes(":");
  const socket = createSocket({ type: isIPv6 ? "udp6" : "udp4", ipv6Only: isIPv6 });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.removeListener("error", reject);
      resolve(socket);
    });
  });
}

function listenTcp(host: string, port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.maxConnections = MOST_CONNECTIONS;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, ipv6Only: host.includes(":"), exclusive: true }, () => {
      server.removeListener("error", reject);
      resolve(server);
    });
  });
}
