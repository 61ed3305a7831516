// The request headers by which a client says where it wants to be served. Reference section 4.7.

import { type Aim, target } from "../core/aim.ts";
import { joinedValue } from "../http/joined-value.ts";
import type { Fields } from "../http/message.ts";
import { aimAnywhere, aimAtMachine, aimAtRegions } from "../routing/aim.ts";

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
