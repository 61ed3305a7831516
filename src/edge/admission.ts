// Hot path. The part of the fixed order that an app asks of every request, whoever sends it there: a client that names the app's host, or a
// machine of another app with `fly-replay`. All of it comes before anything that a machine could be woken for.

import type { Route } from "../routing/router.ts";
import type { EdgeService } from "./edge-app.ts";
import type { Exchange } from "./exchange.ts";

/** From here on the request is the service's, and goes by what its port says. */
export function assign(exchange: Exchange, { service, port }: Route<EdgeService>): void {
  exchange.service = service;
  exchange.options = port.http;
  exchange.isHttp2Backend = port.h2Backend;
}

/** By the rules of its service's app for clients (`access.ts`). True: it has been refused. */
export function isKeptOut(exchange: Exchange): boolean {
  const { access } = exchange.service!;
  if (access === null) return false;
  const code = access.refusal(exchange.client.ip);
  if (code !== null) exchange.refuse(code, false, access.retryAfterS);
  // Of the connection's own facts: what a replay changed of them is not what is given back at its end.
  else if (!access.countConnection(exchange.channel.client)) {
    exchange.channel.retire();
    exchange.refuse("too_many_connections");
  }
  return exchange.state === "done";
}

/** Where the client has told it, or has sent so much already. True: it has been refused. */
export function isTooLong(exchange: Exchange): boolean {
  if (!exchange.isBodyTooLarge(Math.max(exchange.head.contentLength, exchange.bytesReceived))) return false;
  exchange.refuse("body_too_large");
  return true;
}
