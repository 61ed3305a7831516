// Hot path. One client of a UDP service, as long as datagrams pass: a socket of its own to one machine, so that replies find their way back.
// The first datagrams are kept until the machine answers, for a machine that has to wake and for one that turns out not to be there.

import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { writeDatagramHeader } from "../http/proxy-header.ts";
import type { Deadlines, Timed } from "../core/deadlines.ts";
import type { Ends } from "../core/ends.ts";
import { ProxyError, type ErrorCode } from "../core/errors.ts";
import type { Route } from "../routing/router.ts";
import type { EdgeMachine, EdgeService } from "./edge-app.ts";
import type { Carried, ConnectionHandler, RoutedConnection } from "./handle-connection.ts";

/** What all UDP sessions of a worker share. */
export interface UdpContext {
  readonly deadlines: Deadlines;
  readonly handler: ConnectionHandler;
  /** How long a session lives without a datagram either way, where its port does not say. */
  readonly idleMs: number;
  readonly onClosed: (session: UdpSession) => void;
}

const MOST_KEPT = 8;
const MOST_KEPT_BYTES = 64 * 1024;

export class UdpSession implements Carried, Timed {
  deadlineMs: number;
  /** How it gets to a machine, and what the log says of it. */
  readonly routed: RoutedConnection;
  readonly #context: UdpContext;
  readonly #reply: (datagram: Buffer) => void;
  readonly #header: Buffer | null;
  readonly #idleMs: number;
  /** Not answered yet; null once the machine has answered anything. */
  #kept: Buffer[] | null = [];
  #keptBytes = 0;
  #socket: Socket | null = null;
  #isConnected = false;
  #isOver = false;

  /** @param reply sends to the client */
  constructor(ends: Ends, route: Route<EdgeService>, context: UdpContext, reply: (datagram: Buffer) => void) {
    this.#context = context;
    this.#reply = reply;
    this.routed = context.handler.open({ kind: "udp", ends, serverName: null }, route.service, this);
    this.#header = route.port.rules.proxyProtocol === null ? null : writeDatagramHeader(ends);
    this.#idleMs = route.port.rules.idleTimeoutMs || context.idleMs;
    this.deadlineMs = context.deadlines.after(this.#idleMs);
  }

  /** Why its client may not have it; null when it may. Asked first, and when there is a reason that is all there is of the session. */
  admit(): ErrorCode | null {
    return this.routed.admit();
  }

  /** Looks for a machine. */
  begin(): void {
    this.#context.deadlines.add(this);
    this.routed.begin(null);
  }

  onDatagram(datagram: Buffer): void {
    if (this.#isOver) return;
    this.routed.countReceived(datagram.length);
    this.deadlineMs = this.#context.deadlines.after(this.#idleMs);
    if (this.#kept !== null && this.#kept.length < MOST_KEPT && this.#keptBytes + datagram.length <= MOST_KEPT_BYTES) {
      this.#kept.push(datagram);
      this.#keptBytes += datagram.length;
    }
    // What there is no room for is lost, as datagrams are.
    if (this.#isConnected) this.#send(datagram);
  }

  attempt(machine: EdgeMachine): void {
    const { host, port } = machine.address!;
    // It may have waited for longer than a session may be silent.
    this.deadlineMs = this.#context.deadlines.after(this.#idleMs);
    const socket = createSocket({ type: isIPv6(host) ? "udp6" : "udp4" });
    this.#socket = socket;
    socket.on("message", (datagram: Buffer) => this.#onReply(datagram));
    socket.on("error", (error: NodeJS.ErrnoException) => this.#onError(socket, error));
    socket.on("connect", () => {
      if (socket !== this.#socket) return;
      this.#isConnected = true;
      for (const datagram of this.#kept ?? []) this.#send(datagram);
    });
    socket.connect(port, host);
  }

  refuse(code: ErrorCode): void {
    this.close(code);
  }

  onDeadline(): void {
    // One that waits is ended by the gate.
    if (this.routed.isWaiting) this.deadlineMs = this.#context.deadlines.after(this.#idleMs);
    else this.close(null);
  }

  close(code: ErrorCode | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (code !== null) this.routed.code = code;
    this.deadlineMs = Infinity;
    const { deadlines, onClosed } = this.#context;
    deadlines.remove(this);
    this.#hangUp();
    this.routed.end();
    onClosed(this);
  }

  #send(datagram: Buffer): void {
    // Too long for one, with or without a header: lost, as it would be without an edge.
    const done = (error: Error | null): void => {
      const { code } = (error ?? {}) as NodeJS.ErrnoException;
      if (error !== null && code !== "EMSGSIZE") this.#onError(this.#socket, error);
    };
    if (this.#header === null) this.#socket!.send(datagram, done);
    else this.#socket!.send([this.#header, datagram], done);
  }

  #onReply(datagram: Buffer): void {
    if (this.#isOver) return;
    this.#kept = null;
    this.routed.countSent(datagram.length);
    this.deadlineMs = this.#context.deadlines.after(this.#idleMs);
    this.#reply(datagram);
  }

  /** Mostly that nobody listens there, which only the next datagram brings to light. */
  #onError(socket: Socket | null, error: NodeJS.ErrnoException): void {
    if (this.#isOver || socket === null || socket !== this.#socket) return;
    this.#hangUp();
    const name = `${this.routed.machine?.address?.host}:${this.routed.machine?.address?.port}`;
    const failure =
      error.code === "ECONNREFUSED"
        ? new ProxyError("connect_refused", `nobody at "${name}" takes datagrams`, { cause: error })
        : new ProxyError("connect_failed", `"${name}" could not be reached: ${error.code ?? error.message}`, { cause: error });
    this.routed.onAttemptFailed(failure);
  }

  #hangUp(): void {
    this.#isConnected = false;
    this.#socket?.close();
    this.#socket = null;
  }
}
