// Which failed attempts may be followed by another (RFC 9110 section 9.2.2).

import assert from "node:assert/strict";
import { test } from "node:test";

import { ERRORS, ProxyError, type ErrorCode } from "../../src/core/errors.ts";
import { isRetryable, type AttemptState } from "../../src/upstream/retryable.ts";

const FRESH: AttemptState = { method: "GET", wasSent: true, canResend: true, responseStarted: false };
const retry = (code: ErrorCode, state: Partial<AttemptState> = {}): boolean => isRetryable(new ProxyError(code), { ...FRESH, ...state });

const IDEMPOTENT = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];
const OTHERS = ["POST", "PATCH", "get", "PROPFIND", "X-OWN", ""];

test("a connection that never stood is tried elsewhere, whatever the method", () => {
  for (const code of ["connect_refused", "connect_timeout", "connect_failed"] as const) {
    for (const method of [...IDEMPOTENT, ...OTHERS]) assert.equal(retry(code, { method, wasSent: false }), true, `${method} ${code}`);
  }
});

test("a request that the machine may have seen is sent again only if it is idempotent", () => {
  for (const code of ["upstream_closed", "upstream_reset", "upstream_timeout"] as const) {
    for (const method of IDEMPOTENT) assert.equal(retry(code, { method }), true, `${method} ${code}`);
    for (const method of OTHERS) assert.equal(retry(code, { method }), false, `${method} ${code}`);
    for (const method of OTHERS) assert.equal(retry(code, { method, wasSent: false }), true, `${method} ${code}, never sent`);
  }
});

test("nothing is sent again once the client has seen part of a response, or part of the body is gone", () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    for (const wasSent of [true, false]) {
      assert.equal(retry(code, { wasSent, responseStarted: true }), false, code);
      assert.equal(retry(code, { wasSent, canResend: false }), false, code);
    }
  }
});

test("a failure that another attempt cannot help is final, sent or not", () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    if (ERRORS[code].retry !== "never") continue;
    for (const wasSent of [true, false]) assert.equal(retry(code, { wasSent }), false, code);
  }
});
