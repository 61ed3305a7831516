// Hot path. Bounds the frames that carry nothing, which cost who reads them more than who sends them. An allowance that grows with time, and
// with what is asked for or sent: nothing else that the other end does gives it back.

import { Allowance } from "../../core/allowance.ts";
import type { Deadlines } from "../../core/deadlines.ts";
import { ConnectionError, H2_ERROR } from "./connection-error.ts";

export interface EmptyFramesLimits {
  readonly most: number;
  readonly perSecond: number;
  /** That a request may bring with it. */
  readonly perRequest: number;
  /** So many bytes of body that were sent make a WINDOW_UPDATE worth its while. */
  readonly bytesPerFrame: number;
}

export class EmptyFrames {
  readonly #limits: EmptyFramesLimits;
  readonly #deadlines: Deadlines;
  readonly #allowance: Allowance;
  /** Body bytes that were turned into allowance. */
  #bytesAllowed = 0;

  constructor(limits: EmptyFramesLimits, deadlines: Deadlines) {
    this.#limits = limits;
    this.#deadlines = deadlines;
    this.#allowance = new Allowance(limits.most, limits.perSecond, deadlines.nowMs);
  }

  onRequest(): void {
    this.#allowance.add(this.#limits.perRequest);
  }

  /** Throws `ConnectionError`. */
  onFrame(): void {
    if (this.#allowance.take(this.#deadlines.nowMs)) return;
    throw new ConnectionError(H2_ERROR.enhanceYourCalm, "too many frames that carry nothing");
  }

  /** Who takes much has to send many of them. Throws `ConnectionError`. */
  onWindowUpdate(bodyBytesSent: number): void {
    const { bytesPerFrame } = this.#limits;
    const sent = bodyBytesSent - this.#bytesAllowed;
    if (sent >= bytesPerFrame) {
      this.#allowance.add(sent / bytesPerFrame);
      this.#bytesAllowed = bodyBytesSent;
    }
    this.onFrame();
  }
}
