// Any failure becomes a response here; nobody else picks a status. Step 7 in the life of a request.

import { ERRORS, type ErrorCode } from "../core/errors.ts";
import type { ClientChannel } from "./client-channel.ts";

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
  const lines =
    `content-type: text/plain; charset=utf-8\r\nkittiwake-error: ${code}\r\n${edgeLines(requestId)}` +
    (retryAfter === undefined ? "" : `retry-after: ${retryAfter}\r\n`) +
    (status === 405 ? "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n" : "");
  channel.sendOwn(status, lines, `${status} ${code}: ${summary}\nrequest id: ${requestId}\n`, mustClose);
}

export function respondWithRedirect(channel: ClientChannel, location: string, requestId: string): void {
  channel.sendOwn(301, `location: ${location}\r\n${edgeLines(requestId)}`, "", false);
}

/** What the edge adds to every response; reference section 5.2. */
export function edgeLines(requestId: string): string {
  return `server: kittiwake\r\nvia: 1.1 kittiwake\r\nfly-request-id: ${requestId}\r\n`;
}
