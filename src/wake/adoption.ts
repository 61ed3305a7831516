// After a restart of the node: what an earlier one left running of a machine, and what that makes of its record.

import type { MachinePlan } from "./machine-plan.ts";
import { GONE, type PublishedRecord } from "./published-record.ts";
import type { StoredMachine } from "./stored-machine.ts";

/**
 * Never rejects. The machine's state is then `suspended`; `starting`, when it runs but its port is still to be seen; or one in which
 * nothing of it runs.
 *
 * @param stored what the earlier node wrote; null when it did not, or when it was lost
 */
export async function findRemains(record: PublishedRecord, plan: MachinePlan, stored: StoredMachine | null): Promise<void> {
  const { driver, launch } = plan;
  const { state, handle } = record.value;
  try {
    const found = driver.canStart ? await driver.adopt(launch, handle) : null;
    if (found === null) {
      const asleep = state === "created" || state === "stopped" || state === "failed";
      return record.change(asleep ? { handle: null, pid: null } : { ...GONE, reason: "ended while its node was away" });
    }
    // Of a machine without a record nobody knows what it was started with: it counts as outdated.
    const configHash = stored?.configHash ?? "";
    record.launched = { ...plan, configHash };
    const { addresses, pid } = found;
    const next = found.state === "suspended" ? "suspended" : "starting";
    record.change({ state: next, handle: found.handle, addresses, pid, configHash, reason: "" });
    record.log.info({ pid, state: found.state }, "machine adopted");
  } catch (error) {
    // The handle stays, so that a later start ends what may be left before it launches anew.
    record.change({ state: "failed", reason: `cannot be adopted: ${error instanceof Error ? error.message : String(error)}` });
    record.log.error({ err: error }, "machine cannot be adopted");
  }
}
