// Any failure becomes a response here; nobody else picks a status. Step 7 in the life of a request.

import { ERRORS, type ErrorCode } from "../core/errors.ts";
import type { ClientChannel, OwnField } from "./client-channel.ts";
import { ownFields } from "./response-fields.ts";

/** Seconds after which a client may try again, for statuses that promise it (RFC 9110 section 10.2.3). */
const RETRY_AFTER: Partial<Record<ErrorCode, number>> = {
  at_capacity: 1,
  queue_full: 1,
  wake_failed: 5,
  wake_timeout: 5,
  no_machine: 5,
  no_healthy_machine: 5,
  draining: 1,
};

/** Answers with the failure. `mustClose`: the request's framing can no longer be trusted, or its rest is unread. */
export function respondWithError(channel: ClientChannel, code: ErrorCode, requestId: string, mustClose: boolean): void {
  const { status, summary } = ERRORS[code];
  const retryAfter = RETRY_AFTER[code];
  const fields: OwnField[] = [["content-type", "text/plain; charset=utf-8"], ["kittiwake-error", code], ...ownFields(requestId)];
  if (retryAfter !== undefined) fields.push(["retry-after", `${retryAfter}`]);
  if (status === 405) fields.push(["allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"]);
  channel.sendOwn(status, fields, `${status} ${code}: ${summary}\nrequest id: ${requestId}\n`, mustClose);
}

export function respondWithRedirect(channel: ClientChannel, location: string, requestId: string): void {
  channel.sendOwn(301, [["location", location], ...ownFields(requestId)], "", false);
}
