// Whether a machine's response opens a tunnel, and may.

import { joinedValue } from "../http/joined-value.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";

/** Only a 101 that names a protocol which the client asked for opens a tunnel (RFC 9110 section 7.8). */
export function isUpgradeAsked(request: RequestHead, response: ResponseHead): boolean {
  if (request.upgrade === "" || response.upgrade === "") return false;
  const { webSocketAccept } = request;
  if (webSocketAccept !== "" && joinedValue(response.fields, "sec-websocket-accept") !== webSocketAccept) return false;
  return request.upgrade.split(",").some((asked) => asked.trim() === response.upgrade);
}

/** To a CONNECT, success means that the tunnel is open (RFC 8441 section 5): a machine that answers as if it were none did not open it. */
export function isTakenForTunnel(request: RequestHead, response: ResponseHead): boolean {
  return request.webSocketAccept !== "" && response.status < 300;
}
