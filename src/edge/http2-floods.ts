// Hot path. Bounds what a client may ask of an HTTP/2 connection that costs the edge more than the client: streams that come to nothing, and
// frames that carry nothing. Each is an allowance that grows with time, so that nothing a client does in between gives it back.

import { ConnectionError, H2_ERROR } from "../http/http2/connection-error.ts";
import type { Deadlines } from "../core/deadlines.ts";
import { Allowance } from "../core/allowance.ts";

/** Streams that the client reset, or that had to be: a page that is left behind, but not one after the other (CVE-2023-44487). */
const RESETS = { most: 200, perSecond: 33 };
/** Frames that carry nothing. */
const EMPTY_FRAMES = { most: 1000, perSecond: 200 };
/** Of those that a request may bring with it. */
const FRAMES_A_REQUEST = 2;
/** So many bytes of body make a WINDOW_UPDATE worth its while. */
const BYTES_A_FRAME = 1024;

export class Http2Floods {
  readonly #deadlines: Deadlines;
  readonly #resets: Allowance;
  /** Of all connections from the same address, so that a new one does not begin anew. */
  readonly #addressResets: Allowance;
  readonly #emptyFrames: Allowance;
  /** Body bytes that were turned into allowance. */
  #bytesAllowed = 0;

  constructor(deadlines: Deadlines, addressResets: Allowance) {
    this.#deadlines = deadlines;
    this.#addressResets = addressResets;
    this.#resets = new Allowance(RESETS.most, RESETS.perSecond, deadlines.nowMs);
    this.#emptyFrames = new Allowance(EMPTY_FRAMES.most, EMPTY_FRAMES.perSecond, deadlines.nowMs);
  }

  onRequest(): void {
    this.#emptyFrames.add(FRAMES_A_REQUEST);
  }

  /** A stream came to nothing by the client's doing. Throws `ConnectionError`. */
  onReset(): void {
    const { nowMs } = this.#deadlines;
    if (this.#resets.take(nowMs) && this.#addressResets.take(nowMs)) return;
    throw new ConnectionError(H2_ERROR.enhanceYourCalm, "too many streams came to nothing");
  }

  /** Throws `ConnectionError`. */
  onEmptyFrame(): void {
    if (this.#emptyFrames.take(this.#deadlines.nowMs)) return;
    throw new ConnectionError(H2_ERROR.enhanceYourCalm, "too many frames that carry nothing");
  }

  /** Who downloads much has to send many of them. Throws `ConnectionError`. */
  onWindowUpdate(bodyBytesSent: number): void {
    const sent = bodyBytesSent - this.#bytesAllowed;
    if (sent >= BYTES_A_FRAME) {
      this.#emptyFrames.add(sent / BYTES_A_FRAME);
      this.#bytesAllowed = bodyBytesSent;
    }
    this.onEmptyFrame();
  }
}
