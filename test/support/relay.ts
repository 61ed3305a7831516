// The address that a certificate authority validates at: connections go on to one of several nodes, as by anycast, chosen by chance. Those that
// come before there is a node wait for one.

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export class Relay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #ready = Promise.withResolvers<void>();
  #ports: readonly number[] = [];
  /** How many connections each port got. */
  readonly counts = new Map<number, number>();

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => void this.#pass(socket));
  }

  static async start(): Promise<Relay> {
    const relay = new Relay(createServer({ pauseOnConnect: true }));
    relay.#server.listen(0, "127.0.0.1");
    await once(relay.#server, "listening");
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Where to, from now on; nowhere: connections wait. */
  leadTo(...ports: number[]): void {
    // Those who wait already go on waiting for the same.
    if (ports.length === 0 && this.#ports.length > 0) this.#ready = Promise.withResolvers();
    this.#ports = ports;
    if (ports.length > 0) this.#ready.resolve();
  }

  async #pass(socket: Socket): Promise<void> {
    this.#keep(socket);
    await this.#ready.promise;
    const port = this.#ports[Math.floor(Math.random() * this.#ports.length)]!;
    this.counts.set(port, (this.counts.get(port) ?? 0) + 1);
    const node = connect(port, "127.0.0.1");
    this.#keep(node);
    socket.pipe(node).pipe(socket);
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
