// From the services of a fly.toml to the core's: sugar expanded, checks named and clamped, limits resolved. Reference 1.3 to 1.7, 7.1.

import { PLAIN_RULES } from "../core/app.ts";
import type { Concurrency, HttpCheck, Service, ServiceCheck, ServicePort, TcpCheck } from "../core/app.ts";
import { formatDuration } from "../core/duration.ts";
import type { Findings } from "./findings.ts";
import { toHttpOptions, toSessionRules } from "./fly-http-options.ts";
import { toPort, toTlsRules } from "./fly-ports.ts";
import type { FlyDocument } from "./fly-toml.ts";
import type { KeyPath } from "./problems.ts";

type HttpService = NonNullable<FlyDocument["http_service"]>;
type TcpService = FlyDocument["services"][number];
type DocumentCheck = TcpService["tcp_checks"][number];
type DocumentHttpCheck = TcpService["http_checks"][number];

/** A service of the document with the place that its problems are reported at. */
export interface PlacedService {
  readonly path: KeyPath;
  readonly service: HttpService | TcpService;
}

const DEFAULT_SOFT_LIMIT = 20;
const MIN_CHECK_MS = 1_000;
const MAX_CHECK_MS = 60_000;

/** Both kinds in the order that keys and check names are numbered in: [http_service] first. */
export function documentServices(document: FlyDocument): PlacedService[] {
  const services: PlacedService[] = document.services.map((service, index) => ({ path: ["services", index], service }));
  return document.http_service === undefined ? services : [{ path: ["http_service"], service: document.http_service }, ...services];
}

/**
 * @param groupNames of the app; the first is the default group
 * @returns the services; groups that a service names wrongly are left out and reported
 */
export function toServices(document: FlyDocument, groupNames: readonly string[], findings: Findings): Service[] {
  const timesUsed = new Map<string, number>();
  let checksBefore = 0;
  const services = documentServices(document).map(({ path, service }): Service => {
    const protocol = "protocol" in service ? service.protocol : "tcp";
    const name = `${protocol}-${service.internal_port}`;
    const uses = (timesUsed.get(name) ?? 0) + 1;
    timesUsed.set(name, uses);
    const ports = "protocol" in service ? toPorts(service, path, findings) : webPorts(service, path, findings);
    const checks = toChecks(service, path, checksBefore, findings);
    checksBefore += checks.length;
    return {
      key: uses === 1 ? name : `${name}-${uses}`,
      protocol,
      internalPort: service.internal_port,
      groups: groupsOf(service.processes, groupNames, path, findings),
      autoStop: service.auto_stop_machines,
      autoStart: service.auto_start_machines,
      minMachinesRunning: service.min_machines_running,
      concurrency: toConcurrency(service.concurrency, ports, path, findings),
      ports,
      checks,
      maxBodyBytes: document.kittiwake.max_body_size ?? null,
    };
  });
  reportSharedPorts(services, documentServices(document), findings);
  return services;
}

/** [http_service] is sugar for these two; force_https is the business of port 80 alone. */
function webPorts(service: HttpService, path: KeyPath, findings: Findings): ServicePort[] {
  const http = toHttpOptions(service.http_options, [...path, "http_options"], findings);
  const sessions = toSessionRules(service.http_options, [...path, "http_options"], findings);
  const h2Backend = service.http_options?.h2_backend ?? false;
  return [
    { start: 80, end: 80, handlers: ["http"], forceHttps: service.force_https, http, h2Backend, sessions, rules: PLAIN_RULES },
    {
      start: 443,
      end: 443,
      handlers: ["http", "tls"],
      forceHttps: false,
      http,
      h2Backend,
      sessions,
      rules: { ...PLAIN_RULES, tls: toTlsRules(service.tls_options) },
    },
  ];
}

function toPorts(service: TcpService, path: KeyPath, findings: Findings): ServicePort[] {
  if (service.ports.length === 0) findings.warning([...path, "ports"], "missing; without a port nothing reaches this service");
  return service.ports.map((port, index) => toPort(port, service, [...path, "ports", index], findings));
}

