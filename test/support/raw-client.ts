// One end of a connection in a test: sends exactly the bytes that it is told to and collects what comes back. Mostly the client's end,
// but a raw backend holds its connections in the same way.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { readMessage, type Message, type ReadOptions } from "./message.ts";

export class RawClient implements Disposable {
  readonly socket: Socket;
  #received = "";
  /** How much of it was taken by `response` and `request`. */
  #taken = 0;
  #ended = false;
  #wasReset = false;

  /** What a TLS connection runs over; otherwise the socket itself. */
  readonly #transport: Socket;

  private constructor(socket: Socket, transport: Socket = socket) {
    this.socket = socket;
    this.#transport = transport;
    socket.on("data", (chunk: Buffer) => (this.#received += chunk.toString("latin1")));
    socket.on("end", () => (this.#ended = true));
    socket.on("close", () => (this.#ended = true));
    socket.on("error", ({ code }: NodeJS.ErrnoException) => {
      if (code === "ECONNRESET" || code === "EPIPE") this.#wasReset = true;
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    await once(socket, "connect");
    return new RawClient(socket);
  }

  /** Rejects when the handshake fails. */
  static async connectTls(port: number, options: ConnectionOptions): Promise<RawClient> {
    const raw = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    const socket = connectTls({ socket: raw, ALPNProtocols: ["http/1.1"], allowHalfOpen: true, ...options } as ConnectionOptions);
    await once(socket, "secureConnect");
    return new RawClient(socket, raw);
  }

  /** Holds a connection that stands already. */
  static of(socket: Socket): RawClient {
    return new RawClient(socket);
  }

  get received(): string {
    return this.#received;
  }

  /** What was received and not taken. */
  get rest(): string {
    return this.#received.slice(this.#taken);
  }

  /** Has the other side ended the connection? */
  get ended(): boolean {
    return this.#ended;
  }

  /** Was the connection ended in a way that nobody can take for the end of a message? */
  get wasReset(): boolean {
    return this.#wasReset;
  }

  send(text: string | Buffer): this {
    this.socket.write(typeof text === "string" ? Buffer.from(text, "latin1") : text);
    return this;
  }

  /** Sends no more, and goes on reading. */
  end(): this {
    this.socket.end();
    return this;
  }

  /** Leaves at once, and tells the other side so. */
  reset(): void {
    this.#transport.resetAndDestroy();
  }

  /** Resolves with everything received as soon as `isEnough` says so. Rejects when the connection ends before. */
  async until(isEnough: (received: string) => boolean): Promise<string> {
    while (!isEnough(this.#received)) {
      if (this.#ended) throw this.#tooSoon();
      await this.#news();
    }
    return this.#received;
  }

  /** Resolves with everything received when the other side has ended the connection. */
  async untilEnd(): Promise<string> {
    while (!this.#ended) await this.#news();
    return this.#received;
  }

  /** Takes the next response, an interim one too. Rejects when the connection ends before it is complete. */
  response(options: { readonly toHead?: boolean } = {}): Promise<Message> {
    return this.#take({ type: "response", ...options });
  }

  request(): Promise<Message> {
    return this.#take({ type: "request" });
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  async #take(options: ReadOptions): Promise<Message> {
    for (;;) {
      const message = readMessage(this.rest, { ...options, hasEnded: this.#ended && !this.#wasReset });
      if (message !== null) {
        this.#taken += message.raw.length;
        return message;
      }
      if (this.#ended) throw this.#tooSoon();
      await this.#news();
    }
  }

  #tooSoon(): Error {
    const how = this.#wasReset ? "was reset" : "ended";
    return new Error(`the connection ${how} after ${this.#received.length} bytes: ${JSON.stringify(this.#received.slice(0, 1000))}`);
  }

  /** An error is always followed by "close", and nobody here is to fail because of it. */
  #news(): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const names = ["data", "end", "close"] as const;
    const done = (): void => {
      for (const name of names) this.socket.off(name, done);
      resolve();
    };
    for (const name of names) this.socket.on(name, done);
    return promise;
  }
}

/** Sends the bytes on a connection of their own and resolves with all that came back until the edge closed it. */
export async function exchangeRaw(port: number, text: string | Buffer): Promise<string> {
  using client = await RawClient.connect(port);
  return await client.send(text).untilEnd();
}

/** Sends a body without an end as fast as it is taken; returns what counts its bytes. */
export function pour({ socket }: RawClient): () => number {
  const piece = Buffer.alloc(64 * 1024);
  let sent = 0;
  const write = (): void => {
    do sent += piece.length;
    while (socket.write(piece));
  };
  socket.on("drain", write);
  write();
  return () => sent;
}
