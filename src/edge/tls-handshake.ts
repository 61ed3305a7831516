// The TLS handshake of a client that just connected: bounded in time, and over before anyone else hears of the connection.

import type { Socket } from "node:net";
import { TLSSocket, type SecureContext, type TLSSocketOptions } from "node:tls";
import type { ClientAuth } from "../core/app.ts";
import type { Deadlines, Timed } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import type { ClientIdentity } from "../upstream/forward.ts";
import { clientIdentity } from "./client-certificate.ts";

export interface TlsServing {
  /** Versions, ciphers and ticket keys; it has no certificate, so a client that names no host is turned away. */
  readonly secureContext: SecureContext;
  readonly SNICallback: NonNullable<TLSSocketOptions["SNICallback"]>;
  /** null: the client is not asked for a certificate. Both contexts are made for it. */
  readonly clientAuth: ClientAuth | null;
}

export interface HandshakeOptions {
  readonly tls: TlsServing;
  /** Protocols to offer, best first; null: none is negotiated. */
  readonly alpn: readonly string[] | null;
  readonly deadlines: Deadlines;
  /** By the clock of `deadlines`. */
  readonly deadlineMs: number;
}

export interface HandshakeEvents {
  /** `identity` is null where none was asked for. */
  onSecure(socket: TLSSocket, identity: ClientIdentity | null, seconds: number): void;
  /** The connection is closed already. `servername` is empty where none was sent. */
  onFailed(servername: string, error: Error): void;
}

/** From so many bytes on, what was written has to leave before more is read from a machine. */
const HIGHEST_WAITING_BYTES = 16 * 1024;

export class TlsHandshake implements Timed {
  deadlineMs: number;
  readonly #raw: Socket;
  readonly #socket: TLSSocket;
  readonly #clientAuth: ClientAuth | null;
  readonly #deadlines: Deadlines;
  readonly #events: HandshakeEvents;
  readonly #startedMs = performance.now();
  #isOver = false;

  constructor(raw: Socket, { tls, alpn, deadlines, deadlineMs }: HandshakeOptions, events: HandshakeEvents) {
    this.#raw = raw;
    this.#clientAuth = tls.clientAuth;
    this.#deadlines = deadlines;
    this.#events = events;
    this.deadlineMs = deadlineMs;
    deadlines.add(this);
    const socket = new TLSSocket(raw, {
      isServer: true,
      requestCert: tls.clientAuth !== null,
      // Where there must be one, a client without any hears so in an alert.
      rejectUnauthorized: tls.clientAuth?.mode === "required",
      ...(alpn === null ? {} : { ALPNProtocols: [...alpn] }),
      allowHalfOpen: true,
      highWaterMark: HIGHEST_WAITING_BYTES,
      secureContext: tls.secureContext,
      SNICallback: tls.SNICallback,
    } as TLSSocketOptions);
    this.#socket = socket;
    socket.on("secure", this.#onSecure);
    socket.on("error", this.#fail);
    socket.on("close", this.#onClosed);
    raw.on("error", this.#fail);
  }

  onDeadline(): void {
    this.#fail(new ProxyError("tls_handshake_failed", "the handshake took too long"));
  }

  destroy(): void {
    this.#fail(new ProxyError("draining"));
  }

  readonly #onSecure = (): void => {
    const socket = this.#socket;
    let identity: ClientIdentity | null = null;
    if (this.#clientAuth !== null && !this.#isOver) {
      try {
        identity = clientIdentity(socket, this.#clientAuth, Date.now());
      } catch (error) {
        this.#fail(error as Error);
        return;
      }
    }
    if (!this.#end()) return;
    // Only these: Node has listeners of its own, which free the session's memory.
    socket.off("error", this.#fail);
    socket.off("close", this.#onClosed);
    this.#raw.off("error", this.#fail);
    this.#raw.on("error", ignore);
    // A client could have it done over and over, which costs this side more (CVE-2011-1473).
    socket.disableRenegotiation();
    // Bytes that are no TLS are told of in this way alone where no `tls.Server` made the socket.
    socket.on("_tlsError", () => socket.destroy());
    socket.once("end", this.#onEnd);
    this.#events.onSecure(socket, identity, (performance.now() - this.#startedMs) / 1000);
  };

  /** It goes on listening: errors may follow the first one, and nobody needs them. */
  readonly #fail = (error: Error): void => {
    if (!this.#end()) return;
    const { servername } = this.#socket as { servername?: string | false | null };
    this.#socket.destroy();
    this.#events.onFailed(typeof servername === "string" ? servername : "", translate(error));
  };

  /**
   * A reset that meets the last write of the handshake (session tickets) goes unheard where the client's end was read before it: Node then
   * keeps whatever is written, without an error. The kernel knows of nobody at the other end any more.
   */
  readonly #onEnd = (): void => {
    if (this.#socket.remoteAddress === undefined) this.#socket.destroy();
  };

  readonly #onClosed = (): void => this.#fail(new ProxyError("tls_handshake_failed", "the client left during the handshake"));

  /** False when it was over already. */
  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.deadlineMs = Infinity;
    this.#deadlines.remove(this);
    return true;
  }
}

function translate(error: Error): Error {
  if ((error as NodeJS.ErrnoException).code !== "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") return error;
  return new ProxyError("client_certificate_required", undefined, { cause: error });
}

/** The TLS socket is closed with the one below, and says so. */
function ignore(): void {}
