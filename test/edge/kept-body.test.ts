// Copies of bodies that stream, many at once, drawn by chance: each is whole or is none, and all together never take more than they may.

import assert from "node:assert/strict";
import { test } from "node:test";
import { KeptBodies, type KeptBody } from "../../src/edge/kept-body.ts";
import type { RequestHead } from "../../src/http/message.ts";
import type { Carrier } from "../../src/upstream/connection.ts";
import { createRandom } from "../support/random.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000_000);
const REPLAY_BYTES = 300;
const RETRY_BYTES = 1000;
const ALL_BYTES = 2500;

interface Copy {
  readonly kept: KeptBody;
  readonly mostBytes: number;
  bytes: Buffer;
}

/** What an attempt would send. */
function sent(kept: KeptBody): Buffer {
  let bytes = Buffer.alloc(0);
  const carrier = {
    sendData: (buffer: Buffer, start: number, end: number) => {
      bytes = Buffer.concat([bytes, buffer.subarray(start, end)]);
      return true;
    },
  };
  kept.sendTo(carrier as unknown as Carrier);
  return bytes;
}

test(`bodies kept for a replay (1 MB by default) or a retry (10 MB) keep their bounds, each and all together (2.7, 3.5, 12; SEED=${SEED})`, () => {
  const random = createRandom(SEED);
  const upTo = (most: number): number => Math.floor(random() * (most + 1));
  const all = new KeptBodies({ retryBytes: RETRY_BYTES, replayBytes: REPLAY_BYTES, totalBytes: ALL_BYTES });
  const copies = new Set<Copy>();
  const seen = { begun: 0, refused: 0, tooLong: 0, noRoom: 0 };
  const taken = (): number => [...copies].reduce((sum, { bytes }) => sum + bytes.length, 0);
  for (let step = 0; step < 20_000; step++) {
    const one = [...copies][upTo(copies.size - 1)];
    const luck = random();
    if (luck < 0.2) {
      const mostBytes = random() < 0.5 ? RETRY_BYTES : REPLAY_BYTES;
      const method = mostBytes === RETRY_BYTES ? "PUT" : "POST";
      const contentLength = random() < 0.5 ? upTo(1.2 * mostBytes) : -1;
      const body = contentLength === -1 ? "chunked" : "length";
      const kept = all.begin({ method, body, contentLength } as RequestHead);
      const fits = contentLength <= mostBytes && taken() + contentLength <= ALL_BYTES;
      assert.equal(kept !== null, body === "chunked" || fits, `${body} ${contentLength} of ${mostBytes} with ${taken()}`);
      if (kept === null) seen.refused++;
      else {
        seen.begun++;
        copies.add({ kept, mostBytes, bytes: Buffer.alloc(0) });
      }
    } else if (one !== undefined && luck < 0.85) {
      const source = Buffer.from(Array.from({ length: upTo(200) + 20 }, () => upTo(255)));
      const [start, end] = [upTo(10), source.length - upTo(10)];
      const isShort = one.bytes.length + end - start <= one.mostBytes;
      const hasRoom = taken() + end - start <= ALL_BYTES;
      assert.equal(one.kept.append(source, start, end), isShort && hasRoom);
      if (isShort && hasRoom) one.bytes = Buffer.concat([one.bytes, source.subarray(start, end)]);
      else {
        // As the exchange does: of no more use.
        one.kept.drop();
        copies.delete(one);
        seen[isShort ? "noRoom" : "tooLong"]++;
      }
      source.fill(0);
    } else if (one !== undefined && luck < 0.93) {
      assert.deepEqual(sent(one.kept), one.bytes);
      assert.deepEqual(sent(one.kept), one.bytes, "each attempt sends the same");
    } else if (one !== undefined) {
      one.kept.drop();
      copies.delete(one);
    }
    assert.ok(taken() <= ALL_BYTES);
  }
  assert.ok(Math.min(...Object.values(seen)) > 50, JSON.stringify(seen));
  for (const { kept } of copies) kept.drop();
  assert.equal(all.take(ALL_BYTES), true, "all of it is given back");
  assert.equal(all.take(1), false);
});
