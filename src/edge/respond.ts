// Any failure becomes a response here, and what the edge says of its own accord; nobody else picks a status. Step 7 in the life of a request.

import { ERRORS, type ErrorCode } from "../core/errors.ts";
import { joinedValue } from "../http/joined-value.ts";
import type { ClientChannel, OwnField } from "./client-channel.ts";
import { errorBody } from "./error-body.ts";
import type { ErrorPages } from "./error-pages.ts";
import { errorShape } from "./error-shape.ts";
import type { Exchange } from "./exchange.ts";
import { ownFields } from "./response-fields.ts";

/** Seconds after which a client may try again, for statuses that promise it (RFC 9110 section 10.2.3). */
const RETRY_AFTER: Partial<Record<ErrorCode, number>> = {
  too_many_connections: 1,
  at_capacity: 1,
  queue_full: 1,
  wake_failed: 5,
  wake_timeout: 5,
  no_machine: 5,
  no_healthy_machine: 5,
  draining: 1,
};

/** The next request may fare otherwise, and what was not asked for is not to be guessed from the body. */
export const FOR_NOW: readonly OwnField[] = [
  ["cache-control", "no-store"],
  ["x-content-type-options", "nosniff"],
];

/** What a client that is told of a failure is known by. */
export interface Refused {
  readonly requestId: string;
  /** Its Accept field; null where there is none, or where the request could not be read. */
  readonly accept: string | null;
  /** Of the app; null where none is known. */
  readonly pages: ErrorPages | null;
  /** Seconds; null: what is usual for the code. */
  readonly retryAfterS: number | null;
}

/** @param retryAfterS null: what is usual for the code */
export function refusedOf(
  { id, head, service, code }: Pick<Exchange, "id" | "head" | "service" | "code">,
  retryAfterS: number | null,
): Refused {
  const pages = service?.errorPages ?? null;
  // Its guard has said so just now.
  const wakesAgainS = code === "too_many_wakes" ? (service?.wakeGuard?.retryAfterS ?? null) : null;
  return { requestId: id, accept: joinedValue(head.fields, "accept"), pages, retryAfterS: retryAfterS ?? wakesAgainS };
}

/** Answers with the failure. `mustClose`: the request's framing can no longer be trusted, or its rest is unread. */
export function respondWithError(channel: ClientChannel, code: ErrorCode, refused: Refused, mustClose: boolean): void {
  const { status } = ERRORS[code];
  const { requestId, accept, pages, retryAfterS } = refused;
  const { fields, body } = errorBody(errorShape(accept), code, requestId, pages);
  const retryAfter = retryAfterS ?? RETRY_AFTER[code];
  const all: OwnField[] = [...fields, ["kittiwake-error", code], ...ownFields(requestId), ...FOR_NOW];
  if (retryAfter !== undefined) all.push(["retry-after", `${retryAfter}`]);
  if (status === 405) all.push(["allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"]);
  channel.sendOwn(status, all, Buffer.from(body), mustClose);
}

/** What the edge says in place of the app, and no failure. */
export function respondWithOwn(channel: ClientChannel, status: number, fields: readonly OwnField[], body: string, requestId: string): void {
  channel.sendOwn(status, [...fields, ...ownFields(requestId)], Buffer.from(body), false);
}
