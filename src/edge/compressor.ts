// A body on its way through zlib: bytes of the machine in, bytes for the client out, as soon as they are there. The work is done in the
// thread pool, one piece at a time; what comes meanwhile gathers for the next, so that nothing waits for a timer or for more to come.

import { constants, createBrotliCompress, createGzip, createZstdCompress } from "node:zlib";
import type { BrotliCompress, Gzip, ZstdCompress } from "node:zlib";
import type { Coding } from "../http/content-coding.ts";

export interface CompressorSink {
  /** False: stop until `resume`. */
  onCompressed(buffer: Buffer): boolean;
  /** `write` may go on. */
  onCompressorDrain(): void;
  onCompressedEnd(): void;
  /** Nothing comes after it. */
  onCompressorFailed(error: Error): void;
}

/**
 * Measured on source text and JSON in pieces of 64 KB, each flushed: milliseconds of CPU a megabyte, and what is left of it.
 *
 *     gzip 4: 17, 25.7 %   gzip 5: 22, 24.7 %   gzip 6: 29, 24.4 %
 *     br   3: 15, 25.5 %   br   4: 21, 24.6 %   br   5: 34, 22.6 %
 *     zstd 1:  6, 28.3 %   zstd 3:  8, 25.5 %   zstd 5: 14, 23.6 %
 */
const GZIP_LEVEL = 5;
const BROTLI_QUALITY = 4;
const ZSTD_LEVEL = 3;

/** A window of 256 KB finds almost all that a larger one would, and its tables stay below about a megabyte. */
const MAX_WINDOW_BITS = 18;
const MIN_WINDOW_BITS = 10;

/** Gathered from here on, the machine has to wait. */
const HIGH_WATER_BYTES = 64 * 1024;

/** The compressors of a worker, which are a bounded number. */
export class Compressors {
  readonly #max: number;
  #running = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get hasRoom(): boolean {
    return this.#running < this.#max;
  }

  /** @param contentLength of the body before; null when it is not known */
  start(coding: Coding, contentLength: number | null, sink: CompressorSink): Compressor {
    this.#running++;
    return new Compressor(coding, contentLength, sink, () => this.#running--);
  }
}

export class Compressor {
  readonly #stream: Gzip | BrotliCompress | ZstdCompress;
  readonly #sink: CompressorSink;
  readonly #onGone: () => void;
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  /** A piece is being worked on, or will be at the end of this turn. */
  #isBusy = false;
  #hasEnded = false;
  #isGone = false;

  constructor(coding: Coding, contentLength: number | null, sink: CompressorSink, onGone: () => void) {
    this.#sink = sink;
    this.#onGone = onGone;
    this.#stream = createStream(coding, contentLength);
    this.#stream.on("data", (chunk: Buffer) => {
      if (!this.#isGone && !sink.onCompressed(chunk)) this.#stream.pause();
    });
    this.#stream.on("end", () => {
      if (!this.#isGone) sink.onCompressedEnd();
    });
    this.#stream.on("error", (error) => {
      if (!this.#isGone) sink.onCompressorFailed(error);
    });
  }

  /** Takes a copy of `buffer[start, end)`. False: stop until `onCompressorDrain`. */
  write(buffer: Buffer, start: number, end: number): boolean {
    this.#gathered.push(Buffer.from(buffer.subarray(start, end)));
    this.#gatheredBytes += end - start;
    this.#begin();
    return this.#gatheredBytes < HIGH_WATER_BYTES;
  }

  /** Nothing more will be written. */
  end(): void {
    this.#hasEnded = true;
    this.#begin();
  }

  /** The client takes more again. */
  resume(): void {
    this.#stream.resume();
  }

  /** Ends it at any moment; the sink hears nothing more. */
  destroy(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#gathered = [];
    this.#stream.destroy();
    this.#onGone();
  }

  /** At the end of this turn: the end of a small body comes in the same one as its bytes, and both are then one piece. */
  #begin(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    process.nextTick(() => this.#work());
  }

  #work(): void {
    if (this.#isGone) return;
    const piece = this.#gathered.length === 1 ? this.#gathered[0]! : Buffer.concat(this.#gathered);
    const wasFull = this.#gatheredBytes >= HIGH_WATER_BYTES;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    // The last piece leaves it busy for ever.
    if (this.#hasEnded) this.#stream.end(piece);
    else this.#stream.write(piece, () => this.#onWorked());
    if (wasFull) this.#sink.onCompressorDrain();
  }

  #onWorked(): void {
    if (this.#isGone) return;
    this.#isBusy = false;
    if (this.#gathered.length > 0 || this.#hasEnded) this.#begin();
  }
}

/** Every piece that is written comes out whole. */
function createStream(coding: Coding, contentLength: number | null): Gzip | BrotliCompress | ZstdCompress {
  if (coding === "gzip") return createGzip({ level: GZIP_LEVEL, flush: constants.Z_SYNC_FLUSH });
  const windowBits = windowBitsFor(contentLength);
  if (coding === "br") {
    const params = { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY, [constants.BROTLI_PARAM_LGWIN]: windowBits };
    return createBrotliCompress({ flush: constants.BROTLI_OPERATION_FLUSH, params });
  }
  const params = { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [constants.ZSTD_c_windowLog]: windowBits };
  return createZstdCompress({ flush: constants.ZSTD_e_flush, params });
}

/** No more than the body can use. */
function windowBitsFor(contentLength: number | null): number {
  if (contentLength === null) return MAX_WINDOW_BITS;
  return Math.min(MAX_WINDOW_BITS, Math.max(MIN_WINDOW_BITS, 32 - Math.clz32(contentLength - 1)));
}
