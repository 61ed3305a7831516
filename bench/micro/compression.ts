// What compressing costs and gains at each level: the figures behind the levels in src/edge/compressor.ts. The body is source text of this repository in pieces of
// 64 KB, each flushed; then a small body in the same way and on the spot. CPU time is of the whole process. `node bench/micro/compression.ts [megabytes]`

import { constants, brotliCompressSync, createBrotliCompress, createGzip, createZstdCompress, gzipSync, zstdCompressSync } from "node:zlib";
import { once } from "node:events";
import { readFileSync, globSync } from "node:fs";
import type { Transform } from "node:stream";
import { fileURLToPath } from "node:url";

const BODY_BYTES = Number(process.argv[2] ?? 8) * 1024 * 1024;
const PIECE_BYTES = 64 * 1024;
const SMALL_BYTES = 4 * 1024;
const SMALL_BODIES = 500;
const WINDOW_BITS = 18;

interface Level {
  readonly name: string;
  readonly open: () => Transform;
  readonly atOnce: (body: Buffer) => Buffer;
}

const body = sourceText(BODY_BYTES);
console.log("level    ms/MB  left    µs for 4 KB: streamed  on the spot");
for (const level of [...[4, 5, 6].map(gzip), ...[3, 4, 5].map(brotli), ...[1, 3, 5].map(zstd)]) {
  const compressedBytes = await stream(level, body);
  const streamedUs = await cpuUs(() => stream(level, body));
  const small = body.subarray(0, SMALL_BYTES);
  const smallStreamedUs = await cpuUs(async () => {
    for (let i = 0; i < SMALL_BODIES; i++) await stream(level, small);
  });
  const smallAtOnceUs = await cpuUs(async () => {
    for (let i = 0; i < SMALL_BODIES; i++) level.atOnce(small);
  });
  const perMegabyte = (streamedUs / 1000 / (BODY_BYTES / 1e6)).toFixed(1).padStart(7);
  const left = `${((compressedBytes / BODY_BYTES) * 100).toFixed(1)} %`;
  const small1 = (smallStreamedUs / SMALL_BODIES).toFixed(0).padStart(20);
  const small2 = (smallAtOnceUs / SMALL_BODIES).toFixed(0).padStart(12);
  console.log(`${level.name} ${perMegabyte}  ${left} ${small1} ${small2}`);
}

function gzip(level: number): Level {
  const options = { level, flush: constants.Z_SYNC_FLUSH };
  return { name: `gzip ${level}`, open: () => createGzip(options), atOnce: (bytes) => gzipSync(bytes, { level }) };
}

function brotli(quality: number): Level {
  const params = { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_LGWIN]: WINDOW_BITS };
  const flush = constants.BROTLI_OPERATION_FLUSH;
  return {
    name: `br   ${quality}`,
    open: () => createBrotliCompress({ params, flush }),
    atOnce: (bytes) => brotliCompressSync(bytes, { params }),
  };
}

function zstd(level: number): Level {
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: WINDOW_BITS };
  const flush = constants.ZSTD_e_flush;
  return {
    name: `zstd ${level}`,
    open: () => createZstdCompress({ params, flush }),
    atOnce: (bytes) => zstdCompressSync(bytes, { params }),
  };
}

/** Returns how many bytes come out. */
async function stream({ open }: Level, bytes: Buffer): Promise<number> {
  const transform = open();
  let length = 0;
  transform.on("data", (chunk: Buffer) => (length += chunk.length));
  const ended = once(transform, "end");
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    const written = Promise.withResolvers<void>();
    transform.write(bytes.subarray(at, at + PIECE_BYTES), () => written.resolve());
    await written.promise;
  }
  transform.end();
  await ended;
  return length;
}

async function cpuUs(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** TypeScript of this repository, over and over. */
function sourceText(bytes: number): Buffer {
  const root = fileURLToPath(new URL("../../src", import.meta.url));
  const parts = globSync("**/*.ts", { cwd: root })
    .toSorted()
    .map((path) => readFileSync(`${root}/${path}`));
  const once = Buffer.concat(parts);
  return Buffer.concat(Array.from({ length: Math.ceil(bytes / once.length) }, () => once)).subarray(0, bytes);
}
