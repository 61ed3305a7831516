// What a connection says before its protocol begins: the PROXY header of a proxy in front, Postgres' request for TLS, the ClientHello. Read
// on the bare socket in this order, bounded in bytes and in time. What is not ours to take is put back for whoever reads next.

import type { Socket } from "node:net";
import { ClientHelloReader, MAX_HELLO_BYTES, type ClientHello } from "../http/client-hello.ts";
import { GSS_NO, POSTGRES_REQUEST_BYTES, SSL_YES, postgresError, readPostgresStart } from "../http/postgres-start.ts";
import { MAX_PROXY_HEADER_BYTES, readProxyHeader } from "../http/proxy-header.ts";
import type { Deadlines, Timed } from "../core/deadlines.ts";
import type { Ends } from "../core/ends.ts";
import { ProxyError } from "../core/errors.ts";

export interface PreambleOptions {
  readonly deadlines: Deadlines;
  /** By the clock of `deadlines`. */
  readonly deadlineMs: number;
  readonly proxyHeader: boolean;
  readonly postgres: boolean;
  readonly clientHello: boolean;
  readonly onRead: (preamble: PreambleRead) => void;
  /** The connection is closed already. */
  readonly onFailed: (error: ProxyError) => void;
}

export interface PreambleRead {
  /** As a proxy in front says. null: there is none, or the connection is its own. */
  readonly ends: Ends | null;
  /** null: it was not asked for. */
  readonly hello: ClientHello | null;
  /** Postgres over TLS from the first byte. */
  readonly isDirectTls: boolean;
}

type Part = "proxy_header" | "postgres" | "client_hello";

const FIRST_BYTES = 2048;
const MOST_BYTES = MAX_HELLO_BYTES + MAX_PROXY_HEADER_BYTES;

export class Preamble implements Timed {
  deadlineMs: number;
  readonly #socket: Socket;
  readonly #options: PreambleOptions;
  readonly #parts: Part[];
  readonly #helloReader = new ClientHelloReader();
  /** What came and was not taken yet. */
  #held: Buffer = Buffer.allocUnsafe(FIRST_BYTES);
  #length = 0;
  #ends: Ends | null = null;
  #hello: ClientHello | null = null;
  #isDirectTls = false;
  #hasRefusedGss = false;
  #isOver = false;

  constructor(socket: Socket, options: PreambleOptions) {
    this.#socket = socket;
    this.#options = options;
    const { proxyHeader, postgres, clientHello } = options;
    this.#parts = (["proxy_header", "postgres", "client_hello"] as const).filter((_, index) => [proxyHeader, postgres, clientHello][index]);
    this.deadlineMs = options.deadlineMs;
    options.deadlines.add(this);
    socket.on("data", this.#onData);
    socket.on("end", this.#onClosed);
    socket.on("close", this.#onClosed);
    socket.on("error", this.#onClosed);
  }

  onDeadline(): void {
    const code = this.#parts[0] === "proxy_header" ? "bad_proxy_header" : "tls_handshake_failed";
    this.#fail(new ProxyError(code, "what comes before the protocol took too long"));
  }

  destroy(): void {
    this.#fail(new ProxyError("draining"));
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#append(chunk);
    try {
      while (this.#parts.length > 0 && this.#read(this.#parts[0]!)) this.#parts.shift();
    } catch (error) {
      this.#fail(error instanceof ProxyError ? error : new ProxyError("internal", "reading a preamble failed", { cause: error }));
      return;
    }
    if (this.#parts.length === 0) this.#succeed();
  };

  readonly #onClosed = (): void => {
    this.#fail(new ProxyError("client_closed", "the client left before its protocol began"));
  };

  /** True when the part is read, or is not there. */
  #read(part: Part): boolean {
    const bytes = this.#held.subarray(0, this.#length);
    switch (part) {
      case "proxy_header": {
        const header = readProxyHeader(bytes);
        if (header === null) return false;
        this.#ends = header.ends;
        this.#take(header.length);
        return true;
      }
      case "postgres":
        return this.#readPostgres(bytes);
      case "client_hello":
        this.#hello = this.#helloReader.read(bytes, bytes.length);
        return this.#hello !== null;
    }
  }

  #readPostgres(bytes: Buffer): boolean {
    const start = readPostgresStart(bytes);
    if (start === null) return false;
    if (start === "tls") {
      this.#isDirectTls = !this.#hasRefusedGss;
      return true;
    }
    if (start === "plain") {
      this.#socket.write(postgresError("28000", "this server is reached over TLS only: connect with sslmode=require or stricter"));
      throw new ProxyError("tls_required");
    }
    // What comes before it was answered would pass for encrypted later, and may be anyone's (CVE-2021-23222).
    if (bytes.length > POSTGRES_REQUEST_BYTES)
      throw new ProxyError("tls_handshake_failed", "something follows the request for TLS at once");
    this.#take(POSTGRES_REQUEST_BYTES);
    if (start === "ssl_request") {
      this.#socket.write(SSL_YES);
      return true;
    }
    if (this.#hasRefusedGss) throw new ProxyError("tls_handshake_failed", "GSS encryption was refused once already");
    this.#hasRefusedGss = true;
    this.#socket.write(GSS_NO);
    return false;
  }

  #append(chunk: Buffer): void {
    const length = this.#length + chunk.length;
    if (length > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, Math.min(2 * this.#held.length, MOST_BYTES)));
      this.#held.copy(grown, 0, 0, this.#length);
      this.#held = grown;
    }
    chunk.copy(this.#held, this.#length);
    this.#length = length;
  }

  #take(count: number): void {
    this.#held.copyWithin(0, count, this.#length);
    this.#length -= count;
  }

  #succeed(): void {
    if (!this.#end()) return;
    const socket = this.#socket;
    socket.pause();
    if (this.#length > 0) socket.unshift(this.#held.subarray(0, this.#length));
    this.#options.onRead({ ends: this.#ends, hello: this.#hello, isDirectTls: this.#isDirectTls });
  }

  #fail(error: ProxyError): void {
    if (!this.#end()) return;
    // It may say something still, and nobody listens.
    this.#socket.on("error", ignore);
    if (error.code === "tls_required") this.#socket.destroySoon();
    else this.#socket.destroy();
    this.#options.onFailed(error);
  }

  /** False when it was over already. */
  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.deadlineMs = Infinity;
    this.#options.deadlines.remove(this);
    const socket = this.#socket;
    socket.off("data", this.#onData);
    socket.off("end", this.#onClosed);
    socket.off("close", this.#onClosed);
    socket.off("error", this.#onClosed);
    return true;
  }
}

function ignore(): void {}
