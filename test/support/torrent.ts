// Somebody who never runs out of things to say: writes noise for as long as it is taken, so that a test of back-pressure sees where it
// stops, whatever the kernel keeps on the way.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import type { EventEmitter } from "node:events";
import { untilStill } from "./eventually.ts";

const PIECE_BYTES = 64 * 1024;
/** The kernel keeps up to some 40 MB for each of two connections. */
const MOST_BYTES = 256 * 1024 * 1024;
/** Said again and again: larger than what any compressor looks back on, and kept, so that memory measured beside it is somebody else's. */
const NOISE = randomBytes(8 * 1024 * 1024);

interface Outlet extends EventEmitter {
  write(piece: Buffer): boolean;
  end(): unknown;
}

export class Torrent {
  bytes = 0;
  readonly #outlet: Outlet;
  readonly #pieceBytes: number;
  readonly #hash = createHash("sha256");
  readonly #flow = (): void => {
    let isTaken = true;
    while (isTaken && this.bytes < MOST_BYTES) {
      const start = this.bytes % (NOISE.length - this.#pieceBytes);
      const piece = NOISE.subarray(start, start + this.#pieceBytes);
      this.#hash.update(piece);
      this.bytes += piece.length;
      isTaken = this.#outlet.write(piece);
    }
  };

  constructor(outlet: Outlet, pieceBytes = PIECE_BYTES) {
    this.#outlet = outlet;
    this.#pieceBytes = pieceBytes;
    outlet.on("drain", this.#flow);
    this.#flow();
  }

  /** Resolves when no more is taken. Rejects when that takes more than anybody should keep. */
  async untilStopped(): Promise<void> {
    await untilStill(() => this.bytes);
    assert.ok(this.bytes < MOST_BYTES, `${this.bytes} bytes were taken`);
  }

  /** Says no more; returns the SHA-256 of what it said. */
  stop(): string {
    this.#outlet.off("drain", this.#flow);
    return this.#hash.digest("hex");
  }

  /** The same, and ends what it wrote to. */
  end(): string {
    this.#outlet.end();
    return this.stop();
  }
}

/** What `stop` returns, of what somebody was told. */
export async function digestOf(said: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of said) hash.update(chunk);
  return hash.digest("hex");
}
