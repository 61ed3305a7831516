// The body of an error in each shape: a page for browsers, JSON for programs, text for everyone else. All say what went wrong, what to
// do, the code and the id of the request.

import { createHash } from "node:crypto";
import { ADVICE } from "../core/advice.ts";
import { ERRORS, type ErrorCode } from "../core/errors.ts";
import { REASON_PHRASES } from "../http/reason-phrases.ts";
import type { OwnField } from "./client-channel.ts";
import { escapeHtml, type ErrorPages } from "./error-pages.ts";
import type { ErrorShape } from "./error-shape.ts";

export interface ErrorBody {
  readonly fields: readonly OwnField[];
  readonly body: string;
}

const STYLE =
  ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:12vh auto;padding:0 1.5em}" +
  "h1{font-size:1.4em}footer{margin-top:2em;font-size:.85em;opacity:.7}code{font-family:ui-monospace,monospace}";

/** Nothing may be loaded, run, framed or sent from the page: its one style sheet is named by its hash. */
const POLICY =
  `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; ` +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** `pages` are the app's own, for browsers. */
export function errorBody(shape: ErrorShape, code: ErrorCode, requestId: string, pages: ErrorPages | null): ErrorBody {
  const { status, summary } = ERRORS[code];
  const advice = ADVICE[code];
  if (shape === "html") {
    const own = pages?.page({ status, code, requestId }) ?? null;
    if (own !== null) return { fields: [["content-type", "text/html; charset=utf-8"]], body: own };
    const fields: OwnField[] = [
      ["content-type", "text/html; charset=utf-8"],
      ["content-security-policy", POLICY],
    ];
    return { fields, body: page(status, code, summary, advice, requestId) };
  }
  if (shape === "json") {
    const body = `${JSON.stringify({ error: summary, code, status, advice, request_id: requestId })}\n`;
    return { fields: [["content-type", "application/json"]], body };
  }
  const body = `${status} ${code}: ${summary}\n${advice}\nrequest id: ${requestId}\n`;
  return { fields: [["content-type", "text/plain; charset=utf-8"]], body };
}

function page(status: number, code: ErrorCode, summary: string, advice: string, requestId: string): string {
  const title = escapeHtml(`${status} ${REASON_PHRASES[status] ?? "Error"}`);
  const sentence = escapeHtml(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title}</title>
<style>${STYLE}</style>
<h1>${title}</h1>
<p>${sentence}</p>
<p>${escapeHtml(advice)}</p>
<footer>Error <code>${escapeHtml(code)}</code>, request <code>${escapeHtml(requestId)}</code></footer>
</html>
`;
}
