// A client that sends exactly the bytes of a test and collects what comes back.

import { once } from "node:events";
import { connect, type Socket } from "node:net";

export class RawClient implements Disposable {
  readonly socket: Socket;
  #received = "";
  #ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => (this.#received += chunk.toString("latin1")));
    socket.on("end", () => (this.#ended = true));
    socket.on("close", () => (this.#ended = true));
    socket.on("error", () => {});
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    return new RawClient(socket);
  }

  get received(): string {
    return this.#received;
  }

  /** Has the other side ended the connection? */
  get ended(): boolean {
    return this.#ended;
  }

  send(text: string | Buffer): this {
    this.socket.write(typeof text === "string" ? Buffer.from(text, "latin1") : text);
    return this;
  }

  /** Resolves with everything received as soon as `isEnough` says so. Rejects when the connection ends before. */
  async until(isEnough: (received: string) => boolean): Promise<string> {
    while (!isEnough(this.#received)) {
      if (this.#ended) throw new Error(`the connection ended after ${JSON.stringify(this.#received)}`);
      await Promise.race([once(this.socket, "data"), once(this.socket, "end"), once(this.socket, "close")]);
    }
    return this.#received;
  }

  /** Resolves with everything received when the other side has ended the connection. */
  async untilEnd(): Promise<string> {
    while (!this.#ended) await Promise.race([once(this.socket, "end"), once(this.socket, "close")]);
    return this.#received;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Sends the bytes on a connection of their own and resolves with all that came back until the edge closed it. */
export async function exchangeRaw(port: number, text: string | Buffer): Promise<string> {
  using client = await RawClient.connect(port);
  return await client.send(text).untilEnd();
}
