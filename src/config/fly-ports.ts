// From one `[[services.ports]]` entry to the core's port: its range, its handlers without aliases, and which of them go together.
// Reference sections 1.6 and 2.2.

import type { ConnectionRules, Handler, ServicePort, TlsRules } from "../core/app.ts";
import type { Findings } from "./findings.ts";
import { toHttpOptions, toSessionRules } from "./fly-http-options.ts";
import type { FlyDocument } from "./fly-toml.ts";
import type { KeyPath } from "./problems.ts";

type TcpService = FlyDocument["services"][number];
type DocumentPort = TcpService["ports"][number];

/** Each port of a range is a socket of its own in every worker. */
const MOST_PORTS = 1_000;

export function toPort(port: DocumentPort, service: TcpService, path: KeyPath, findings: Findings): ServicePort {
  const [start, end] = toRange(port, path, findings);
  // "edge_http" is what "http" was called once.
  const handlers = [...new Set(port.handlers.map((handler): Handler => (handler === "edge_http" ? "http" : handler)))].sort();
  if (!findings.hasErrorAt([...path, "handlers"])) {
    if (port.force_https && !handlers.includes("http")) findings.error([...path, "force_https"], 'expected handlers to have "http"');
    if (service.protocol === "udp") checkUdp(port, service, [start, end], handlers, path, findings);
    else checkHandlers(port, handlers, path, findings);
  }
  const http = toHttpOptions(port.http_options, [...path, "http_options"], findings);
  const sessions = toSessionRules(port.http_options, [...path, "http_options"], findings);
  if ((http ?? sessions) !== null && !handlers.includes("http"))
    findings.warning([...path, "http_options"], 'no effect without the "http" handler');
  const h2Backend = port.http_options?.h2_backend ?? false;
  return { start, end, handlers, forceHttps: port.force_https, http, h2Backend, sessions, rules: toRules(port, handlers) };
}

function toRules({ kittiwake, tls_options: tls, proxy_proto_options: proxy }: DocumentPort, handlers: readonly Handler[]): ConnectionRules {
  return {
    idleTimeoutMs: kittiwake.idle_timeout,
    isPassedThrough: kittiwake.tls_passthrough,
    proxyProtocol: kittiwake.udp_proxy_header ? "v2" : handlers.includes("proxy_proto") ? (proxy?.version ?? "v1") : null,
    tls: handlers.includes("tls") || handlers.includes("pg_tls") ? toTlsRules(tls) : null,
  };
}

export function toTlsRules(options: DocumentPort["tls_options"]): TlsRules | null {
  if (options === undefined) return null;
  const { alpn = null, versions = [], default_self_signed: defaultSelfSigned } = options;
  const [version, other] = new Set(versions);
  const rules: TlsRules = { alpn, versions: version === undefined || other !== undefined ? "all" : version, defaultSelfSigned };
  return rules.alpn === null && rules.versions === "all" && !defaultSelfSigned ? null : rules;
}

function checkUdp(
  { kittiwake }: DocumentPort,
  service: TcpService,
  [start, end]: readonly [number, number],
  handlers: readonly Handler[],
  path: KeyPath,
  findings: Findings,
): void {
  if (handlers.length > 0) findings.error([...path, "handlers"], "expected none, because UDP has no handlers");
  if (start !== service.internal_port || end !== start) {
    findings.error([...path, "port"], `expected ${service.internal_port}, because UDP keeps the port number`);
  }
  if (kittiwake.tls_passthrough) findings.error([...path, "kittiwake", "tls_passthrough"], "expected false, because this is UDP");
}

function checkHandlers(port: DocumentPort, handlers: readonly Handler[], path: KeyPath, findings: Findings): void {
  const { kittiwake, tls_options: tls, proxy_proto_options: proxy } = port;
  const [isHttp, isTls, isPostgres, isProxied] = (["http", "tls", "pg_tls", "proxy_proto"] as const).map((one) => handlers.includes(one));
  if (isPostgres && (isHttp || isTls))
    findings.error([...path, "handlers"], '"pg_tls" ends TLS by itself, and goes with "proxy_proto" alone');
  if (isProxied && isHttp) {
    findings.error([...path, "handlers"], '"proxy_proto" cannot go with "http", where the machine has the client in fly-client-ip');
  }
  if (isHttp && kittiwake.idle_timeout > 0) {
    findings.error([...path, "kittiwake", "idle_timeout"], 'it is for connections without "http"; use http_options.idle_timeout');
  }
  if (kittiwake.udp_proxy_header) {
    findings.error([...path, "kittiwake", "udp_proxy_header"], 'expected false, because this is TCP, which has the "proxy_proto" handler');
  }
  if (kittiwake.tls_passthrough && handlers.some((handler) => handler !== "proxy_proto")) {
    findings.error(
      [...path, "kittiwake", "tls_passthrough"],
      'expected no handlers but "proxy_proto", because the machine gets what the client sends',
    );
  }
  if (tls !== undefined && !isTls && !isPostgres) findings.warning([...path, "tls_options"], 'no effect without the "tls" handler');
  if (proxy !== undefined && !isProxied) findings.warning([...path, "proxy_proto_options"], 'no effect without the "proxy_proto" handler');
}

function toRange(
  { port, start_port: first, end_port: last }: DocumentPort,
  path: KeyPath,
  findings: Findings,
): [start: number, end: number] {
  if (port !== undefined) {
    if (first !== undefined || last !== undefined)
      findings.error([...path, "port"], "start_port or end_port is given too; keep one of them");
    return [port, port];
  }
  if (first === undefined && last === undefined) findings.error([...path, "port"], "missing; expected a port, or start_port and end_port");
  const [start, end] = [first ?? 1, last ?? 65_535];
  if (start > end) findings.error([...path, "end_port"], `expected at least start_port (${start}), got ${end}`);
  if (end - start >= MOST_PORTS && (first !== undefined || last !== undefined)) {
    const given = last === undefined ? "start_port" : "end_port";
    findings.error([...path, given], `expected at most ${MOST_PORTS} ports, got those from ${start} to ${end}`);
  }
  return [start, end];
}
