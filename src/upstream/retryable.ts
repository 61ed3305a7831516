// May a failed attempt be followed by another one? RFC 9110 section 9.2.2.

import type { ProxyError } from "../core/errors.ts";

const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

/** May a request with the method be made twice without harm (RFC 9110 section 9.2.2)? */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}

export interface AttemptState {
  readonly method: string;
  /** Has the machine possibly seen the request? */
  readonly wasSent: boolean;
  /** Is all of the body that has come from the client still here? */
  readonly canResend: boolean;
  /** Has the client seen anything of a response? */
  readonly responseStarted: boolean;
}

export function isRetryable(error: ProxyError, attempt: AttemptState): boolean {
  if (attempt.responseStarted || !attempt.canResend) return false;
  if (error.retry === "never") return false;
  if (error.retry === "elsewhere" || !attempt.wasSent) return true;
  return isIdempotent(attempt.method);
}
