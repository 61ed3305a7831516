// What a machine's process finds in its environment. Nothing of the node's own but a short list, so that no secret leaks.

import type { LaunchSpec } from "../driver.ts";
import { LAUNCH_VARIABLE, MACHINE_VARIABLE, NODE_VARIABLE, PORT_VARIABLE_PREFIX } from "./process-tree.ts";

/** What a program needs to find its tools, its home and its language. */
const INHERITED = ["PATH", "HOME", "LANG", "TZ", "USER", "TMPDIR"] as const;

export interface EnvironmentOptions {
  readonly machine: LaunchSpec;
  readonly hostEnvironment: Readonly<Record<string, string | undefined>>;
  readonly nodeId: string;
  readonly token: string;
  /** Internal port to bound port. */
  readonly ports: Readonly<Record<number, number>>;
  /** Where the machine says that it is busy; see wake/busy.ts. */
  readonly busyFile: string;
}

/** Later entries win: the app over the node, and what only the driver knows over both, for machines share one loopback. */
export function processEnvironment(options: EnvironmentOptions): Record<string, string> {
  const { machine, hostEnvironment, ports } = options;
  const environment: Record<string, string> = {};
  for (const name of INHERITED) {
    const value = hostEnvironment[name];
    if (value !== undefined) environment[name] = value;
  }
  Object.assign(environment, machine.env);
  const [firstInternalPort] = machine.internalPorts;
  if (firstInternalPort !== undefined) environment["PORT"] = String(ports[firstInternalPort]);
  for (const [internalPort, port] of Object.entries(ports)) environment[`${PORT_VARIABLE_PREFIX}${internalPort}`] = String(port);
  environment["KITTIWAKE_BUSY_FILE"] = options.busyFile;
  environment[MACHINE_VARIABLE] = machine.id;
  environment[NODE_VARIABLE] = options.nodeId;
  environment[LAUNCH_VARIABLE] = options.token;
  return environment;
}
