// A body on its way through zlib: bytes of the machine in, bytes for the client out, as soon as they are there. The work is done in the
// thread pool, one piece at a time; what comes meanwhile gathers for the next, so that nothing waits for a timer or for more to come.
// A small body that is there at once is not worth the way to another thread and back.

import { brotliCompressSync, constants, createBrotliCompress, createGzip, createZstdCompress, gzipSync, zstdCompressSync } from "node:zlib";
import type { BrotliCompress, BrotliOptions, Gzip, ZlibOptions, ZstdCompress, ZstdOptions } from "node:zlib";
import type { Coding } from "../http/content-coding.ts";

export interface CompressorSink {
  /** False: stop until `resume`. `flush` follows, or the end. */
  onCompressed(buffer: Buffer): boolean;
  flush(): void;
  /** `write` may go on. */
  onCompressorDrain(): void;
  onCompressedEnd(): void;
  /** Nothing comes after it. */
  onCompressorFailed(error: Error): void;
}

/**
 * Of source text in pieces of 64 KB, each flushed, as `node bench/micro/compression.ts` measured it: milliseconds of CPU a megabyte, and
 * what is left of it.
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

/**
 * Up to here a whole body is compressed on the spot: a third to a half of the CPU time for 4 KB (the same benchmark), and no more than
 * 0.3 ms in which this thread does nothing else.
 */
const SMALL_BYTES = 16 * 1024;

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
  readonly #coding: Coding;
  readonly #contentLength: number | null;
  /** null until it is known that the body does not come at once. */
  #stream: Stream | null = null;
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
    this.#coding = coding;
    this.#contentLength = contentLength;
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
    if (this.#stream === null && this.#gatheredBytes <= SMALL_BYTES) this.#workAtOnce();
    else this.#begin();
  }

  /** The client takes more again. */
  resume(): void {
    this.#stream?.resume();
  }

  /** Ends it at any moment; the sink hears nothing more. */
  destroy(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#gathered = [];
    this.#stream?.destroy();
    this.#onGone();
  }

  #workAtOnce(): void {
    let bytes: Buffer;
    try {
      bytes = compressAtOnce(this.#coding, Buffer.concat(this.#gathered));
    } catch (error) {
      this.#sink.onCompressorFailed(error as Error);
      return;
    }
    this.#sink.onCompressed(bytes);
    this.#sink.onCompressedEnd();
  }

  /** At the end of this turn: what comes in it is one piece, and may be all. */
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
    const stream = (this.#stream ??= this.#open());
    // The last piece leaves it busy for ever.
    if (this.#hasEnded) stream.end(piece);
    else stream.write(piece, () => this.#onWorked());
    if (wasFull) this.#sink.onCompressorDrain();
  }

  #onWorked(): void {
    if (this.#isGone) return;
    this.#isBusy = false;
    if (this.#gathered.length > 0 || this.#hasEnded) this.#begin();
  }

  #open(): Stream {
    const sink = this.#sink;
    const stream = createStream(this.#coding, this.#contentLength);
    stream.on("data", (chunk: Buffer) => {
      if (this.#isGone) return;
      if (!sink.onCompressed(chunk)) stream.pause();
      sink.flush();
    });
    stream.on("end", () => {
      if (!this.#isGone) sink.onCompressedEnd();
    });
    stream.on("error", (error) => {
      if (!this.#isGone) sink.onCompressorFailed(error);
    });
    return stream;
  }
}

type Stream = Gzip | BrotliCompress | ZstdCompress;

/** Every piece that is written comes out whole. */
function createStream(coding: Coding, contentLength: number | null): Stream {
  if (coding === "gzip") return createGzip({ ...GZIP_OPTIONS, flush: constants.Z_SYNC_FLUSH });
  if (coding === "br") return createBrotliCompress({ ...brotliOptions(contentLength), flush: constants.BROTLI_OPERATION_FLUSH });
  return createZstdCompress({ ...zstdOptions(contentLength), flush: constants.ZSTD_e_flush });
}

function compressAtOnce(coding: Coding, body: Buffer): Buffer {
  if (coding === "gzip") return gzipSync(body, GZIP_OPTIONS);
  return coding === "br" ? brotliCompressSync(body, brotliOptions(body.length)) : zstdCompressSync(body, zstdOptions(body.length));
}

const GZIP_OPTIONS: ZlibOptions = { level: GZIP_LEVEL };

function brotliOptions(contentLength: number | null): BrotliOptions {
  const windowBits = windowBitsFor(contentLength);
  return { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY, [constants.BROTLI_PARAM_LGWIN]: windowBits } };
}

function zstdOptions(contentLength: number | null): ZstdOptions {
  const windowBits = windowBitsFor(contentLength);
  return { params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [constants.ZSTD_c_windowLog]: windowBits } };
}

/** No more than the body can use. */
function windowBitsFor(contentLength: number | null): number {
  if (contentLength === null) return MAX_WINDOW_BITS;
  return Math.min(MAX_WINDOW_BITS, Math.max(MIN_WINDOW_BITS, 32 - Math.clz32(contentLength - 1)));
}
