// Clients that ask one request after another, each over a connection of its own that stays: as little work for each answer as can be, so that
// what is measured is the edge.

import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface Answered {
  readonly status: number;
  readonly body: string;
  /** Clock of performance.now(). */
  readonly askedMs: number;
  readonly answeredMs: number;
}

const HEAD_END = "\r\n\r\n";

export class Lane implements Disposable {
  readonly #socket: Socket;
  #received = "";
  #pending: { readonly askedMs: number; resolve(answer: Answered): void; reject(error: unknown): void } | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1").on("data", (text: string) => this.#onText(text));
    socket.on("error", (error) => this.#pending?.reject(error));
    socket.on("close", () => this.#pending?.reject(new Error("the edge closed the connection")));
  }

  static async connect(port: number): Promise<Lane> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new Lane(socket);
  }

  /** One at a time. Rejects when the connection ends before the response has. */
  ask(host: string, lines = ""): Promise<Answered> {
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    this.#pending = { askedMs: performance.now(), resolve, reject };
    this.#socket.write(`GET / HTTP/1.1\r\nhost: ${host}\r\n${lines}\r\n`);
    return promise;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  /** Every response here has a length. */
  #onText(text: string): void {
    this.#received += text;
    const headEnd = this.#received.indexOf(HEAD_END);
    if (headEnd === -1) return;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(this.#received)?.[1] ?? 0);
    const end = headEnd + HEAD_END.length + length;
    if (this.#received.length < end) return;
    const pending = this.#pending!;
    this.#pending = null;
    const status = Number(this.#received.slice(9, 12));
    const body = this.#received.slice(headEnd + HEAD_END.length, end);
    this.#received = this.#received.slice(end);
    pending.resolve({ status, body, askedMs: pending.askedMs, answeredMs: performance.now() });
  }
}
