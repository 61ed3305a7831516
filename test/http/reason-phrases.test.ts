// What a status is called in the first line of a response.

import assert from "node:assert/strict";
import { STATUS_CODES } from "node:http";
import { test } from "node:test";
import { REASON_PHRASES } from "../../src/http/reason-phrases.ts";

test("a status has the name that it has in Node", () => {
  assert.deepEqual(REASON_PHRASES, STATUS_CODES);
});
