// A machine as it is kept in the store under `machines/<node>/<app>/<id>`: the record that the host publishes, and what is needed to end it
// should its app be gone when the node comes back.

import { z } from "zod";

import type { DriverName, KillSignal } from "../core/app.ts";
import type { MachineRecord } from "../core/machine.ts";
import type { LaunchSpec } from "./driver.ts";
import type { MachinePlan } from "./machine-plan.ts";

/** Of all machines of a node. Nodes may share a store, and have machines with the same ids. */
export function machinesPrefix(node: string): string {
  return `machines/${node}/`;
}

export interface StoredMachine extends MachineRecord {
  readonly launch: { readonly driver: DriverName; readonly killSignal: KillSignal; readonly killTimeoutMs: number };
}

const STATES = ["created", "starting", "started", "stopping", "stopped", "suspending", "suspended", "failed"] as const;
const KILL_SIGNALS = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP"] as const;

const storedMachine = z.object({
  id: z.string(),
  app: z.string(),
  name: z.string(),
  group: z.string(),
  region: z.string(),
  node: z.string(),
  state: z.enum(STATES),
  cordoned: z.boolean(),
  addresses: z.record(z.coerce.number(), z.object({ host: z.string(), port: z.number() })),
  pid: z.number().nullable(),
  handle: z.record(z.string(), z.union([z.string(), z.number(), z.null()])).nullable(),
  configHash: z.string(),
  changedAtMs: z.number(),
  reason: z.string(),
  launch: z.object({
    driver: z.enum(["process", "static", "docker", "command", "fly"]),
    killSignal: z.enum(KILL_SIGNALS),
    killTimeoutMs: z.number(),
  }),
});

export function machineKey({ node, app, id }: { readonly node: string; readonly app: string; readonly id: string }): string {
  return `${machinesPrefix(node)}${app}/${id}`;
}

/** @param plan what it was launched with last, or what it would be launched with */
export function encodeMachine(record: MachineRecord, plan: MachinePlan): string {
  const { killSignal, killTimeoutMs } = plan.launch;
  return JSON.stringify({ ...record, launch: { driver: plan.driver.name, killSignal, killTimeoutMs } } satisfies StoredMachine);
}

/** What the last node knew; its health verdict is not taken over. Null when the value is not a machine as this version writes it. */
export function decodeMachine(value: string): StoredMachine | null {
  try {
    return { ...storedMachine.parse(JSON.parse(value)), health: "unknown", checks: [] };
  } catch {
    return null;
  }
}

/** Enough for a driver to find and end a machine that no app declares any more. */
export function orphanSpec(stored: StoredMachine): LaunchSpec {
  const { id, app, name, group, region, launch } = stored;
  const { killSignal, killTimeoutMs } = launch;
  return {
    id,
    app,
    name,
    group,
    region,
    command: "",
    directory: ".",
    env: {},
    internalPorts: [],
    address: null,
    killSignal,
    killTimeoutMs,
  };
}
