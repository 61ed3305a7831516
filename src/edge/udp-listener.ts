// Hot path. A UDP port that clients send to: each client is a session, bounded in number. With several workers the kernel gives all
// datagrams of a client to the same one, so each worker knows its own sessions only.

import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { networkInterfaces } from "node:os";
import type { ErrorCode } from "../core/errors.ts";
import type { Router } from "../routing/router.ts";
import type { EdgeApp, EdgeService } from "./edge-app.ts";
import { UdpSession, type UdpContext } from "./udp-session.ts";

export interface UdpListenerOptions {
  readonly host: string;
  /** Bound port; 0 is any free one. */
  readonly port: number;
  readonly publicPort: number;
  readonly router: Router<EdgeService, EdgeApp>;
  readonly sessions: UdpContext;
  /** Most sessions at once. */
  readonly maxSessions: number;
  /** A datagram of a new client was dropped. */
  readonly onDropped: (code: ErrorCode) => void;
}

export class UdpListener {
  readonly #options: UdpListenerOptions;
  readonly #socket: Socket;
  readonly #sessions = new Map<string, UdpSession>();
  readonly #context: UdpContext;
  /** Addresses of this computer. */
  readonly #ownIps = new Set(Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address)));
  #boundPort = 0;
  #isClosed = false;

  constructor(options: UdpListenerOptions) {
    this.#options = options;
    const { host, sessions } = options;
    this.#context = {
      ...sessions,
      onClosed: (session) => {
        this.#sessions.delete(keyOf(session.routed.facts.ends.sourceIp, session.routed.facts.ends.sourcePort));
        sessions.onClosed(session);
      },
    };
    const isIPv6 = host.includes(":");
    this.#socket = createSocket({ type: isIPv6 ? "udp6" : "udp4", reusePort: true, ipv6Only: isIPv6 });
    this.#socket.on("message", (datagram, from) => this.#onDatagram(datagram, from));
    // A reply that could not be sent is lost, as datagrams are; the socket itself is not broken by it.
    this.#socket.on("error", () => {});
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Resolves to the bound port. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#socket.once("error", reject);
    this.#socket.bind({ address: host, port, exclusive: true }, () => {
      this.#socket.removeListener("error", reject);
      this.#boundPort = this.#socket.address().port;
      resolve(this.#boundPort);
    });
    return promise;
  }

  /** Nothing tells when a client of UDP is done, so there is nothing to wait for. */
  drain(): Promise<void> {
    this.destroy();
    return Promise.resolve();
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
    for (const session of [...this.#sessions.values()]) session.close("draining");
  }

  #onDatagram(datagram: Buffer, { address, port }: RemoteInfo): void {
    if (this.#isClosed || this.#isForged(address, port)) return;
    const session = this.#sessions.get(keyOf(address, port)) ?? this.#open(address, port);
    session?.onDatagram(datagram);
  }

  /** Nobody is there to be answered at port 0; and what seems to come from here would be answered to itself, over and over. */
  #isForged(ip: string, port: number): boolean {
    return port === 0 || (port === this.#boundPort && (ip.startsWith("127.") || this.#ownIps.has(ip)));
  }

  /** null: the datagram is dropped. */
  #open(sourceIp: string, sourcePort: number): UdpSession | null {
    const { host, publicPort, router, maxSessions, onDropped } = this.#options;
    const only = router.plan(publicPort, "udp").only;
    // An app that is just going, or just coming.
    if (only === null) return null;
    if (this.#sessions.size >= maxSessions) {
      onDropped("sessions_full");
      return null;
    }
    const ends = { sourceIp, sourcePort, destinationIp: host, destinationPort: publicPort };
    const session = new UdpSession(ends, only.route, this.#context, (reply) => this.#socket.send(reply, sourcePort, sourceIp));
    // Nobody is told, so that whoever is refused goes on sending: that must not cost a session and a line of the log for each datagram.
    const refusal = session.admit();
    if (refusal !== null) {
      onDropped(refusal);
      return null;
    }
    this.#sessions.set(keyOf(sourceIp, sourcePort), session);
    session.begin();
    return session;
  }
}

function keyOf(ip: string, port: number): string {
  return `${ip} ${port}`;
}
