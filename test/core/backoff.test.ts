// How waits between retries grow.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import { backoffMs } from "../../src/core/backoff.ts";

const OPTIONS = { minMs: 100, maxMs: 5000 };

test("the wait doubles with each failure up to its longest", () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 8].map((failures) => backoffMs(failures, OPTIONS, 1));
  assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
});

test("half of the wait is random", () => {
  assert.deepEqual(
    [0, 0.5, 1].map((random) => backoffMs(3, OPTIONS, random)),
    [200, 300, 400],
  );
});

test("no failure at all is taken for the first", () => {
  assert.equal(backoffMs(0, OPTIONS, 0), backoffMs(1, OPTIONS, 0));
});

test("whatever the count, the wait is between half and all of what it may be", () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 1e9 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.integer({ min: 1, max: 1e6 }),
      (failures, random, minMs) => {
        const maxMs = minMs * 1000;
        const wait = backoffMs(failures, { minMs, maxMs }, random);
        assert.ok(wait >= minMs / 2 && wait <= maxMs);
        assert.ok(backoffMs(failures + 1, { minMs, maxMs }, random) >= wait);
      },
    ),
  );
});
