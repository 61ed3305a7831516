// Hot path. Bounds what a machine may send on an HTTP/2 connection that costs the edge work and carries nothing. Wider than what a client
// may: some servers measure the connection with PING, and give back windows in small change.

import { ConnectionError, H2_ERROR } from "../http/http2/connection-error.ts";
import { Allowance } from "../core/allowance.ts";
import type { Deadlines } from "../core/deadlines.ts";

/** Frames that carry nothing, those on streams that are over included. */
const EMPTY_FRAMES = { most: 10_000, perSecond: 1000 };
/** Of those that a request may bring with it: its windows, and what is still on the way when it is given up. */
const FRAMES_A_REQUEST = 64;
/** So many bytes of a request's body make a WINDOW_UPDATE worth its while. */
const BYTES_A_FRAME = 64;

export class Http2MachineFloods {
  readonly #deadlines: Deadlines;
  readonly #emptyFrames: Allowance;
  /** Body bytes that were turned into allowance. */
  #bytesAllowed = 0;

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
    this.#emptyFrames = new Allowance(EMPTY_FRAMES.most, EMPTY_FRAMES.perSecond, deadlines.nowMs);
  }

  onRequest(): void {
    this.#emptyFrames.add(FRAMES_A_REQUEST);
  }

  /** Throws `ConnectionError`. */
  onEmptyFrame(): void {
    if (this.#emptyFrames.take(this.#deadlines.nowMs)) return;
    throw new ConnectionError(H2_ERROR.enhanceYourCalm, "too many frames that carry nothing");
  }

  /** A machine that takes much has to send many of them. Throws `ConnectionError`. */
  onWindowUpdate(bodyBytesSent: number): void {
    const sent = bodyBytesSent - this.#bytesAllowed;
    if (sent >= BYTES_A_FRAME) {
      this.#emptyFrames.add(sent / BYTES_A_FRAME);
      this.#bytesAllowed = bodyBytesSent;
    }
    this.onEmptyFrame();
  }
}
