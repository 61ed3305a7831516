// From what the checks of a machine say to what routing makes of it. Pure; reference section 7.1.

import type { CheckResult, Health } from "../core/machine.ts";

/** One check that failed makes the machine critical; until all have answered since it started, nothing is known. */
export function verdict(results: readonly CheckResult[]): Health {
  if (results.some((result) => result.status === "critical" && hasAnswered(result))) return "critical";
  return results.every(hasAnswered) ? "passing" : "unknown";
}

function hasAnswered(result: CheckResult): boolean {
  return result.updatedAtMs > 0;
}
