// What the admin API may ask of the node. The composition root implements it; the API, and through it the CLI, see nothing else.

import type { App } from "../core/app.ts";
import type { MachineRecord } from "../core/machine.ts";
import type { Explanation } from "../routing/explain.ts";

export interface NodeControl {
  status(): NodeStatus;
  apps(): readonly App[];
  /** Throws `app_not_found`. */
  machines(app: string): readonly MachineRecord[];
  /** Requests in flight on a machine, over all services and workers. */
  inFlight(machineId: string): number;
  /** Throws `app_not_found`, `machine_not_found`, `machine_state`, `not_supported`, `wake_failed`, `wake_timeout`. */
  start(app: string, machineId: string): Promise<MachineRecord>;
  stop(app: string, machineId: string): Promise<MachineRecord>;
  suspend(app: string, machineId: string): Promise<MachineRecord>;
  /** Which machines a URL could reach from a region, and why. `region` null: this node's. Throws `app_not_found` for unknown hosts. */
  explain(url: string, region: string | null): Explanation;
  /** Reads the configuration anew. Never throws: a bad one leaves the old in force and is described. */
  reload(): Promise<ReloadResult>;
  /** Prometheus text and its content type. */
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>;
  /** Do all listeners accept and all workers run? */
  isReady(): boolean;
}

export interface NodeStatus {
  readonly node: string;
  readonly region: string;
  readonly version: string;
  readonly runtime: string;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly ready: boolean;
  readonly listeners: readonly ListenerStatus[];
  readonly workers: readonly { readonly index: number; readonly restarts: number; readonly connections: number }[];
  readonly apps: readonly {
    readonly name: string;
    readonly hostnames: readonly string[];
    readonly machines: number;
    readonly started: number;
  }[];
  /** Requests waiting at the gate, over all workers. */
  readonly waiting: number;
}

export interface ListenerStatus {
  /** "tls": TLS with no HTTP in it. */
  readonly scheme: "http" | "https" | "tls" | "pg_tls" | "tcp" | "udp";
  readonly publicPort: number;
  readonly host: string;
  readonly port: number;
}

export interface ReloadResult {
  readonly applied: boolean;
  /** Problems (when not applied), warnings, and what needs a restart to take effect; one line each. */
  readonly messages: readonly string[];
  /** Names of the apps that were added, changed, removed. */
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}
