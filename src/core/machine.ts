// One running copy of an app in one region, and what its host says about it. The host is the single writer of a record.

import type { Address, AppCheck } from "./app.ts";

/**
 * States of a machine, named as in the Machines API (reference section 9.7).
 *
 *     created ──► starting ──► started ──► stopping ──► stopped ──► starting …
 *                                │  ▲
 *                     suspending ▼  │ starting
 *                             suspended
 *
 * `failed`: the restart policy gave up; the next wake tries again.
 */
export type MachineState = "created" | "starting" | "started" | "stopping" | "stopped" | "suspending" | "suspended" | "failed";

export type CheckStatus = "passing" | "warning" | "critical";

/** What a check says now; reference section 7.1. */
export interface CheckResult {
  readonly name: string;
  /** Routing does not heed an informational one. */
  readonly kind: "service" | AppCheck["kind"];
  readonly status: CheckStatus;
  /** One line for people. */
  readonly output: string;
  /** When the status last changed, milliseconds since the epoch; 0 before the first result. */
  readonly updatedAtMs: number;
}

/**
 * What routing makes of the checks: `unknown` is a machine that has checks, none of which has answered since it started.
 * Such a machine gets traffic (the gate on waking is its port, reference section 6.2), but after the passing ones.
 */
export type Health = "passing" | "unknown" | "critical";

/** What a host publishes about a machine; plain JSON. */
export interface MachineRecord {
  readonly id: string;
  readonly app: string;
  readonly name: string;
  readonly group: string;
  readonly region: string;
  readonly node: string;
  readonly state: MachineState;
  readonly health: Health;
  readonly checks: readonly CheckResult[];
  readonly cordoned: boolean;
  /** Where each internal port of the app is reached; empty while it has never started. */
  readonly addresses: Readonly<Record<number, Address>>;
  /** Process id where the driver has one. */
  readonly pid: number | null;
  /** What the driver needs to find the machine again after the node died; opaque to all others. */
  readonly handle: DriverHandle | null;
  /** Hash of what the machine was started with; another value in the app means that it must be started anew. */
  readonly configHash: string;
  /** Milliseconds since the epoch of the last change of state. */
  readonly changedAtMs: number;
  /** Why it is in this state, for people; empty when it is as asked. */
  readonly reason: string;
}

export type DriverHandle = Readonly<Record<string, string | number | null>>;

/** Is it worth waiting for this machine: does it start, or would it when asked? One that failed to is not. */
export function isAwaitable(state: MachineState): boolean {
  return state !== "started" && state !== "failed";
}

/** Can a request make this machine run? */
export function isWakeable(state: MachineState): boolean {
  return state === "created" || state === "stopped" || state === "suspended" || state === "failed";
}
