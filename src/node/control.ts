// What the admin API and the CLI may ask of a running node, answered from its parts. Reload lives here too: a configuration comes into
// force whole, or not at all.

import type { Logger } from "pino";
import { AddressSet } from "../core/address-set.ts";
import type { App } from "../core/app.ts";
import { ProxyError } from "../core/errors.ts";
import type { MachineRecord } from "../core/machine.ts";
import { VERSION } from "../core/version.ts";
import type { CertificateControl, ExplainQuestion, ListenerStatus, NodeControl, NodeStatus, ReloadResult } from "../admin/control.ts";
import { loadConfig, type UsableConfig } from "../config/load.ts";
import type { NodeConfig } from "../config/node-config.ts";
import { formatProblem } from "../config/problems.ts";
import { refusals } from "../config/refusals.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Latency } from "../catalog/latency.ts";
import type { LoadTable } from "../catalog/load-table.ts";
import type { MachineLoad } from "../catalog/machine-load.ts";
import { SignedCookies } from "../edge/signed-cookies.ts";
import { explain, type Explanation } from "../routing/explain.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Host } from "../wake/host.ts";
import { askedOf } from "./asked.ts";
import type { PublicListeners } from "./public-listeners.ts";
import type { WorkerPool } from "./worker-pool.ts";

export interface ControlOptions {
  readonly config: UsableConfig;
  readonly configPath: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly startedAtMs: number;
  readonly host: Host;
  readonly catalog: Catalog;
  readonly latency: () => Latency;
  readonly machineLoad: MachineLoad;
  readonly load: LoadTable;
  readonly workers: WorkerPool;
  readonly listeners: PublicListeners;
  readonly metrics: Metrics;
  readonly certificates: CertificateControl;
  /** Of the edge's own cookies. */
  readonly cookieKeys: () => readonly Uint8Array[];
  /** Brings a new configuration into force. */
  readonly onReload: (next: UsableConfig) => Promise<void>;
  readonly onReloaded: (result: ReloadResult) => void;
  readonly log: Logger;
}

export class Control implements NodeControl {
  readonly #options: ControlOptions;
  #lastReload: Promise<unknown> = Promise.resolve();
  /** Asked for, and not begun. */
  #nextReload: Promise<ReloadResult> | null = null;
  #config: UsableConfig;
  readonly certificates: CertificateControl;
  isStopping = false;

  constructor(options: ControlOptions) {
    this.#options = options;
    this.certificates = options.certificates;
    this.#config = options.config;
  }

  status(): NodeStatus {
    const { workers, host, startedAtMs } = this.#options;
    const { node, region } = this.#config.node;
    return {
      node,
      region,
      version: VERSION,
      runtime: process.version,
      pid: process.pid,
      startedAtMs,
      ready: this.isReady(),
      listeners: this.#listeners(),
      workers: workers.members.map(({ index, restarts, report }) => ({ index, restarts, connections: report?.connections ?? 0 })),
      apps: this.apps().map(({ name, hostnames }) => {
        const machines = host.machines(name);
        return { name, hostnames, machines: machines.length, started: machines.filter(({ state }) => state === "started").length };
      }),
      waiting: workers.members.reduce((sum, { report }) => sum + (report?.waiting ?? 0), 0),
    };
  }

  apps(): readonly App[] {
    return this.#options.catalog.apps;
  }

  machines(app: string): readonly MachineRecord[] {
    this.#app(app);
    return this.#options.host.machines(app);
  }

  inFlight(machineId: string): number {
    return this.#options.machineLoad.inFlight(machineId);
  }

