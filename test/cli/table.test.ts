// Tables for people.

import assert from "node:assert/strict";
import { test } from "node:test";

import { formatMs, formatTable } from "../../src/cli/table.ts";

test("columns are as wide as their widest cell, numbers stand to the right, and no line ends in a space", () => {
  const table = formatTable(
    ["APP", "N", "WHY"],
    [
      ["a", 5, ""],
      ["longer", 12, "x"],
    ],
  );
  assert.equal(table, "APP      N  WHY\na        5\nlonger  12  x");
});

test("a table without rows is its heads", () => {
  assert.equal(formatTable(["APP", "N"], []), "APP  N");
});

test("text from elsewhere cannot steer the terminal", () => {
  assert.equal(formatTable(["X"], [["\u001b[31mred\n\u0007"]]), "X\n·[31mred··");
});

test("times have a fraction only where it matters", () => {
  assert.deepEqual([0.5, 1, 9.96, 10.4, 249.6].map(formatMs), ["0.5 ms", "1 ms", "10 ms", "10 ms", "250 ms"]);
});
