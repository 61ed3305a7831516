// Splitting output into lines, as a property: nothing is lost, whatever the bytes and however they arrive.

import assert from "node:assert/strict";
import { suite, test } from "node:test";

import fc from "fast-check";

import { LINE_BYTES, takeLines } from "../../../src/wake/drivers/output-lines.ts";

const seed = Number(process.env["SEED"] ?? Date.now());

suite(`splitting output into lines (SEED=${seed})`, () => {
  test("text written in any pieces comes out as its lines", () => {
    const line = fc.string({ unit: "grapheme" }).filter((text) => !/[\r\n]/.test(text));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat(200)), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
        assert.deepEqual(takeAll(bytes, cuts), lines);
      }),
      { seed },
    );
  });

  test("a long line is cut between characters, into pieces that fit, with nothing lost", () => {
    fc.assert(
      fc.property(fc.constantFrom("x", "é", "€", "🐦"), fc.integer({ min: LINE_BYTES - 5, max: 3 * LINE_BYTES }), (character, bytes) => {
        const text = character.repeat(Math.ceil(bytes / Buffer.byteLength(character)));
        const lines = takeAll(Buffer.from(`${text}\n`), []);
        assert.equal(lines.join(""), text);
        assert.ok(lines.every((piece) => Buffer.byteLength(piece) <= LINE_BYTES));
      }),
      { seed, numRuns: 30 },
    );
  });

  test("any bytes at all are taken in the end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ size: "large", maxLength: 5 * LINE_BYTES }), (bytes) => {
        const chunk = Buffer.concat([bytes, Buffer.from("\n")]);
        let start = 0;
        while (start < chunk.length) {
          const taken = takeLines(chunk.subarray(start), 10);
          assert.ok(taken.bytes > 0 && taken.lines.length > 0 && taken.lines.length <= 10);
          start += taken.bytes;
        }
        assert.equal(start, chunk.length);
      }),
      { seed },
    );
  });
});

/** What a tail does: the bytes arrive cut at the given lengths, and each look starts at the first byte not taken. */
function takeAll(bytes: Buffer, cuts: readonly number[]): string[] {
  const lines: string[] = [];
  let start = 0;
  let end = 0;
  for (const length of [...cuts, bytes.length]) {
    end = Math.min(end + length, bytes.length);
    for (let taken = takeLines(bytes.subarray(start, end), 3); taken.bytes > 0; taken = takeLines(bytes.subarray(start, end), 3)) {
      lines.push(...taken.lines);
      start += taken.bytes;
    }
  }
  return lines;
}
