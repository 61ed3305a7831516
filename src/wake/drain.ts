// Waits until nothing is in flight on a machine whose slot is closed already.

import { setTimeout as delay } from "node:timers/promises";

import type { LoadControl } from "./load-control.ts";

const LOOK_EVERY_MS = 20;

/**
 * @param boundMs how long to wait at most
 * @param signal cuts the wait short, without an error
 * @returns true when the machine is empty, false when its bound or `signal` came first
 */
export async function drain(load: LoadControl, machineId: string, boundMs: number, signal: AbortSignal): Promise<boolean> {
  const deadline = performance.now() + boundMs;
  while (load.inFlight(machineId) > 0) {
    if (signal.aborted || performance.now() >= deadline) return false;
    await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
  }
  return true;
}
