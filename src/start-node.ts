// The composition root of the node: everything is made here, in the order in which it depends on each other, and ended in the reverse
// order. The CLI and every test start a node with this function; several may live in one process.

import type { DriverName } from "./core/app.ts";
import type { Component } from "./core/component.ts";
import { ProxyError } from "./core/errors.ts";
import type { MachineRecord } from "./core/machine.ts";
import { REGIONS } from "./core/region-table.ts";
import { runtimeWarning } from "./core/runtime.ts";
import { supervise } from "./core/supervise.ts";
import { createLog, logFailure } from "./telemetry/log.ts";
import { Metrics } from "./telemetry/metrics.ts";
import type { UsableConfig } from "./config/load.ts";
import type { NodeConfig } from "./config/node-config.ts";
import { refusals } from "./config/refusals.ts";
import { SqliteStore } from "./state/sqlite-store.ts";
import { Catalog } from "./catalog/catalog.ts";
import { Latency } from "./catalog/latency.ts";
import { AddressTable } from "./catalog/address-table.ts";
import { LoadTable, MAX_WORKERS } from "./catalog/load-table.ts";
import { MachineLoad } from "./catalog/machine-load.ts";
import { createSelfSigned } from "./certs/sign.ts";
import { Checker } from "./health/checker.ts";
import { verdict } from "./health/verdict.ts";
import { BusyMachines } from "./wake/busy.ts";
import { Host } from "./wake/host.ts";
import { Idler } from "./wake/idler.ts";
import { Waker } from "./wake/waker.ts";
import { ProcessDriver } from "./wake/drivers/process.ts";
import { StaticDriver } from "./wake/drivers/static.ts";
import type { Driver, DriverEvents } from "./wake/driver.ts";
import { AdminServer } from "./admin/server.ts";
import type { ListenerStatus, NodeControl, ReloadResult } from "./admin/control.ts";
import { Certification } from "./node/certification.ts";
import { Control } from "./node/control.ts";
import { setGauges } from "./node/gauges.ts";
import { nodeIdentity } from "./node/identity.ts";
import { PublicListeners } from "./node/public-listeners.ts";
import { WorkerPool } from "./node/worker-pool.ts";
import type { FromWorker, WorkerData } from "./node/worker-messages.ts";

export interface StartOptions {
  /** What is read again on a reload. */
  readonly configPath: string;
  readonly onEvent?: (event: NodeEvent) => void;
  /** true: machines run on when the node stops, and the next one adopts them. */
  readonly keepMachines?: boolean;
  /** What seals private keys in the store. Default: KITTIWAKE_SECRET of the environment, else `secret.key` in the data directory. */
  readonly secret?: string;
}

export type NodeEvent =
  | {
      readonly type: "woke";
      readonly app: string;
      readonly name: string;
      readonly region: string;
      readonly totalMs: number;
      readonly startMs: number;
    }
  /** Whatever changed of it: its state, its health, its address. */
  | { readonly type: "machine_changed"; readonly record: MachineRecord }
  | { readonly type: "reloaded"; readonly result: ReloadResult }
  | { readonly type: "worker_replaced"; readonly index: number; readonly reason: string };

export interface Node extends AsyncDisposable {
  readonly control: NodeControl;
  readonly listeners: readonly ListenerStatus[];
  readonly adminUrl: string;
  /** Stops accepting, lets exchanges finish, ends machines (or leaves them), closes the stores. */
  stop(options?: { readonly keepMachines?: boolean }): Promise<void>;
  /** For tests: throws inside a worker. */
  crashWorker(index: number): void;
  /** For tests: the time-outs of the data plane take so much time for gone by. Resolves when what was due has happened. */
  passTime(ms: number): Promise<void>;
}

/** An app that is no longer declared. */
const NOT_CHECKED = { services: [], checks: [] };
const DAY_MS = 86_400_000;

