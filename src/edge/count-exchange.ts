// Hot path. What the metrics are to know of an exchange that is over.

import type { EdgeService } from "./edge-app.ts";
import type { Exchange } from "./exchange.ts";

export function countExchange(exchange: Exchange, { traffic }: EdgeService): void {
  const { channel, status, respondedMs } = exchange;
  if (channel.account === null) {
    channel.account = traffic;
    traffic.connects++;
  }
  traffic.bytesIn += exchange.bytesReceived;
  traffic.bytesOut += exchange.bytesSent;
  if (status !== 0) traffic.countResponse(status, ((respondedMs || performance.now()) - exchange.startedMs) / 1000);
  if (respondedMs !== 0) exchange.lastMachine?.traffic.countResponse(status, (respondedMs - exchange.sentMs) / 1000);
}
