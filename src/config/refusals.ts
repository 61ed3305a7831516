// What a configuration asks for that a node of this version must not start without: running on would do something else than the operator
// meant. Everything else that is not yet in force is only reported.

import type { App } from "../core/app.ts";
import type { NodeConfig } from "./node-config.ts";

/** One sentence for each reason not to start; empty when there is none. */
export function refusals(node: NodeConfig, apps: readonly App[]): string[] {
  const reasons: string[] = [];
  if (node.state.engine !== "sqlite")
    reasons.push(`state.engine = "${node.state.engine}" is understood, but not yet in force; use "sqlite"`);
  for (const { name, driver } of apps) {
    if (driver === "process" || driver === "static") continue;
    reasons.push(`driver "${driver}" of app "${name}" is understood, but not yet in force; use "process" or "static"`);
  }
  return reasons;
}
