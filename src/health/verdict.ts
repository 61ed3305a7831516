// From what the checks of a machine say to what routing makes of it. Pure; reference section 7.1.

import type { CheckResult, Health } from "../core/machine.ts";

/**
 * One check that failed makes the machine critical; until all have answered since it started, nothing is known. A warning is no failure,
 * and an informational check has no say.
 */
export function verdict(results: readonly CheckResult[]): Health {
  const heeded = results.filter(({ kind }) => kind !== "informational");
  if (heeded.some((result) => result.status === "critical" && hasAnswered(result))) return "critical";
  return heeded.every(hasAnswered) ? "passing" : "unknown";
}

function hasAnswered(result: CheckResult): boolean {
  return result.updatedAtMs > 0;
}
