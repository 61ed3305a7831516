// The request headers by which a client says where it wants to be served. Reference section 4.7.

import { isIPv6 } from "node:net";
import { BlockList } from "node:net";
import { type Aim, target } from "../core/aim.ts";
import { joinedValue } from "../http/joined-value.ts";
import type { Fields } from "../http/message.ts";
import { aimAnywhere, aimAtMachine, aimAtRegions } from "../routing/aim.ts";

/** Where requests come from that may steer, with `steering = "trusted"`: this computer and private networks (RFC 1918, 4193, 6598). */
const PRIVATE = new BlockList();
for (const [address, bits] of [
  ["127.0.0.0", 8],
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["169.254.0.0", 16],
  ["100.64.0.0", 10],
] as const) {
  PRIVATE.addSubnet(address, bits, "ipv4");
}
PRIVATE.addAddress("::1", "ipv6");
PRIVATE.addSubnet("fc00::", 7, "ipv6");
PRIVATE.addSubnet("fe80::", 10, "ipv6");

export function maySteer(steering: "any" | "trusted", clientIp: string): boolean {
  return steering === "any" || PRIVATE.check(clientIp, isIPv6(clientIp) ? "ipv6" : "ipv4");
}

export interface Wish {
  /** null: what was asked for changes nothing. */
  readonly aim: Aim | null;
  /** The machine that is preferred; null: none. */
  readonly preferred: string | null;
}

/**
 * A machine comes before regions, and what is forced before what is preferred. Nothing that a client writes here is an error: a region or a
 * machine that there is not has nobody who could serve.
 */
export function wishOf(fields: Fields): Wish {
  const machine = joinedValue(fields, "fly-force-instance-id");
  if (machine !== null) return { aim: atMachine(machine, null), preferred: null };
  const preferred = joinedValue(fields, "fly-prefer-instance-id");
  const regions = aimAtListed(fields);
  if (preferred === null || !isMachineId(preferred)) return { aim: regions, preferred };
  return { aim: aimAtMachine(preferred, null, regions ?? aimAnywhere()), preferred };
}

function aimAtListed(fields: Fields): Aim | null {
  const forced = joinedValue(fields, "fly-force-region");
  if (forced !== null) return aimAtRegions(forced.split(","), null, null);
  const preferred = joinedValue(fields, "fly-prefer-region");
  return preferred === null ? null : aimAtRegions(preferred.split(","), null, aimAnywhere());
}

function atMachine(id: string, orElse: Aim | null): Aim {
  return isMachineId(id) ? aimAtMachine(id, null, orElse) : { target: target({ regions: [] }), orElse };
}

/** Anything else is not one, and not worth keeping in memory. */
export function isMachineId(text: string): boolean {
  return /^[\w.-]{1,64}$/.test(text);
}
