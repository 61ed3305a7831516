// How a launched process is written down, so that the next node finds it: a flat DriverHandle, and back.

import type { Address } from "../../core/app.ts";
import type { DriverHandle } from "../../core/machine.ts";
import type { ProcessId } from "./process-table.ts";

export interface ProcessHandle extends ProcessId {
  /** Random per launch; also in the environment of all its processes. */
  readonly token: string;
  /** Start times count from boot, so they are compared only within one. */
  readonly bootId: string;
  /** Internal port to bound port. */
  readonly ports: Readonly<Record<number, number>>;
}

const PORT_KEY_PREFIX = "port_";

export function formatHandle(handle: ProcessHandle): DriverHandle {
  const ports = Object.entries(handle.ports).map(([internalPort, port]) => [`${PORT_KEY_PREFIX}${internalPort}`, port] as const);
  return { pid: handle.pid, startTime: handle.startTime, token: handle.token, bootId: handle.bootId, ...Object.fromEntries(ports) };
}

/** Null when it is not a handle of this driver. */
export function parseHandle(handle: DriverHandle | null): ProcessHandle | null {
  if (handle === null) return null;
  const { pid, startTime, token, bootId } = handle;
  if (typeof pid !== "number" || !Number.isInteger(pid) || pid <= 1) return null;
  if (typeof startTime !== "number" || typeof token !== "string" || typeof bootId !== "string") return null;
  const ports: Record<number, number> = {};
  for (const [key, value] of Object.entries(handle)) {
    if (key.startsWith(PORT_KEY_PREFIX) && typeof value === "number") ports[Number(key.slice(PORT_KEY_PREFIX.length))] = value;
  }
  return { pid, startTime, token, bootId, ports };
}

/** All machines of a host share its loopback. */
export function loopbackAddresses(ports: Readonly<Record<number, number>>): Record<number, Address> {
  return Object.fromEntries(Object.entries(ports).map(([internalPort, port]) => [internalPort, { host: "127.0.0.1", port }]));
}
