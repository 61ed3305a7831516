// The TLS handshake of a client that just connected: bounded in time, and over before anyone else hears of the connection.

import type { Socket } from "node:net";
import { TLSSocket, type SecureContext, type TLSSocketOptions } from "node:tls";
import type { Deadlines, Timed } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";

export interface TlsServing {
  /** Versions, ciphers and ticket keys; it has no certificate, so a client that names no host is turned away. */
  readonly secureContext: SecureContext;
  readonly SNICallback: NonNullable<TLSSocketOptions["SNICallback"]>;
}

export interface HandshakeEvents {
  onSecure(socket: TLSSocket, seconds: number): void;
  /** The connection is closed already. `servername` is empty where none was sent. */
  onFailed(servername: string, error: Error): void;
}

export class TlsHandshake implements Timed {
  deadlineMs: number;
  readonly #socket: TLSSocket;
  readonly #deadlines: Deadlines;
  readonly #events: HandshakeEvents;
  readonly #startedMs = performance.now();
  #isOver = false;

  constructor(raw: Socket, tls: TlsServing, deadlines: Deadlines, timeoutMs: number, events: HandshakeEvents) {
    this.#deadlines = deadlines;
    this.#events = events;
    this.deadlineMs = deadlines.after(timeoutMs);
    deadlines.add(this);
    const socket = new TLSSocket(raw, {
      isServer: true,
      requestCert: false,
      rejectUnauthorized: false,
      ALPNProtocols: ["http/1.1"],
      allowHalfOpen: true,
      ...tls,
    } as TLSSocketOptions);
    this.#socket = socket;
    socket.on("secure", () => this.#onSecure());
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new ProxyError("tls_handshake_failed", "the client left during the handshake")));
    raw.on("error", (error) => this.#fail(error));
  }

  onDeadline(): void {
    this.#fail(new ProxyError("tls_handshake_failed", "the handshake took too long"));
  }

  destroy(): void {
    this.#fail(new ProxyError("draining"));
  }

  #onSecure(): void {
    if (!this.#end()) return;
    this.#socket.removeAllListeners("error");
    this.#socket.removeAllListeners("close");
    this.#events.onSecure(this.#socket, (performance.now() - this.#startedMs) / 1000);
  }

  #fail(error: Error): void {
    if (!this.#end()) return;
    // Errors may follow the first one; nobody needs them.
    this.#socket.removeAllListeners("error");
    this.#socket.on("error", () => {});
    const { servername } = this.#socket as { servername?: string | false | null };
    this.#socket.destroy();
    this.#events.onFailed(typeof servername === "string" ? servername : "", error);
  }

  /** False when it was over already. */
  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.deadlineMs = Infinity;
    this.#deadlines.remove(this);
    return true;
  }
}
