// Is a request that of a browser which opens a page, so that a page can be its answer for now? Whoever is not known to be is not taken for one.

import { joinedValue } from "../http/joined-value.ts";
import type { RequestHead } from "../http/message.ts";
import { errorShape } from "./error-shape.ts";

/** They say that they want HTML, as browsers do, but do nothing with a page that reloads; most wait for longer than a wake takes. */
const CRAWLERS = /bot\b|crawl|spider|slurp|externalhit|preview/i;

/**
 * By fetch metadata (W3C Fetch Metadata Request Headers), which browsers send over HTTPS; over plain HTTP by what it accepts. Frames are none: an
 * app's page is around them.
 */
export function isNavigation(head: RequestHead): boolean {
  const { method, body, upgrade, webSocketAccept, fields } = head;
  if (method !== "GET" || body !== "none" || upgrade !== "" || webSocketAccept !== "") return false;
  if (joinedValue(fields, "range") !== null || joinedValue(fields, "x-requested-with") !== null) return false;
  const mode = joinedValue(fields, "sec-fetch-mode");
  const destination = joinedValue(fields, "sec-fetch-dest");
  if (mode !== null || destination !== null) return mode === "navigate" && destination === "document";
  const accept = joinedValue(fields, "accept");
  if (accept === null || errorShape(accept) !== "html") return false;
  return !CRAWLERS.test(joinedValue(fields, "user-agent") ?? "");
}
