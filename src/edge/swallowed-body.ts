// The body of a response that its client does not get: taken off the connection, so that this can be used again, and kept where it says
// something to the edge.

import { HeldBytes } from "../upstream/held-bytes.ts";

/** A longer one is not waited for. */
const MOST_BYTES = 64 * 1024;

export interface SwallowedBodyOptions {
  readonly isKept: boolean;
  /** Its end has come, whether it was whole or not; or it is too long. Whoever hears that lets go of it. */
  readonly onOver: (isWhole: boolean) => void;
}

export class SwallowedBody {
  readonly #options: SwallowedBodyOptions;
  readonly #kept = new HeldBytes();
  #bytesLeft = MOST_BYTES;

  constructor(options: SwallowedBodyOptions) {
    this.#options = options;
  }

  take(buffer: Buffer, start: number, end: number): void {
    this.#bytesLeft -= end - start;
    if (this.#bytesLeft < 0) this.end(false);
    else if (this.#options.isKept) this.#kept.append(buffer, start, end);
  }

  end(isWhole: boolean): void {
    this.#options.onOver(isWhole);
  }

  /** What was kept. */
  get bytes(): Buffer {
    return this.#kept.buffer.subarray(this.#kept.start, this.#kept.end);
  }
}
