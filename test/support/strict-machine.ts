// A machine that reads what comes to it as strictly as the edge reads its clients, so that a wrong boundary shows, and answers every request
// well, or what it is told to.

import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { RequestDecoder, type Http1RequestHead, type RequestLimits } from "../../src/http/http1/request-decoder.ts";

/** A whole request as it came. */
export interface ArrivedRequest {
  readonly method: string;
  readonly target: string;
  data: string;
  /** `name: value`, names in lower case. */
  readonly trailers: string[];
}

/** Room for what a proxy adds to a request that is at its own limits. */
const LIMITS: RequestLimits = {
  headBytes: 65_536,
  targetBytes: 32_768,
  headers: 200,
  underscores: "pass",
  trailerBytes: 65_536,
  trailers: 200,
  chunkExtensionBytes: 65_536,
};
const WELL = Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");

export class StrictMachine implements AsyncDisposable {
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  /** Whole requests in order of arrival; what could not be read is one, too, of a method that there is not. */
  readonly requests: ArrivedRequest[] = [];
  /** Sent once for a request, behind which the connection is ended; null: every request is answered well. */
  answer: Buffer | null = null;

  private constructor() {
    this.#server = createServer((socket) => {
      this.#connections.add(socket);
      socket.on("close", () => this.#connections.delete(socket));
      socket.on("error", () => socket.destroy());
      this.#serve(socket);
    });
  }

  static async start(): Promise<StrictMachine> {
    const machine = new StrictMachine();
    machine.#server.listen(0, "127.0.0.1");
    await once(machine.#server, "listening");
    return machine;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  endConnections(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.endConnections();
    this.#server.close();
    await closed;
  }

  /** Reads on whatever a request says about the connection. */
  #serve(socket: Socket): void {
    let request: ArrivedRequest = { method: "", target: "", data: "", trailers: [] };
    const decoder = new RequestDecoder(LIMITS, {
      onHead: ({ method, target }: Http1RequestHead) => void (request = { method, target, data: "", trailers: [] }),
      onData: (buffer, start, end) => void (request.data += buffer.toString("latin1", start, end)),
      onTrailers(fields) {
        for (let i = 0; i < fields.count; i++) request.trailers.push(`${fields.name(i)}: ${fields.value(i)}`);
      },
      onEnd: () => {
        this.requests.push(request);
        if (this.answer === null) socket.write(WELL);
        else socket.end(this.answer);
        decoder.next();
      },
    });
    socket.on("data", (chunk: Buffer) => {
      try {
        decoder.decode(chunk, 0, chunk.length);
      } catch {
        this.requests.push({ method: "?", target: "what no strict reader takes", data: chunk.toString("latin1"), trailers: [] });
        socket.destroy();
      }
    });
  }
}
