// Hot path. What passes between a client and a machine after a 101, or after a CONNECT of HTTP/2: bytes in both directions, each of which
// ends by itself. A WebSocket is told when the server goes away.

import type { Carrier } from "../upstream/connection.ts";
import type { ClientChannel } from "./client-channel.ts";
import { endsOf, WebSocketTunnel } from "./web-socket.ts";

/** Between whom; null: the machine has left. */
interface Between {
  readonly channel: ClientChannel;
  readonly upstream: Carrier | null;
}

export class Tunnel {
  readonly #between: Between;
  /** null: one of another protocol. */
  readonly #webSocket: WebSocketTunnel | null;
  #ended = 0;

  /** @param protocol that of the `upgrade` field */
  constructor(between: Between, protocol: string) {
    this.#between = between;
    this.#webSocket = protocol === "websocket" ? new WebSocketTunnel(endsOf(between)) : null;
  }

  get isWebSocket(): boolean {
    return this.#webSocket !== null;
  }

  fromMachine(buffer: Buffer, start: number, end: number): void {
    const { channel, upstream } = this.#between;
    const webSocket = this.#webSocket;
    const until = webSocket === null ? end : webSocket.fromMachine(buffer, start, end);
    if (until > start && !channel.sendTunnelData(buffer, start, until)) upstream?.pause();
    webSocket?.settle();
  }

  fromClient(buffer: Buffer, start: number, end: number): void {
    const { channel, upstream } = this.#between;
    const webSocket = this.#webSocket;
    const until = webSocket === null ? end : webSocket.fromClient(buffer, start, end);
    if (until > start && upstream !== null && !upstream.tunnelData(buffer, start, until)) channel.pauseTunnel();
    webSocket?.settle();
  }

  /** One side says no more. True: neither does the other. */
  endSide(): boolean {
    return ++this.#ended === 2;
  }

  /** Tells both ends of a WebSocket that the server goes away. False: it needs no telling, or is none. */
  leave(): boolean {
    return this.#webSocket?.leave() === true;
  }
}
