import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";

import { Compressors, type Compressor, type CompressorSink } from "../../src/edge/compressor.ts";

const DECOMPRESS = { zstd: zstdDecompressSync, br: brotliDecompressSync, gzip: gunzipSync };
const TEXT = Buffer.from("All work and no play makes Jack a dull boy. ".repeat(5000));

/** Keeps what comes, and lets itself be told to wait. */
class Sink implements CompressorSink {
  readonly parts: Buffer[] = [];
  readonly ended = Promise.withResolvers<void>();
  isFlowing = true;
  drains = 0;
  flushes = 0;

  onCompressed(buffer: Buffer): boolean {
    this.parts.push(Buffer.from(buffer));
    return this.isFlowing;
  }

  flush(): void {
    this.flushes++;
  }

  onCompressorDrain(): void {
    this.drains++;
  }

  onCompressedEnd(): void {
    this.ended.resolve();
  }

  onCompressorFailed(error: Error): void {
    this.ended.reject(error);
  }
}

/** Writes a body in pieces of a size, each in a turn of its own or all in one. */
async function write(compressor: Compressor, body: Buffer, pieceBytes: number, isOneTurn: boolean): Promise<void> {
  for (let at = 0; at < body.length; at += pieceBytes) {
    // As the bytes of a read, which are overwritten by the next one.
    const piece = Buffer.from(body.subarray(at, at + pieceBytes));
    compressor.write(piece, 0, piece.length);
    piece.fill(0);
    if (!isOneTurn) await turn();
  }
  compressor.end();
}

for (const coding of ["zstd", "br", "gzip"] as const) {
  describe(coding, () => {
    for (const bytes of [0, 1, 100, 16_384, 16_385, TEXT.length]) {
      for (const [pieceBytes, isOneTurn] of [
        [1000, true],
        [1000, false],
        [TEXT.length, true],
        [TEXT.length, false],
      ] as const) {
        test(`${bytes} bytes in pieces of ${pieceBytes}${isOneTurn ? ", all in one turn" : ""}`, async () => {
          const sink = new Sink();
          const body = TEXT.subarray(0, bytes);
          const compressor = new Compressors(1).start(coding, isOneTurn ? bytes : null, sink);
          await write(compressor, body, pieceBytes, isOneTurn);
          await sink.ended.promise;
          assert.ok(DECOMPRESS[coding](Buffer.concat(sink.parts)).equals(body));
          compressor.destroy();
        });
      }
    }

    test("what is small and whole comes out before the turn is over", () => {
      const sink = new Sink();
      const compressor = new Compressors(1).start(coding, 100, sink);
      compressor.write(TEXT, 0, 100);
      compressor.end();
      assert.ok(DECOMPRESS[coding](sink.parts[0]!).equals(TEXT.subarray(0, 100)));
      compressor.destroy();
    });
  });
}

test("a sink that waits makes the writer wait, and both go on", async () => {
  const sink = new Sink();
  sink.isFlowing = false;
  const compressor = new Compressors(1).start("gzip", null, sink);
  // Noise that came before would be compressed to next to nothing.
  const pieces = Array.from({ length: 200 }, () => randomBytes(16_384));
  let written = 0;
  let mayWrite = true;
  let drains = 0;
  const writeWhileAllowed = async (turns: number): Promise<void> => {
    for (let i = 0; i < turns; i++) {
      if (sink.drains > drains) mayWrite = true;
      drains = sink.drains;
      if (mayWrite) {
        const piece = pieces[written++ % pieces.length]!;
        mayWrite = compressor.write(piece, 0, piece.length);
      }
      await turn();
    }
  };
  // Until nothing more is taken: the compressor's thread may be slow.
  for (let last = -1; last !== written; await writeWhileAllowed(500)) last = written;
  assert.equal(mayWrite, false);
  assert.ok(written < 50, `${written} pieces were taken from the writer while nobody took anything`);
  const before = written;
  sink.isFlowing = true;
  compressor.resume();
  while (written === before) await writeWhileAllowed(10);
  compressor.end();
  await sink.ended.promise;
  const all = Buffer.concat(Array.from({ length: written }, (_, i) => pieces[i % pieces.length]!));
  assert.ok(gunzipSync(Buffer.concat(sink.parts)).equals(all));
  compressor.destroy();
});

test("a number of compressors is what there is, and one that ends makes room, once", () => {
  const compressors = new Compressors(2);
  const [first, second] = [compressors.start("gzip", null, new Sink()), compressors.start("br", null, new Sink())];
  assert.equal(compressors.hasRoom, false);
  first.destroy();
  first.destroy();
  assert.equal(compressors.hasRoom, true);
  compressors.start("zstd", null, new Sink());
  assert.equal(compressors.hasRoom, false);
  second.destroy();
});

test("one that was destroyed says nothing more, whatever it was about", async () => {
  const sink = new Sink();
  const compressor = new Compressors(1).start("gzip", null, sink);
  compressor.write(TEXT, 0, TEXT.length);
  await turn();
  compressor.write(TEXT, 0, TEXT.length);
  compressor.end();
  compressor.destroy();
  const before = sink.parts.length;
  for (let i = 0; i < 20; i++) await turn();
  assert.equal(sink.parts.length, before);
});
