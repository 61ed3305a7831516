// Waits for the end of a process that is not our child. Node offers no pidfd, so it is seen by looking.

import type { ProcessId } from "./process-table.ts";
import { isAlive } from "./process-table.ts";

/** Resolves when the process is gone; never after `signal` aborts. A zombie is gone: its parent may take for ever to notice. */
export function untilGone(id: ProcessId, everyMs: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = setInterval(() => {
    if (seemsAlive(id)) return;
    clearInterval(look);
    resolve();
  }, everyMs);
  signal.addEventListener("abort", () => clearInterval(look), { once: true });
  return promise;
}

/** That /proc cannot be read now, say for want of descriptors, is no news of the process. */
function seemsAlive(id: ProcessId): boolean {
  try {
    return isAlive(id);
  } catch {
    return true;
  }
}