/** Named as Fly names them, numbered through the whole app so that no machine has two of one name. */
function toChecks(service: HttpService | TcpService, path: KeyPath, before: number, findings: Findings): ServiceCheck[] {
  const isTcpService = "protocol" in service;
  const httpKey = isTcpService ? "http_checks" : "checks";
  const tcpChecks = isTcpService ? service.tcp_checks : [];
  const httpChecks = isTcpService ? service.http_checks : service.checks;
  const nameOf = (type: string, index: number) =>
    `servicecheck-${String(before + index).padStart(2, "0")}-${type}-${service.internal_port}`;
  return [
    ...tcpChecks.map((check, index): TcpCheck => {
      return { type: "tcp", name: nameOf("tcp", index), ...toTiming(check, [...path, "tcp_checks", index], findings) };
    }),
    ...httpChecks.map((check, index): HttpCheck => {
      const name = nameOf("http", tcpChecks.length + index);
      return { type: "http", name, ...toTiming(check, [...path, httpKey, index], findings), ...toProbe(check) };
    }),
  ];
}

export function toProbe(check: DocumentHttpCheck): Omit<HttpCheck, keyof TcpCheck> {
  const { method, path, protocol, headers, tls_skip_verify: tlsSkipVerify, tls_server_name: tlsServerName = null } = check;
  return { method, path, protocol, headers, tlsSkipVerify, tlsServerName };
}

function toTiming(check: DocumentCheck, path: KeyPath, findings: Findings): Pick<TcpCheck, "intervalMs" | "timeoutMs" | "gracePeriodMs"> {
  return {
    intervalMs: clamp(check.interval, [...path, "interval"]),
    timeoutMs: clamp(check.timeout, [...path, "timeout"]),
    gracePeriodMs: check.grace_period === 0 ? 0 : clamp(check.grace_period, [...path, "grace_period"]),
  };

  function clamp(ms: number, key: KeyPath): number {
    const clamped = Math.min(Math.max(ms, MIN_CHECK_MS), MAX_CHECK_MS);
    if (clamped !== ms) findings.warning(key, `expected 1s to 60s, got ${formatDuration(ms)}; ${formatDuration(clamped)} is used`);
    return clamped;
  }
}

function groupsOf(names: readonly string[], known: readonly string[], path: KeyPath, findings: Findings): string[] {
  if (names.length > 0) return [...new Set(names.filter((name) => known.includes(name)))];
  if (known.length > 1)
    findings.error([...path, "processes"], `missing; name the process groups that this service is for: ${known.join(", ")}`);
  return [known[0]!];
}

/** In Fly's JSON a limit of 0 is one that is not set. */
function toConcurrency(limits: TcpService["concurrency"], ports: readonly ServicePort[], path: KeyPath, findings: Findings): Concurrency {
  const key = [...path, "concurrency"];
  const hardLimit = limits.hard_limit || null;
  const softLimit = Math.min(limits.soft_limit || DEFAULT_SOFT_LIMIT, hardLimit ?? Infinity);
  if (limits.soft_limit && softLimit < limits.soft_limit) {
    findings.warning([...key, "soft_limit"], `expected at most hard_limit (${softLimit}), got ${limits.soft_limit}; ${softLimit} is used`);
  }
  const isHttp = ports.some((port) => port.handlers.includes("http"));
  if (limits.type === "requests" && ports.length > 0 && !isHttp) {
    findings.warning([...key, "type"], 'only the "http" handler can count requests; connections are counted');
  }
  return { type: limits.type === "requests" && isHttp ? "requests" : "connections", softLimit, hardLimit };
}

function reportSharedPorts(services: readonly Service[], placed: readonly PlacedService[], findings: Findings): void {
  const earlier: { protocol: string; port: ServicePort; path: KeyPath }[] = [];
  for (const [index, { protocol, ports }] of services.entries()) {
    for (const [at, port] of ports.entries()) {
      const path = portPath(placed[index]!, at);
      if (["port", "start_port", "end_port"].some((key) => findings.hasErrorAt([...path, key]))) continue;
      const other = earlier.find((one) => one.protocol === protocol && one.port.start <= port.end && port.start <= one.port.end);
      const shared = Math.max(other?.port.start ?? 0, port.start);
      if (other !== undefined) findings.warning(path, `port ${shared} is at ${findings.placeOf(other.path)} already, which comes first`);
      earlier.push({ protocol, port, path });
    }
  }
}

/** Where a port of a service is written down: those of [http_service] are not. */
export function portPath({ path, service }: PlacedService, index: number): KeyPath {
  return "ports" in service ? [...path, "ports", index] : path;
}
