// Hot path. One connection of a client without the http handler: held until a machine is found, then bytes both ways as they are.
// Which machine to try is decided in handle-connection.ts; this file only carries out.
//
//     routing ──► connecting ──► open ──► closed
//        └──► waiting ──┘                              every state ──► closed

import type { Socket } from "node:net";
import { postgresError } from "../http/postgres-start.ts";
import { writeProxyHeader } from "../http/proxy-header.ts";
import type { Deadlines, Timed } from "../core/deadlines.ts";
import type { Ends } from "../core/ends.ts";
import { ERRORS, type ErrorCode, type ProxyError } from "../core/errors.ts";
import type { PortKind } from "../core/port-kind.ts";
import type { Route } from "../routing/router.ts";
import type { Link, LinkEvents } from "../upstream/link.ts";
import { reset } from "../upstream/reset.ts";
import { SocketWriter, type WriteSlab } from "../upstream/socket-writer.ts";
import type { EdgeMachine, EdgeService } from "./edge-app.ts";
import type { Carried, ConnectionHandler, RoutedConnection } from "./handle-connection.ts";

/** What all raw connections of a worker share. */
export interface RawContext {
  readonly deadlines: Deadlines;
  readonly slab: WriteSlab;
  readonly handler: ConnectionHandler;
  /** It is over, whatever became of it. */
  readonly onClosed: (connection: RawConnection) => void;
}

/** What a listener knows of a connection when it hands it over. */
export interface RawFacts {
  readonly kind: PortKind;
  readonly ends: Ends;
  /** In the TLS handshake; null where there was none. */
  readonly serverName: string | null;
  /** TLS ends here. */
  readonly isSecure: boolean;
  readonly route: Route<EdgeService>;
}

type State = "routing" | "connecting" | "open" | "closed";

/** How long what was sent last may take to leave, once both sides have ended. */
const LAST_BYTES_MS = 60_000;

export class RawConnection implements LinkEvents, Carried, Timed {
  deadlineMs = Infinity;
  readonly facts: RawFacts;
  /** How it gets to a machine, and what the log says of it. */
  readonly routed: RoutedConnection;
  readonly #socket: Socket;
  readonly #context: RawContext;
  readonly #writer: SocketWriter;
  readonly #idleTimeoutMs: number;
  #state: State = "routing";
  #link: Link | null = null;
  #clientEnded = false;
  #machineEnded = false;
  #isClientGone = false;
  #attemptedAtMs = 0;

  /** @param socket does not flow; what was read ahead was put back */
  constructor(socket: Socket, facts: RawFacts, context: RawContext) {
    this.#socket = socket;
    this.#context = context;
    this.facts = facts;
    this.routed = context.handler.open(facts, facts.route.service, this);
    this.#idleTimeoutMs = facts.route.port.rules.idleTimeoutMs;
    this.#writer = new SocketWriter(socket, context.slab, facts.isSecure);
    context.deadlines.add(this);
    socket.on("drain", () => this.#onClientDrain());
    socket.on("end", () => this.#onClientEnd());
    socket.on("error", () => this.#onClientClosed());
    socket.on("close", () => this.#onClientClosed());
  }

  /** Looks for a machine. */
  begin(): void {
    this.routed.begin();
  }

  /** Goes on until somebody ends it. */
  drain(): void {}

  destroy(): void {
    this.#fail("draining");
  }

  attempt(machine: EdgeMachine): void {
    this.#state = "connecting";
    this.#attemptedAtMs = performance.now();
    this.#link = machine.pool!.link(this);
  }

  refuse(code: ErrorCode): void {
    this.#fail(code);
  }

  onLinked(): void {
    this.#state = "open";
    this.routed.onConnected(performance.now() - this.#attemptedAtMs);
    this.#touch();
    const { proxyProtocol } = this.facts.route.port.rules;
    if (proxyProtocol !== null) {
      const header = writeProxyHeader(proxyProtocol, this.facts.ends);
      this.#link!.write(header, 0, header.length);
    }
    if (this.#clientEnded) return this.#link!.end();
    this.#socket.on("data", (chunk: Buffer) => this.#onClientData(chunk));
    this.#socket.resume();
  }

  onLinkData(buffer: Buffer, start: number, end: number): void {
    this.routed.countSent(end - start);
    this.#writer.copy(buffer, start, end);
    if (!this.#writer.isFlowing) this.#link?.pause();
    this.#touch();
  }

  onLinkEnd(): void {
    this.#machineEnded = true;
    this.#writer.flush();
    this.#socket.end();
    this.#touch();
  }

  onLinkDrain(): void {
    this.#socket.resume();
  }

  onLinkClosed(): void {
    this.#link = null;
    this.#settle();
  }

  onLinkFailed(error: ProxyError, wasLinked: boolean): void {
    this.#link = null;
    if (wasLinked) this.#fail(error.code);
    else this.routed.onAttemptFailed(error);
  }

  onDeadline(): void {
    this.#fail(this.#clientEnded && this.#machineEnded ? null : "connection_idle");
  }

  #onClientData(chunk: Buffer): void {
    this.routed.countReceived(chunk.length);
    if (this.#link !== null && !this.#link.write(chunk, 0, chunk.length)) this.#socket.pause();
    this.#touch();
    this.#context.slab.flush();
  }

  #onClientDrain(): void {
    this.#link?.resume();
    this.#context.slab.flush();
  }

  #onClientEnd(): void {
    this.#clientEnded = true;
    // Before that, it is passed on when the machine is there.
    if (this.#state === "open") this.#link?.end();
    this.#touch();
    this.#context.slab.flush();
  }

  #onClientClosed(): void {
    if (this.#isClientGone) return;
    this.#isClientGone = true;
    if (this.#clientEnded && this.#machineEnded && this.#socket.writableFinished) this.#settle();
    else this.#fail(this.#state === "open" ? null : "client_closed");
    this.#context.slab.flush();
  }

  /** The last that was heard of either side is now. */
  #touch(): void {
    const ms = this.#clientEnded && this.#machineEnded ? LAST_BYTES_MS : this.#idleTimeoutMs;
    this.deadlineMs = this.#context.deadlines.after(ms);
  }

  /** Over when nothing is left of either side. */
  #settle(): void {
    if (this.#link === null && this.#isClientGone) this.#leave();
  }

  /** Ends both sides in a way that nobody takes for the end of what was sent. */
  #fail(code: ErrorCode | null): void {
    if (this.#state === "closed") return;
    if (code !== null) this.routed.code = code;
    this.#link?.abort();
    this.#link = null;
    if (this.#state !== "open" && this.facts.kind === "pg_tls" && code !== null) this.#explain(code);
    else {
      this.#writer.flush();
      if (this.facts.isSecure) this.#socket.destroy();
      else reset(this.#socket);
    }
    this.#leave();
  }

  /** Postgres has a way to say why; a client waits for an answer now, and shows it. */
  #explain(code: ErrorCode): void {
    const error = postgresError("57P03", `${ERRORS[code].summary} (${code})`);
    this.#socket.resume();
    this.#socket.write(error);
    this.#socket.destroySoon();
  }

  #leave(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#isClientGone = true;
    this.deadlineMs = Infinity;
    this.#context.deadlines.remove(this);
    this.routed.end();
    this.#context.onClosed(this);
  }
}
