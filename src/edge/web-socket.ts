// Hot path. A WebSocket as it passes through a tunnel, so that the edge can end it in its own language: a close frame to each side, at the
// first place where one may stand, and nothing behind it (RFC 6455 sections 1.4 and 5.5.1).
//
//     open ──► leaving ──► due ──► left          each direction by itself

import type { Carrier } from "../upstream/connection.ts";
import type { ClientChannel } from "./client-channel.ts";
import { closeFrame, FrameTracker } from "../http/web-socket.ts";

/** The server goes away (RFC 6455 section 7.4.1). */
const GOING_AWAY = 1001;

/** What the tunnel does for a WebSocket that leaves. */
interface WebSocketEnds {
  sendToClient(frame: Buffer): void;
  sendToMachine(frame: Buffer): void;
  /** The client has answered: nothing more goes to it. */
  endClient(): void;
  endMachine(): void;
}

/** Those of an exchange. */
export function endsOf(exchange: { readonly channel: ClientChannel; readonly upstream: Carrier | null }): WebSocketEnds {
  return {
    sendToClient: (frame) => void exchange.channel.sendTunnelData(frame, 0, frame.length),
    sendToMachine: (frame) => void exchange.upstream?.tunnelData(frame, 0, frame.length),
    endClient: () => exchange.channel.endTunnel(),
    endMachine: () => exchange.upstream?.tunnelEnd(),
  };
}

export class WebSocketTunnel {
  readonly #ends: WebSocketEnds;
  readonly #down = new Direction(false);
  readonly #up = new Direction(true);
  #isLeaving = false;
  #hasEndedClient = false;
  #hasEndedMachine = false;

  constructor(ends: WebSocketEnds) {
    this.#ends = ends;
  }

  /** How much of what the machine sent goes on, up to that position. `settle` follows when it is sent. */
  fromMachine(buffer: Buffer, start: number, end: number): number {
    return this.#down.pass(buffer, start, end);
  }

  fromClient(buffer: Buffer, start: number, end: number): number {
    return this.#up.pass(buffer, start, end);
  }

  /** Says goodbye to both. False: they are about to part without that, or are being told already. */
  leave(): boolean {
    if (this.#isLeaving || this.#down.hasClosed || this.#up.hasClosed) return false;
    this.#isLeaving = true;
    this.#down.leave();
    this.#up.leave();
    this.settle();
    return true;
  }

  settle(): void {
    if (!this.#isLeaving) return;
    const down = this.#down.takeFrame();
    if (down !== null) this.#ends.sendToClient(down);
    const up = this.#up.takeFrame();
    if (up !== null) this.#ends.sendToMachine(up);
    // Whoever is told, and has said the same, has nothing more to say.
    if (this.#down.hasLeft && this.#up.hasClosed && !this.#hasEndedClient) {
      this.#hasEndedClient = true;
      this.#ends.endClient();
    }
    if (this.#up.hasLeft && this.#down.hasClosed && !this.#hasEndedMachine) {
      this.#hasEndedMachine = true;
      this.#ends.endMachine();
    }
  }
}

class Direction {
  readonly #tracker = new FrameTracker();
  readonly #isMasked: boolean;
  #state: "open" | "leaving" | "due" | "left" = "open";

  constructor(isMasked: boolean) {
    this.#isMasked = isMasked;
  }

  /** Its sender has begun a close frame. */
  get hasClosed(): boolean {
    return this.#tracker.hasClosed;
  }

  /** Its receiver has got one. */
  get hasLeft(): boolean {
    return this.#state === "left";
  }

  pass(buffer: Buffer, start: number, end: number): number {
    if (this.#state === "open") {
      this.#tracker.pass(buffer, start, end);
      return end;
    }
    let until = start;
    if (this.#state === "leaving") {
      until = this.#tracker.passFrame(buffer, start, end);
      this.#leaveIfBetween();
    }
    // Its sender may be answering to what it was told.
    this.#tracker.pass(buffer, until, end);
    return until;
  }

  leave(): void {
    this.#state = "leaving";
    this.#leaveIfBetween();
  }

  /** The close frame, once, when its place has come. */
  takeFrame(): Buffer | null {
    if (this.#state !== "due") return null;
    this.#state = "left";
    return closeFrame(GOING_AWAY, this.#isMasked);
  }

  #leaveIfBetween(): void {
    // The frame that was under way may have been a close frame; there is only one.
    if (this.#tracker.isBetween) this.#state = this.#tracker.hasClosed ? "left" : "due";
  }
}
