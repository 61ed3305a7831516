import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { MicrosecondText } from "../../src/core/microsecond-text.ts";

const SEED = Number(process.env["FC_SEED"] ?? Date.now() % 2 ** 31);

test(`a time in microseconds reads as the number does (FC_SEED=${SEED})`, () => {
  const text = new MicrosecondText();
  const time = fc.integer({ min: 1_000_000, max: Number.MAX_SAFE_INTEGER });
  fc.assert(
    fc.property(time, fc.integer({ min: 0, max: 2_000_000 }), (us, later) => {
      const both = [us, Math.min(us + later, Number.MAX_SAFE_INTEGER)];
      assert.deepEqual(
        both.map((moment) => text.of(moment)),
        both.map(String),
      );
    }),
    { seed: SEED },
  );
});
