// What the tests of certificates share: a scratch directory, a silent log, a clock that moves by hand, and TLS on loopback.

import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ConnectionOptions,
  connect,
  createServer,
  type PeerCertificate,
  type Server,
  type TlsOptions,
  type TLSSocket,
} from "node:tls";

import { type Logger, pino } from "pino";

import type { StartTimer } from "../../src/core/alarm.ts";

export const silent: Logger = pino({ level: "silent" });

export class ScratchDirectory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "kittiwake-certs-"));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A logger, and the messages that it got. */
export function recordingLog(): { log: Logger; messages: string[] } {
  const messages: string[] = [];
  const log = pino({ level: "debug" }, { write: (line) => void messages.push((JSON.parse(line) as { msg: string }).msg) });
  return { log, messages };
}

/** Time that stands still but for `advance`; for components that take `now` and `startTimer`. */
export class ManualClock {
  #nowMs = Date.UTC(2030, 0, 1);
  #timers: { readonly atMs: number; readonly callback: () => void }[] = [];
  readonly #events = new EventEmitter();

  readonly now = (): number => this.#nowMs;

  readonly startTimer: StartTimer = (callback, ms) => {
    const timer = { atMs: this.#nowMs + ms, callback };
    this.#timers.push(timer);
    this.#events.emit("timer");
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
  };

  /** When the next timer fires, relative to now; waits for one to be started if there is none. */
  async nextTimerMs(): Promise<number> {
    if (this.#timers.length === 0) await once(this.#events, "timer");
    return Math.min(...this.#timers.map(({ atMs }) => atMs)) - this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { callback } of due) callback();
  }
}

/** What a client saw of a handshake that succeeded. */
export interface Handshake {
  readonly authorized: boolean;
  readonly protocol: string | null;
  /** As the RFCs name it. */
  readonly cipher: string;
  readonly certificate: PeerCertificate;
  readonly isResumed: boolean;
  /** For a later connection to resume; undefined where the server offered none. */
  readonly session: Buffer | undefined;
}

/** A TLS server on loopback that greets whoever completes the handshake. */
export class TlsServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #listening: Promise<unknown>;
  readonly #sockets = new Set<TLSSocket>();
  /** Why handshakes failed, oldest first. */
  readonly failures: Error[] = [];

  constructor(options: TlsOptions) {
    this.#server = createServer(options, (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
      socket.end("hello");
    });
    this.#server.on("tlsClientError", (error) => this.failures.push(error));
    this.#server.listen(0, "127.0.0.1");
    this.#listening = once(this.#server, "listening");
  }

  /** Completes a handshake and reads the greeting. Rejects when the handshake fails. */
  async connect(options: ConnectionOptions): Promise<Handshake> {
    await this.#listening;
    const { port } = this.#server.address() as AddressInfo;
    const socket = connect({ host: "127.0.0.1", port, ...options });
    let session: Buffer | undefined;
    socket.on("session", (ticket: Buffer) => (session = ticket));
    try {
      await once(socket, "secureConnect");
      const handshake = {
        authorized: socket.authorized,
        protocol: socket.getProtocol(),
        cipher: socket.getCipher().standardName,
        certificate: socket.getPeerCertificate(),
        isResumed: socket.isSessionReused(),
      };
      // With TLS 1.3, tickets come before the first byte of data but after the handshake.
      socket.resume();
      await once(socket, "end");
      return { ...handshake, session };
    } finally {
      socket.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
