// Apps and machines as Fly's Machines API shows them (reference sections 9.2, 9.3), as far as a node has the data. What it has and Fly does
// not is under `kittiwake`. Pure.

import type { App, AppCheck, HttpCheck, HttpOptions, Service, ServiceCheck, ServicePort } from "../core/app.ts";
import { formatDuration } from "../core/duration.ts";
import type { Health, MachineRecord, MachineState } from "../core/machine.ts";

export interface AppObject {
  readonly id: string;
  readonly name: string;
  readonly machine_count: number;
  readonly volume_count: number;
  readonly network: string;
  readonly status: "deployed" | "pending";
  readonly organization: { readonly name: string; readonly slug: string };
  readonly kittiwake: { readonly hostnames: readonly string[]; readonly started: number };
}

export interface MachineObject {
  readonly id: string;
  readonly name: string;
  readonly state: MachineState;
  readonly region: string;
  /** Where the first service is reached; empty while the machine has never started. */
  readonly private_ip: string;
  readonly config: MachineConfig;
  readonly checks: readonly { readonly name: string; readonly status: string; readonly output: string; readonly updated_at?: string }[];
  readonly cordoned: boolean;
  readonly host_status: "ok";
  /** When the state last changed. */
  readonly updated_at: string;
  readonly kittiwake: {
    readonly app: string;
    readonly node: string;
    readonly health: Health;
    readonly in_flight: number;
    readonly pid: number | null;
    /** Why it is in this state; empty when it is as asked. */
    readonly reason: string;
  };
}

/** Environment and command are left out: they are where people keep secrets. */
interface MachineConfig {
  readonly metadata: Readonly<Record<string, string>>;
  readonly services: readonly object[];
  readonly checks: Readonly<Record<string, object>>;
  readonly restart: { readonly policy: "no" | "always" | "on-failure"; readonly max_retries: number };
  readonly stop_config: { readonly signal: string; readonly timeout: string };
}

export function appObject({ name, hostnames }: App, machines: readonly MachineRecord[]): AppObject {
  return {
    id: name,
    name,
    machine_count: machines.length,
    volume_count: 0,
    network: "default",
    status: machines.length > 0 ? "deployed" : "pending",
    // Every app has one in Fly's API; a node belongs to whoever runs it.
    organization: { name: "kittiwake", slug: "personal" },
    kittiwake: { hostnames, started: machines.filter(({ state }) => state === "started").length },
  };
}

export function machineObject(app: App, record: MachineRecord, inFlight: number): MachineObject {
  const { id, name, state, region, cordoned, node, health, pid, reason } = record;
  return {
    id,
    name,
    state,
    region,
    private_ip: Object.values(record.addresses)[0]?.host ?? "",
    config: machineConfig(app, record.group),
    checks: record.checks.map((check) => ({
      name: check.name,
      status: check.status,
      output: check.output,
      ...(check.updatedAtMs > 0 && { updated_at: isoTime(check.updatedAtMs) }),
    })),
    cordoned,
    host_status: "ok",
    updated_at: isoTime(record.changedAtMs),
    kittiwake: { app: app.name, node, health, in_flight: inFlight, pid, reason },
  };
}

function machineConfig(app: App, group: string): MachineConfig {
  const { policy, retries } = app.groups.find(({ name }) => name === group)?.restart ?? { policy: "on-failure", retries: 10 };
  return {
    metadata: { fly_process_group: group },
    services: app.services.filter(({ groups }) => groups.includes(group)).map(serviceObject),
    checks: Object.fromEntries(
      app.checks.filter(({ groups }) => groups.includes(group)).map((one) => [one.check.name, appCheckObject(one)]),
    ),
    restart: { policy: policy === "never" ? "no" : policy, max_retries: retries },
    stop_config: { signal: app.killSignal, timeout: formatDuration(app.killTimeoutMs) },
  };
}

function serviceObject({ protocol, internalPort, autoStop, autoStart, minMachinesRunning, concurrency, ports, checks }: Service): object {
  return {
    protocol,
    internal_port: internalPort,
    autostop: autoStop,
    autostart: autoStart,
    min_machines_running: minMachinesRunning,
    ports: ports.map(portObject),
    concurrency: {
      type: concurrency.type,
      soft_limit: concurrency.softLimit,
      ...(concurrency.hardLimit !== null && { hard_limit: concurrency.hardLimit }),
    },
    checks: checks.map(checkObject),
  };
}

function portObject({ start, end, handlers, forceHttps, http }: ServicePort): object {
  const range = start === end ? { port: start } : { start_port: start, end_port: end };
  return { ...range, handlers, force_https: forceHttps, ...(http !== null && { http_options: httpOptionsObject(http) }) };
}

function httpOptionsObject({ compress, idleTimeoutMs, headTimeoutMs, responseHeaders, pristine }: HttpOptions): object {
  const headers = responseHeaders.map(({ name, values }) => [name, values.length === 0 ? false : values]);
  const idle = idleTimeoutMs === 0 ? {} : { idle_timeout: idleTimeoutMs / 1000 };
  const head = headTimeoutMs === 0 ? {} : { headers_read_timeout: headTimeoutMs / 1000 };
  return { compress, ...idle, ...head, response: { headers: Object.fromEntries(headers), pristine } };
}

function appCheckObject({ check, port, kind }: AppCheck): object {
  return { port, kind, ...checkObject(check) };
}

function checkObject(check: ServiceCheck): object {
  const timing = {
    type: check.type,
    interval: formatDuration(check.intervalMs),
    timeout: formatDuration(check.timeoutMs),
    grace_period: formatDuration(check.gracePeriodMs),
  };
  return check.type === "http" ? { ...timing, ...httpCheckObject(check) } : timing;
}

function httpCheckObject({ method, path, protocol, tlsSkipVerify, tlsServerName }: HttpCheck): object {
  const tls =
    protocol === "https" ? { tls_skip_verify: tlsSkipVerify, ...(tlsServerName !== null && { tls_server_name: tlsServerName }) } : {};
  return { method, path, protocol, ...tls };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
