// May a failed attempt be followed by another one? RFC 9110 section 9.2.2.

import type { ProxyError } from "../core/errors.ts";

const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

export interface AttemptState {
  readonly method: string;
  /** Has the machine possibly seen the request? */
  readonly wasSent: boolean;
  /** Has any of the body been taken from the client? It is not kept. */
  readonly bodyTaken: boolean;
  /** Has the client seen anything of a response? */
  readonly responseStarted: boolean;
}

export function isRetryable(error: ProxyError, attempt: AttemptState): boolean {
  if (attempt.responseStarted || attempt.bodyTaken) return false;
  if (error.retry === "never") return false;
  if (error.retry === "elsewhere" || !attempt.wasSent) return true;
  return IDEMPOTENT.has(attempt.method);
}
