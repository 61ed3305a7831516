import assert from "node:assert/strict";
import { test } from "node:test";

import { LineIndex } from "../../src/config/line-index.ts";
import { formatKey } from "../../src/config/problems.ts";
import type { KeyPath } from "../../src/config/problems.ts";

const TEXT = `a = 1
[x]
y = { z = [1,
  2,
  { q = 1 }] }
[[t]]
k = 1
[[t]]
"k.l" = 2
[t.u]
v.w = 3
[[t.s]]
p = 1
[x.late]
`;

test("every key is found on its line, however it is written", () => {
  const lines = new LineIndex(TEXT);
  const cases: [KeyPath, number][] = [
    [[], 1],
    [["a"], 1],
    [["x"], 2],
    [["x", "y", "z"], 3],
    [["x", "y", "z", 1], 4],
    [["x", "y", "z", 2, "q"], 5],
    [["t"], 6],
    [["t", 0, "k"], 7],
    [["t", 1], 8],
    [["t", 1, "k.l"], 9],
    [["t", 1, "u", "v", "w"], 11],
    [["t", 1, "s", 0, "p"], 13],
    [["x", "late"], 14],
  ];
  for (const [path, line] of cases) assert.equal(lines.lineOf(path), line, formatKey(path));
});

test("a key that is not there is reported at its nearest ancestor", () => {
  const lines = new LineIndex(TEXT);
  assert.equal(lines.lineOf(["t", 1, "missing", "deeper"]), 8);
  assert.equal(lines.lineOf(["missing"]), 1);
  assert.equal(lines.lineOf(["constructor"]), 1);
  assert.equal(lines.lineOf(["__proto__"]), 1);
});

test("keys are written as TOML has them", () => {
  assert.equal(formatKey(["http_service", "checks", 0, "headers", "X-Probe"]), "http_service.checks[0].headers.X-Probe");
  assert.equal(formatKey(["env", "a b", "c.d", ""]), 'env."a b"."c.d".""');
});
