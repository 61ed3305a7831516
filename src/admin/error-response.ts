// Any failure of the admin API becomes a response here, in the shape of Fly's Machines API (reference section 9.1). Nobody else in this folder
// picks a status.

import { ERRORS, type ErrorCode, ProxyError } from "../core/errors.ts";
import { REASON_PHRASES } from "../http/reason-phrases.ts";

export interface ErrorResponse {
  readonly status: number;
  readonly body: ErrorBody;
}

export interface ErrorBody {
  /** For people. */
  readonly error: string;
  /** Fly's kinds of failure are all about its own platform; for everything else it says "unknown". */
  readonly status: "unknown";
  /** From our table of codes; Fly's API has no such field. */
  readonly code: ErrorCode;
}

/** Errors of ours say what they say; those of the HTTP server keep their status; whatever else was thrown stays inside. */
export function errorResponse(error: unknown): ErrorResponse {
  if (error instanceof ProxyError && error.status !== 0) return response(error.status, error.message, error.code);
  const status = (error as { readonly statusCode?: unknown } | null)?.statusCode;
  if (typeof status === "number" && status >= 400 && status < 500) {
    return response(status, REASON_PHRASES[status]?.toLowerCase() ?? "the request is refused", "bad_request");
  }
  return response(500, ERRORS.internal.summary, "internal");
}

/** For what could not even be read as a request, on the socket itself. */
export function unreadableResponse(code: string | undefined): string {
  const statuses: Readonly<Record<string, number>> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 };
  const { status, body } = errorResponse({ statusCode: statuses[code ?? ""] ?? 400 });
  const text = JSON.stringify(body);
  return (
    `HTTP/1.1 ${status} ${REASON_PHRASES[status]}\r\ncontent-type: application/json; charset=utf-8\r\n` +
    `content-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`
  );
}

function response(status: number, error: string, code: ErrorCode): ErrorResponse {
  return { status, body: { error, status: "unknown", code } };
}
