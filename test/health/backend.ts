// A machine to be probed: a real HTTP or HTTPS server whose answer a test decides.

import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";

import { createRoot } from "../../src/certs/sign.ts";
import type { Address, HttpCheck, TcpCheck } from "../../src/core/app.ts";

export class Backend extends EventEmitter implements AsyncDisposable {
  readonly requests: IncomingMessage[] = [];
  connections = 0;
  answer: RequestListener = (_request, response) => void response.end("ok");
  readonly #server: Server;

  private constructor(server: Server) {
    super();
    this.#server = server;
    server.on("connection", () => (this.connections += 1));
    server.on("request", (request, response) => {
      this.requests.push(request);
      this.answer(request, response);
      this.emit("request");
    });
  }

  static async start(): Promise<Backend> {
    return await new Backend(createServer()).#listening();
  }

  /** With a certificate that nobody vouches for. */
  static async startTls(): Promise<Backend> {
    const nowMs = Date.now();
    const { certificatePem, privateKeyPem } = await createRoot({
      notBefore: new Date(nowMs - 60_000),
      notAfter: new Date(nowMs + 3_600_000),
    });
    return await new Backend(createTlsServer({ cert: certificatePem, key: privateKeyPem })).#listening();
  }

  get address(): Address {
    return { host: "127.0.0.1", port: (this.#server.address() as AddressInfo).port };
  }

  /** Resolves when `count` requests have come. */
  async seen(count: number): Promise<void> {
    while (this.requests.length < count) await once(this, "request", { signal: AbortSignal.timeout(5000) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #listening(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }
}

export function httpCheck(changes: Partial<HttpCheck> = {}): HttpCheck {
  const timing = { name: "servicecheck-00-http-8080", intervalMs: 1000, timeoutMs: 5000, gracePeriodMs: 0 };
  const request = { method: "GET", path: "/health", protocol: "http", tlsSkipVerify: false, tlsServerName: null, headers: {} } as const;
  return { type: "http", ...timing, ...request, ...changes };
}

export function tcpCheck(changes: Partial<TcpCheck> = {}): TcpCheck {
  return { type: "tcp", name: "servicecheck-01-tcp-8080", intervalMs: 1000, timeoutMs: 5000, gracePeriodMs: 0, ...changes };
}
