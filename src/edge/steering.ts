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
  /** It is served there or not at all, as far as the client has a say. */
  readonly isForced: boolean;
}

/**
 * A machine comes before regions, and what is forced before what is preferred. Nothing that a client writes here is an error: a region or a
 * machine that there is not has nobody who could serve.
 */
export function wishOf(fields: Fields): Wish {
  const machine = joinedValue(fields, "fly-force-instance-id");
  if (machine !== null) return { aim: atMachine(machine, null), preferred: null, isForced: true };
  const preferred = joinedValue(fields, "fly-prefer-instance-id");
  const forced = joinedValue(fields, "fly-force-region");
  const isForced = forced !== null;
  const regions = isForced ? aimAtRegions(forced.split(","), null, null) : aimAtPreferred(fields);
  if (preferred === null || !isMachineId(preferred)) return { aim: regions, preferred, isForced };
  return { aim: aimAtMachine(preferred, null, regions ?? aimAnywhere()), preferred, isForced };
}

function aimAtPreferred(fields: Fields): Aim | null {
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