/** Resolves when all listeners accept. Throws what stands in the way, and leaves nothing running then. */
export async function startNode(config: UsableConfig, options: StartOptions): Promise<Node> {
  const stack = new AsyncDisposableStack();
  try {
    return await compose(config, options, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function compose(config: UsableConfig, options: StartOptions, stack: AsyncDisposableStack): Promise<Node> {
  const { node } = config;
  const reasons = refusals(node, config.apps);
  if (reasons.length > 0) throw new ProxyError("config_invalid", reasons.join("; "));
  // First, because the log may be in the data directory.
  const nodeId = nodeIdentity(node.dataDir);
  const log = createLog({ level: node.log.level, destination: node.log.file ?? "stderr", name: node.node });
  stack.defer(() => log.close());
  const warning = runtimeWarning(process.version);
  if (warning !== null) log.warn({ runtime: process.version }, warning);
  const startedAtMs = Date.now();
  const emit = options.onEvent ?? (() => {});
  const stopping = new AbortController();
  const isKeepingMachines = { value: options.keepMachines ?? false };

  // State and knowledge
  const store = openStore(node);
  stack.defer(() => store.close());
  const load = LoadTable.create();
  const addresses = AddressTable.create(Math.min(node.workers, MAX_WORKERS));
  let latency = latencyOf(config);
  const catalog: Catalog = new Catalog({
    load,
    rttMs: (region) => latency.rttMs(node.region, region),
    wakeMs: (app, state) => waker.times.expectedMs(app, state),
    onEntry: (entry) => workers.broadcast({ type: "app", entry }),
    onRemoved: (name) => workers.broadcast({ type: "app_removed", name }),
    onFull: ({ app, id }) => log.error({ app, machine: id }, "the load table is full: this machine gets no traffic"),
    now: () => performance.now(),
  });
  const machineLoad = new MachineLoad(load, (id) => catalog.slotsOf(id));

  // Machines
  const checker = new Checker({
    log,
    now: Date.now,
    random: Math.random,
    onResult: (id, results) => host.setHealth(id, verdict(results), results),
  });
  stack.defer(() => checker.close());
  const events: DriverEvents = {
    onExit: (id, exit) => host.onExit(id, exit),
    onOutput: (id, stream, line) => host.onOutput(id, stream, line),
  };
  const processes = new ProcessDriver({ dir: node.dataDir, nodeId, events, hostEnvironment: process.env });
  const host: Host = new Host({
    node: node.node,
    drivers: new Map<DriverName, Driver>([
      ["process", processes],
      ["static", new StaticDriver()],
    ]),
    store,
    load: machineLoad,
    log,
    onChange: (record) => {
      catalog.setMachine(record);
      checker.watch(record, catalog.app(record.app) ?? NOT_CHECKED);
      emit({ type: "machine_changed", record });
    },
    onRemoved: (app, id) => {
      checker.forget(id);
      busy.forget(id);
      catalog.removeMachine(app, id);
    },
    onLeaving: (machine) => workers.broadcast({ type: "leave_tunnels", machine }),
    now: Date.now,
    random: Math.random,
    drainMs: node.timeouts.drainMs,
  });
  stack.defer(() => host.close({ keepMachines: isKeepingMachines.value }));

  // Waking and sleeping
  const wokenIn = new Map<string, number>();
  const waker: Waker = new Waker({
    region: node.region,
    host,
    app: (name) => catalog.app(name),
    rttMs: (region) => latency.rttMs(node.region, region),
    inFlight: (id) => machineLoad.inFlight(id),
    onWoke: ({ app: name, region }) => metrics.countWake(name, region, "woken"),
    onFailed: (name, service, error) => {
      logFailure(log, error, { app: name, service });
      metrics.countWake(name, "", "failed");
    },
    log,
    now: Date.now,
  });
  const busy = new BusyMachines({ now: () => performance.now(), wallClock: Date.now, dir: node.dataDir });
  const idler = new Idler({ host, apps: () => catalog.apps, load: machineLoad, isBusy: (id) => busy.isBusy(id), log });

  // The data plane
  const metrics: Metrics = new Metrics({
    region: node.region,
    host: node.node,
    onScrape: () => {
      setGauges(metrics, host, machineLoad, workers);
      certification.setGauges();
    },
  });
  const certification = await Certification.open({
    config: node,
    store,
    secret: options.secret ?? process.env["KITTIWAKE_SECRET"],
    catalog,
    workers: {
      send: (worker, message) => workers.send(worker, message),
      broadcast: (message) => workers.broadcast(message),
      taken: () => workers.taken(),
    },
    metrics,
    log,
  });
  stack.use(certification);
  const answer = async (worker: number, message: FromWorker): Promise<void> => {
    switch (message.type) {
      case "wake":
        return await wakeFor(worker, message);
      case "certificate_wanted":
        return await certification.certify(worker, message.hostname);
      case "challenge_wanted":
        return await certification.seekChallenge(worker, message);
      case "report":
        return metrics.add(message.report);
      case "served":
        return reportWake(message);
      case "busy":
        return busy.note(message.machine, message.seconds);
      default:
    }
  };
  const workers: WorkerPool = new WorkerPool({
    count: Math.min(node.workers, MAX_WORKERS),
    data: workerData(
      node,
      load,
      addresses,
      await createSelfSigned({ notBefore: new Date(startedAtMs - DAY_MS), notAfter: new Date(startedAtMs + 3650 * DAY_MS) }),
    ),
    ticketKeys: () => certification.ticketKeys,
    cookieKeys: () => certification.cookieKeys,
    entries: () => catalog.entries,
    challenges: () => certification.challenges,
    onMessage: (worker, message) => void answer(worker, message),
    onDied: (index, reason) => {
      load.releaseWorker(index);
      addresses.releaseWorker(index);
      metrics.countWorkerRestart();
      log.error({ worker: index, reason }, "a worker died and is replaced");
      emit({ type: "worker_replaced", index, reason });
    },
    random: Math.random,
  });

  const wakeFor = async (worker: number, message: Extract<FromWorker, { type: "wake" }>): Promise<void> => {
    const { app, service, reason, target } = message;
    const key = target?.key ?? null;
    const isWaitedFor = reason === "asleep" || reason === "near";
    try {
      const { record, startMs } = await waker.wake(app, service, reason === "detour" ? "near" : reason, target);
      if (isWaitedFor) {
        if (startMs > 0) wokenIn.set(record.id, startMs);
        workers.send(worker, { type: "woken", app, service, key });
      }
    } catch (error) {
      if (!isWaitedFor) return;
      const { code, message: text } = error instanceof ProxyError ? error : new ProxyError("internal");
      workers.send(worker, { type: "wake_failed", app, service, key, code, message: text });
    }
  };
  const reportWake = ({ app, machine, heldMs }: Extract<FromWorker, { type: "served" }>): void => {
    const startMs = wokenIn.get(machine);
    const record = host.machine(app, machine);
    if (startMs === undefined || record === undefined) return;
    wokenIn.delete(machine);
    metrics.observeWake(app, record.region, heldMs / 1000);
    // A request that came while the machine was on its way waited for less than the whole start.
    const totalMs = Math.max(heldMs, startMs);
    log.info({ app, machine, region: record.region, totalMs, startMs }, "woke a machine");
    emit({ type: "woke", app, name: record.name, region: record.region, totalMs, startMs });
  };

  // Up, in order: nobody is let in before the node knows what it runs.
  for (const app of config.apps) catalog.setApp(app);
  certification.setApps(config.apps);
  const listeners = new PublicListeners({ edge: node.edge, workers, log });
  const control = new Control({
    config,
    configPath: options.configPath,
    environment: process.env,
    startedAtMs,
    host,
    catalog,
    latency: () => latency,
    machineLoad,
    load,
    workers,
    listeners,
    metrics,
    certificates: certification.control,
    cookieKeys: () => certification.cookieKeys,
    onReload: async (next) => {
      // First what can fail, so that a configuration that cannot be had changes nothing.
      await listeners.apply(next.apps);
      latency = latencyOf(next);
      const removed = catalog.apps.filter(({ name }) => !next.apps.some((app) => app.name === name));
      for (const { name } of removed) catalog.retireApp(name);
      for (const app of next.apps) catalog.setApp(app);
      catalog.refresh();
      certification.setApps(next.apps);
      for (const record of host.machines()) checker.watch(record, catalog.app(record.app) ?? NOT_CHECKED);
      // Machines change behind the reload's back, for as long as that takes.
      void host.applyApps(next.apps).then(() => {
        for (const { name } of removed) {
          catalog.removeApp(name);
          if (catalog.app(name) === undefined) waker.times.forget(name);
        }
      });
    },
    onReloaded: (result) => emit({ type: "reloaded", result }),
    log,
  });

  const running: Promise<void>[] = [];
  const run = (component: Component): void => {
    const onBroken = (_: Component, error: unknown, retryMs: number): void => {
      log.error({ err: error, component: component.name, retryMs }, "a component broke and is started again");
    };
    running.push(supervise(component, { signal: stopping.signal, random: Math.random, onBroken }));
  };
  stack.defer(async () => {
    stopping.abort();
    await Promise.all(running);
  });
  // First of all, because only one node can have this address: a second one with the same data must not touch its machines.
  const admin = new AdminServer({ listen: node.admin.listen, token: node.admin.token, control, log });
  run(admin);
  const adminAddress = await admin.listening;

  stack.defer(async () => {
    control.isStopping = true;
    await workers.stop(node.timeouts.drainMs);
  });
  await certification.prepare();
  await workers.start();
  await host.adopt(config.apps);
  const strays = await processes.endStrays(new Set(host.machines().map(({ id }) => id)));
  if (strays.length > 0) log.warn({ machines: strays }, "ended machines that no app declares any more");
  void host.applyApps(config.apps);
  await listeners.apply(config.apps);
  run(idler);
  await certification.run(run);

  let stopped: Promise<void> | null = null;
  const stop = async (stopOptions: { readonly keepMachines?: boolean } = {}): Promise<void> => {
    isKeepingMachines.value = stopOptions.keepMachines ?? isKeepingMachines.value;
    // A stack that is being disposed of does not make others wait for it.
    stopped ??= stack.disposeAsync();
    await stopped;
  };
  return {
    control,
    listeners: listeners.status,
    adminUrl: `http://${adminAddress.host.includes(":") ? `[${adminAddress.host}]` : adminAddress.host}:${adminAddress.port}`,
    stop,
    crashWorker: (index) => workers.send(index, { type: "crash" }),
    passTime: (ms) => workers.passTime(ms),
    [Symbol.asyncDispose]: () => stop(),
  };
}

function openStore({ state }: NodeConfig): SqliteStore {
  // Another engine was refused before.
  if (state.engine !== "sqlite") throw new ProxyError("internal");
  return new SqliteStore({ path: state.path });
}

function latencyOf({ regions }: UsableConfig): Latency {
  return new Latency({ regions: [...REGIONS, ...regions.regions], measured: regions.measured });
}

function workerData(
  { region, edge, tls, log, timeouts, limits }: NodeConfig,
  load: LoadTable,
  addresses: AddressTable,
  selfSigned: WorkerData["selfSigned"],
): Omit<WorkerData, "index" | "ticketKeys" | "cookieKeys"> {
  const destination = log.file ?? "stderr";
  const accessLog = { log: destination, off: null, stderr: "stderr", stdout: "stdout", file: "" };
  return {
    region,
    load: load.buffer,
    addresses: addresses.buffer,
    selfSigned,
    proxyProtocolFrom: edge.proxyProtocolFrom,
    trustedProxies: edge.trustedProxies,
    expectsValidations: tls.issuer === "acme",
    log: { level: log.level, destination },
    accessLog: log.access.to === "file" ? log.access.file : accessLog[log.access.to],
    timeouts,
    limits,
  };
}
