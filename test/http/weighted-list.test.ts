import assert from "node:assert/strict";
import { test } from "node:test";

import { weightedItems } from "../../src/http/weighted-list.ts";

const TABLE: readonly (readonly [list: string, items: readonly string[]])[] = [
  ["", []],
  ["gzip", ["gzip 1000"]],
  ["gzip, br", ["gzip 1000", "br 1000"]],
  ["GZIP;Q=0.5", ["gzip 500"]],
  ["gzip;q=0", ["gzip 0"]],
  ["gzip;q=0.", ["gzip 0"]],
  ["gzip;q=1.", ["gzip 1000"]],
  ["gzip;q=0.001, br;q=1.000", ["gzip 1", "br 1000"]],
  ["  gzip \t; \tq=0.25\t,,\t br ", ["gzip 250", "br 1000"]],
  ["*;q=0.1", ["* 100"]],
  ["text/html;level=1;q=0.3", ["text/html 300"]],
  ["text/html;level=1", ["text/html 1000"]],
  ["gzip;q=2, br;q=0.5", ["br 500"]],
  ["gzip;q=1.001", []],
  ["gzip;q=0.1234", []],
  ["gzip;q=-1", []],
  ["gzip;q=", []],
  ["gzip;q=a", []],
  ['gzip;q="0.5"', []],
  [";q=0.5", []],
];

for (const [list, items] of TABLE) {
  test(`${JSON.stringify(list)} is ${items.join(" and ") || "nothing"}`, () => {
    assert.deepEqual(
      weightedItems(list).map(({ name, weight }) => `${name} ${weight}`),
      items,
    );
  });
}

test("no more than 64 items are read", () => {
  assert.equal(weightedItems("a,".repeat(100_000)).length, 64);
});
