// One cookie found among whatever else clients send (RFC 6265 section 4.2, RFC 9113 section 8.2.3).

import assert from "node:assert/strict";
import { test } from "node:test";
import { cookieValues } from "../../src/http/cookies.ts";
import { EditedFields } from "../../src/http/edited-head.ts";

for (const [title, lines, expected] of [
  ["no cookie field", [], []],
  ["alone", ["own=1"], ["1"]],
  ["among others", ["a=b; own=1; c=d"], ["1"]],
  ["in one of several fields", ["a=b", "own=1", "c=d"], ["1"]],
  ["several times, in order", ["own=1; own=2", "own=3"], ["1", "2", "3"]],
  ["no more than asked for", ["own=1; own=2; own=3; own=4"], ["1", "2", "3"]],
  ["without a space, and with several", ["a=b;own=1;   own=2  ;c=d"], ["1", "2"]],
  ["empty", ["own="], [""]],
  ["with what else a value may have", ["own=a=b.c-d_e"], ["a=b.c-d_e"]],
  ["in quotes, which stay", ['own="1"'], ['"1"']],
  ["the end of another name", ["xown=1; x-own=2"], []],
  ["the beginning of another name", ["own2=1; own_=2; own"], []],
  ["another case is another name", ["Own=1; OWN=2"], []],
  ["in another one's value", ["a=own=1; b=x own=2"], []],
  ["with a space before the sign", ["own =1"], []],
  ["nothing but separators", [";;; ; =;own;=own"], []],
] as const) {
  test(`a cookie: ${title}`, () => {
    const fields = EditedFields.of([["x", "own=0"], ...lines.map((line) => ["cookie", line] as const)]);
    assert.deepEqual(cookieValues(fields, "own", 3), expected);
  });
}

test("a field full of almost-cookies takes no longer than one that is read once", () => {
  const hostile = [" ".repeat(60_000), "own ".repeat(15_000), "own=".repeat(15_000), "; own".repeat(12_000)];
  const startedMs = performance.now();
  for (const line of hostile) assert.deepEqual(cookieValues(EditedFields.of([["cookie", `${line}x`]]), "nothing", 3), []);
  for (const line of hostile) assert.ok(cookieValues(EditedFields.of([["cookie", line]]), "own", 3).length <= 1);
  assert.ok(performance.now() - startedMs < 500);
});
