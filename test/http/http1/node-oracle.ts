// How Node's own HTTP, which is llhttp, reads the same bytes: a real server and a real client on a wire in memory.

import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { Duplex } from "node:stream";

import type { FieldList } from "./readers.ts";

export interface NodeRequest {
  readonly method: string;
  readonly url: string;
  readonly fields: FieldList;
  readonly keepAlive: boolean;
  data: string;
  trailers: FieldList;
  isComplete: boolean;
}

export interface NodeResponse {
  readonly status: number;
  readonly reason: string;
  readonly fields: FieldList;
  keepAlive: boolean;
  data: string;
  trailers: FieldList;
  isComplete: boolean;
}

export interface NodeResponses {
  readonly interim: { readonly status: number; readonly fields: FieldList }[];
  final: NodeResponse | null;
}

/** A connection whose other end has sent these bytes and closed; what is written to it is lost. */
class Wire extends Duplex {
  override _read(): void {}

  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done();
  }

  deliver(bytes: Buffer): void {
    this.push(bytes);
    this.push(null);
  }

  /** An agent asks for these of a socket. */
  setKeepAlive(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): void {}

  unref(): void {}
}

class WireAgent extends Agent {
  readonly #wire: Wire;

  constructor(wire: Wire) {
    super({ keepAlive: true });
    this.#wire = wire;
  }

  override createConnection(): Duplex {
    return this.#wire;
  }
}

export class NodeOracle {
  readonly #server = createServer({ insecureHTTPParser: false, maxHeaderSize: 64 * 1024, requireHostHeader: true });
  #requests: NodeRequest[] = [];

  constructor() {
    this.#server.on("request", (message: IncomingMessage, response: ServerResponse) => this.#onRequest(message, response));
    // Requests before the one that was refused still have to tell their end.
    this.#server.on("clientError", (_error, socket) => void setImmediate(() => socket.destroy()));
  }

  async readRequests(bytes: Buffer): Promise<NodeRequest[]> {
    this.#requests = [];
    const wire = new Wire();
    const closed = new Promise((resolve) => void wire.once("close", resolve));
    this.#server.emit("connection", wire);
    wire.deliver(bytes);
    await closed;
    return this.#requests;
  }

  async readResponse(bytes: Buffer, method: string): Promise<NodeResponses> {
    const result: NodeResponses = { interim: [], final: null };
    const wire = new Wire();
    const headers = { connection: "upgrade, keep-alive", upgrade: "x" };
    const asked = request({
      agent: new WireAgent(wire),
      method,
      host: "example.com",
      headers,
      insecureHTTPParser: false,
      maxHeaderSize: 64 * 1024,
    });
    const keepAlive = (): boolean => (asked as unknown as { shouldKeepAlive: boolean }).shouldKeepAlive;
    asked.on(
      "information",
      ({ statusCode, rawHeaders }) => void result.interim.push({ status: statusCode, fields: listFields(rawHeaders) }),
    );
    const onFinal = (message: IncomingMessage): NodeResponse => {
      const { statusCode = 0, statusMessage = "", rawHeaders } = message;
      return (result.final = {
        status: statusCode,
        reason: statusMessage,
        fields: listFields(rawHeaders),
        keepAlive: keepAlive(),
        data: "",
        trailers: [],
        isComplete: false,
      });
    };
    asked.on("response", (message) => {
      const final = onFinal(message);
      collect(message, final);
      message.once("end", () => (final.keepAlive = keepAlive()));
    });
    asked.on("upgrade", (message, socket) => {
      onFinal(message).isComplete = true;
      socket.destroy();
    });
    // A response that is refused is one that is not there, or not complete.
    asked.on("error", () => wire.destroy());
    const closed = new Promise((resolve) => void asked.once("close", resolve));
    asked.once("finish", () => wire.deliver(bytes));
    asked.end();
    await closed;
    wire.destroy();
    return result;
  }

  #onRequest(message: IncomingMessage, response: ServerResponse): void {
    const { method = "", url = "", rawHeaders } = message;
    const read: NodeRequest = {
      method,
      url,
      fields: listFields(rawHeaders),
      keepAlive: response.shouldKeepAlive,
      data: "",
      trailers: [],
      isComplete: false,
    };
    this.#requests.push(read);
    collect(message, read);
    message.once("end", () => response.end());
  }
}

function collect(message: IncomingMessage, into: { data: string; trailers: FieldList; isComplete: boolean }): void {
  message.on("data", (piece: Buffer) => void (into.data += piece.toString("latin1")));
  message.on("end", () => {
    into.isComplete = message.complete;
    into.trailers = listFields(message.rawTrailers);
  });
  message.on("error", () => undefined);
}

function listFields(raw: readonly string[]): FieldList {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[index * 2]!.toLowerCase(), raw[index * 2 + 1]!] as const);
}
