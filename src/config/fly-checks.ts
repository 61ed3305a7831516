// From `[checks]` of a fly.toml to the core's: checks of machines that belong to no service. Reference sections 1.7 and 7.1.

import type { AppCheck, ServiceCheck } from "../core/app.ts";
import { toProbe } from "./fly-services.ts";
import type { FlyDocument } from "./fly-toml.ts";

/**
 * In the order of the file. What is wrong with them is reported by fly-section-rules.ts.
 *
 * @param groupNames of the app; the first is the default group
 */
export function toAppChecks(document: FlyDocument, groupNames: readonly string[]): AppCheck[] {
  return Object.entries(document.checks).map(([name, check]): AppCheck => {
    const timing = { name, intervalMs: check.interval, timeoutMs: check.timeout, gracePeriodMs: check.grace_period };
    const probe: ServiceCheck = check.type === "tcp" ? { type: "tcp", ...timing } : { type: "http", ...timing, ...toProbe(check) };
    const port = check.port ?? document.http_service?.internal_port ?? 0;
    const groups = check.processes.length > 0 ? check.processes : [groupNames[0]!];
    return { check: probe, port, groups, kind: check.kind };
  });
}