  async start(app: string, machineId: string): Promise<MachineRecord> {
    const timeoutMs = this.#app(app).wakeTimeoutMs;
    return (await this.#options.host.start(app, machineId, { timeoutMs, fresh: true })).record;
  }

  async stop(app: string, machineId: string): Promise<MachineRecord> {
    this.#app(app);
    return await this.#options.host.stop(app, machineId);
  }

  async suspend(app: string, machineId: string): Promise<MachineRecord> {
    this.#app(app);
    return await this.#options.host.suspend(app, machineId);
  }

  explain(question: ExplainQuestion): Explanation {
    const { catalog, load, latency, cookieKeys } = this.#options;
    const { node } = this.#config;
    const { client, whatIf } = question;
    const cookies = new SignedCookies({ keys: cookieKeys(), now: Date.now });
    // A client that is not known may be anybody.
    const isTrusted = client !== null && new AddressSet(node.edge.trustedProxies).has(client);
    return explain(catalog.entries, question.url, {
      region: question.region ?? node.region,
      latency: latency(),
      count: (slot) => load.count(slot),
      listeners: this.#listeners(),
      client,
      asked: (app, service, path) => askedOf(app, service, { ...question, path, isTrusted, cookies }),
      whatIf,
    });
  }

  /** One at a time. Whoever asks during one may have changed a file since it read them: they all get the one after it. */
  reload(): Promise<ReloadResult> {
    this.#nextReload ??= this.#lastReload.then(async () => {
      this.#nextReload = null;
      const result = await this.#reload();
      this.#options.log.info(
        { ...result },
        result.applied ? "configuration reloaded" : "configuration not reloaded, the old one stays in force",
      );
      this.#options.onReloaded(result);
      return result;
    });
    this.#lastReload = this.#nextReload.catch(() => {});
    return this.#nextReload;
  }

  async metrics(): Promise<{ readonly contentType: string; readonly text: string }> {
    const { metrics, workers } = this.#options;
    // Their reports reach the metrics by the way that all messages of workers take.
    await workers.collect();
    return { contentType: metrics.contentType, text: await metrics.text() };
  }

  isReady(): boolean {
    return !this.isStopping && this.#options.workers.isReady && this.#options.listeners.status.length > 0;
  }

  async #reload(): Promise<ReloadResult> {
    const before = this.#config;
    const next = loadConfig(this.#options.configPath, { environment: this.#options.environment });
    const messages = next.problems.map(formatProblem);
    const none = { added: [], changed: [], removed: [] };
    if (!next.usable) return { applied: false, messages, ...none };
    const reasons = refusals(before.node, next.apps);
    if (reasons.length > 0) return { applied: false, messages: [...messages, ...reasons], ...none };
    try {
      await this.#options.onReload(next);
    } catch (error) {
      await this.#options.onReload(before).catch(() => {});
      return { applied: false, messages: [...messages, (error as Error).message], ...none };
    }
    this.#config = { ...next, node: before.node };
    return { applied: true, messages: [...messages, ...restartNeeded(before.node, next.node)], ...difference(before.apps, next.apps) };
  }

  #listeners(): readonly ListenerStatus[] {
    return this.#options.listeners.status;
  }

  #app(name: string): App {
    const app = this.#options.catalog.app(name);
    if (app === undefined) throw new ProxyError("app_not_found", `there is no app "${name}"`);
    return app;
  }
}

/** What of kittiwake.toml cannot change while the node runs; one line a table. */
function restartNeeded(before: NodeConfig, next: NodeConfig): string[] {
  const fixed = ["node", "region", "dataDir", "workers", "edge", "tls", "admin", "state", "log", "timeouts", "limits"] as const;
  const changed = fixed.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(next[key]));
  return changed.map((key) => `${key === "dataDir" ? "data_dir" : key} has changed: restart the node for it to come into force`);
}

function difference(before: readonly App[], next: readonly App[]): Pick<ReloadResult, "added" | "changed" | "removed"> {
  const old = new Map(before.map((app) => [app.name, JSON.stringify(app)]));
  const names = new Set(next.map(({ name }) => name));
  return {
    added: next.filter(({ name }) => !old.has(name)).map(({ name }) => name),
    changed: next.filter((app) => old.has(app.name) && old.get(app.name) !== JSON.stringify(app)).map(({ name }) => name),
    removed: before.filter(({ name }) => !names.has(name)).map(({ name }) => name),
  };
}
