// Hot path. An exchange and what its client did before: where it goes because of that, and what its response tells the client for the next one.

import type { ResponseHead } from "../http/message.ts";
import type { Bond } from "./affinity.ts";
import type { Exchange } from "./exchange.ts";
import type { Wish } from "./steering.ts";

/** By its service's rules, where it has any. `wish` is what its own headers ask for. */
export function bind(exchange: Exchange, wish: Wish | null): void {
  const { affinity, ranked } = exchange.service!;
  if (affinity === null) return void (exchange.bond = null);
  exchange.bond = affinity.bond(exchange.sentHead, wish, ranked.groups.length > 0);
  exchange.aim = exchange.bond.aim;
}

/** By what it was bound by, whatever has become of the app since. */
export function cookiesOf({ service, lastMachine, steered, client }: Exchange, bond: Bond, head: ResponseHead): string[] | null {
  const isReplayed = steered !== null && (steered.replay ?? steered.recalled) !== null;
  return bond.affinity.cookies(bond, head, { app: service!.app, machine: lastMachine!, isReplayed, isSecure: client.scheme === "https" });
}
