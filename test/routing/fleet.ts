// Machines as routing sees them, and arbitrary fleets of them for the property tests.

import fc from "fast-check";

import type { Health, MachineState } from "../../src/core/machine.ts";
import type { Candidate } from "../../src/routing/rank.ts";

export const RTT_MS: Readonly<Record<string, number>> = { ams: 1, fra: 8, iad: 80, nrt: 230, ord: 80 };

export function machine(slot: number, region: string, changes: Partial<Candidate> = {}): Candidate {
  const address = { host: "127.0.0.1", port: 9000 + slot };
  return {
    id: `m${slot}`,
    region,
    slot,
    address,
    rttMs: RTT_MS[region]!,
    state: "started",
    health: "passing",
    cordoned: false,
    ...changes,
  };
}

/** A machine with how many requests it carries, and whether its slot is closed. */
export interface Loaded {
  readonly machine: Candidate;
  readonly inFlight: number;
  readonly isClosed: boolean;
  readonly wasTried: boolean;
}

const STATES: MachineState[] = ["created", "starting", "started", "stopping", "stopped", "suspending", "suspended", "failed"];
const state = fc.oneof(
  { weight: 6, arbitrary: fc.constant<MachineState>("started") },
  { weight: 1, arbitrary: fc.constantFrom(...STATES) },
);
const health = fc.constantFrom<Health>("passing", "passing", "passing", "unknown", "critical");
const seldom = fc.integer({ min: 0, max: 9 }).map((number) => number === 0);

const loaded = fc.record({
  region: fc.constantFrom(...Object.keys(RTT_MS)),
  state,
  health,
  cordoned: seldom,
  hasAddress: seldom.map((isMissing) => !isMissing),
  /** Hosts of one region are not all equally far. */
  jitterMs: fc.constantFrom(0, 0, 0.25, 0.5),
  inFlight: fc.integer({ min: 0, max: 8 }),
  isClosed: seldom,
  wasTried: seldom,
});

/** Up to a dozen machines in up to five regions. */
export const fleet: fc.Arbitrary<Loaded[]> = fc.array(loaded, { maxLength: 12 }).map((machines) =>
  machines.map(({ region, hasAddress, jitterMs, inFlight, isClosed, wasTried, ...rest }, slot) => {
    const changes = { ...rest, rttMs: RTT_MS[region]! + jitterMs, ...(hasAddress ? {} : { address: null }) };
    return { machine: machine(slot, region, changes), inFlight, isClosed, wasTried };
  }),
);
