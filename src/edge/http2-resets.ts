// Hot path. Bounds the streams that come to nothing, which cost the edge more than the client (CVE-2023-44487): an allowance that grows with
// time, so that nothing a client does in between gives it back.

import { ConnectionError, H2_ERROR } from "../http/http2/connection-error.ts";
import { Allowance } from "../core/allowance.ts";
import type { Deadlines } from "../core/deadlines.ts";

/** A page that is left behind, but not one after the other. */
const MOST = 200;
const PER_SECOND = 33;

export class Http2Resets {
  readonly #deadlines: Deadlines;
  readonly #ofConnection: Allowance;
  /** Of all connections from the same address, so that a new one does not begin anew. */
  readonly #ofAddress: Allowance;

  constructor(deadlines: Deadlines, ofAddress: Allowance) {
    this.#deadlines = deadlines;
    this.#ofConnection = new Allowance(MOST, PER_SECOND, deadlines.nowMs);
    this.#ofAddress = ofAddress;
  }

  /** A stream came to nothing by the client's doing: it reset it, or it had to be. Throws `ConnectionError`. */
  onReset(): void {
    const { nowMs } = this.#deadlines;
    if (this.#ofConnection.take(nowMs) && this.#ofAddress.take(nowMs)) return;
    throw new ConnectionError(H2_ERROR.enhanceYourCalm, "too many streams came to nothing");
  }
}
