// The node's configuration as the composition root gets it: kittiwake.toml with defaults filled in, paths absolute, and every
// contradiction either refused here or made impossible by the type.

import { join, resolve } from "node:path";

import type { Address } from "../core/app.ts";
import { type AcmeConfig, type Environment, toAcme } from "./acme-config.ts";
import { isLoopback } from "./address.ts";
import type { Findings } from "./findings.ts";
import type { NodeDocument } from "./node-schema.ts";
import { formatValue } from "./problems.ts";
import { name } from "./scalars.ts";
import { readTextFile } from "./text-file.ts";

export interface NodeConfig {
  /** Absolute path of kittiwake.toml. */
  readonly file: string;
  readonly node: string;
  readonly region: string;
  readonly dataDir: string;
  readonly workers: number;
  /** Canonical; an app is reachable as `<app>.<domain>`. */
  readonly domain: string;
  readonly edge: EdgeConfig;
  readonly tls: TlsConfig;
  readonly admin: AdminConfig;
  readonly state: StateConfig;
  /** The region file, or null for the built-in table alone. */
  readonly regionTable: string | null;
  readonly log: LogConfig;
  readonly timeouts: Timeouts;
  readonly limits: Limits;
}

export interface EdgeConfig {
  /** IP addresses, without brackets. "::" and other IPv6 addresses are meant for IPv6 alone. */
  readonly bind: readonly string[];
  /** Public port to bound port, where they differ; a bound port of 0 means any free one. */
  readonly ports: Readonly<Record<number, number>>;
  /** Addresses and CIDR blocks whose connections begin with a PROXY header. */
  readonly proxyProtocolFrom: readonly string[];
  /** Addresses and CIDR blocks whose word on their clients, in `x-forwarded-*`, is taken. */
  readonly trustedProxies: readonly string[];
}

/** The local authority, or an ACME authority. */
export type TlsConfig = { readonly issuer: "internal" } | AcmeConfig;

export interface AdminConfig {
  readonly listen: Address;
  /** null only where `listen` is loopback. */
  readonly token: string | null;
}

/** A file, or a fleet's NATS (not yet in force). */
export type StateConfig =
  | { readonly engine: "sqlite"; readonly path: string }
  | { readonly engine: "nats"; readonly servers: readonly string[] };

export interface LogConfig {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  /** Absolute path, or null for stderr. */
  readonly file: string | null;
  readonly access: AccessLogConfig;
}

export type AccessLogConfig = { readonly to: "log" | "off" | "stderr" | "stdout" } | { readonly to: "file"; readonly file: string };

/** All in milliseconds. */
export interface Timeouts {
  readonly tlsHandshakeMs: number;
  readonly requestHeadMs: number;
  readonly keepAliveIdleMs: number;
  readonly clientIdleMs: number;
  readonly upstreamConnectMs: number;
  /** 0: no limit. */
  readonly upstreamHeadMs: number;
  /** 0: no limit. */
  readonly upstreamSilenceMs: number;
  readonly upstreamIdleMs: number;
  readonly udpIdleMs: number;
  /** 0: no limit. */
  readonly tunnelIdleMs: number;
  /** 0: no limit. */
  readonly totalMs: number;
  readonly drainMs: number;
}

export interface Limits {
  readonly headBytes: number;
  readonly targetBytes: number;
  readonly headers: number;
  readonly trailerBytes: number;
  readonly trailers: number;
  readonly chunkExtensionBytes: number;
  readonly underscores: "pass" | "drop" | "refuse";
  readonly heldBodyBytes: number;
  readonly retryBodyBytes: number;
  readonly replayBodyBytes: number;
  readonly keptBodiesBytes: number;
  readonly streams: number;
  readonly clientBytesPerSecond: number;
  readonly waitingPerApp: number;
  readonly udpSessions: number;
  /** 0: any number. */
  readonly connectionsPerAddress: number;
  readonly attempts: number;
  readonly compressors: number;
  readonly replayCacheEntries: number;
}

/** What the defaults of `node` and `workers` are taken from, and secrets that are in no file. */
export interface HostFacts {
  readonly hostname: string;
  readonly cores: number;
  readonly environment: Environment;
}

/** Resolves a document; contradictions become findings. */
export function toNodeConfig(document: NodeDocument, findings: Findings, host: HostFacts): NodeConfig {
  const absolute = (path: string) => resolve(findings.file.directory, path);
  const { timeouts, limits } = document;
  if (limits.target_bytes > limits.head_bytes) {
    findings.error(["limits", "target_bytes"], `expected at most head_bytes (${limits.head_bytes}), got ${limits.target_bytes}`);
  }
  return {
    file: findings.file.path,
    node: document.node ?? nodeName(host.hostname, findings),
    region: document.region,
    dataDir: absolute(document.data_dir),
    workers: document.workers ?? Math.min(host.cores, 256),
    domain: document.domain,
    edge: toEdge(document.edge, findings),
    tls: document.tls.issuer === "internal" ? { issuer: "internal" } : toAcme(document.tls.acme, findings, absolute, host.environment),
    admin: toAdmin(document.admin, findings, absolute),
    state: toState(document, findings, absolute),
    regionTable: document.regions.table === undefined ? null : absolute(document.regions.table),
    log: {
      level: document.log.level,
      file: document.log.file === undefined ? null : absolute(document.log.file),
      access: toAccessLog(document.log.access, absolute),
    },
    timeouts: {
      tlsHandshakeMs: timeouts.tls_handshake,
      requestHeadMs: timeouts.request_head,
      keepAliveIdleMs: timeouts.keep_alive_idle,
      clientIdleMs: timeouts.client_idle,
      upstreamConnectMs: timeouts.upstream_connect,
      upstreamHeadMs: timeouts.upstream_head,
      upstreamSilenceMs: timeouts.upstream_silence,
      upstreamIdleMs: timeouts.upstream_idle,
      udpIdleMs: timeouts.udp_idle,
      tunnelIdleMs: timeouts.tunnel_idle,
      totalMs: timeouts.total,
      drainMs: timeouts.drain,
    },
    limits: {
      headBytes: limits.head_bytes,
      targetBytes: limits.target_bytes,
      headers: limits.headers,
      trailerBytes: limits.trailer_bytes,
      trailers: limits.trailers,
      chunkExtensionBytes: limits.chunk_extension_bytes,
      underscores: limits.underscores,
      heldBodyBytes: limits.held_body_bytes,
      retryBodyBytes: limits.retry_body_bytes,
      replayBodyBytes: limits.replay_body_bytes,
      keptBodiesBytes: limits.kept_bodies_bytes,
      streams: limits.streams,
      clientBytesPerSecond: limits.client_bytes_per_second,
      waitingPerApp: limits.waiting_per_app,
      udpSessions: limits.udp_sessions,
      connectionsPerAddress: limits.connections_per_address,
      attempts: limits.attempts,
      compressors: limits.compressors,
      replayCacheEntries: limits.replay_cache_entries,
    },
  };
}

function nodeName(hostname: string, findings: Findings): string {
  if (!name().safeParse(hostname).success) findings.error(["node"], `missing; the host name ${formatValue(hostname)} cannot be used`);
  return hostname;
}

function toEdge(edge: NodeDocument["edge"], findings: Findings): EdgeConfig {
  const publicPortOf = new Map<number, string>();
  for (const [publicPort, bound] of Object.entries(edge.ports)) {
    const other = publicPortOf.get(bound);
    if (other !== undefined) findings.error(["edge", "ports", publicPort], `port ${bound} is bound for public port ${other} already`);
    if (bound !== 0) publicPortOf.set(bound, publicPort);
  }
  return { bind: edge.bind, ports: edge.ports, proxyProtocolFrom: edge.proxy_protocol_from, trustedProxies: edge.trusted_proxies };
}

function toAdmin(admin: NodeDocument["admin"], findings: Findings, absolute: (path: string) => string): AdminConfig {
  const { listen } = admin;
  if (admin.token !== undefined && admin.token_file !== undefined)
    findings.error(["admin", "token_file"], "token is given too; keep one of them");
  const token = admin.token ?? readToken(admin.token_file, findings, absolute);
  if (token === null && !isLoopback(listen.host)) {
    findings.error(
      ["admin", "listen"],
      `expected a loopback address, got ${formatValue(listen.host)}; give a token or token_file to listen elsewhere`,
    );
  }
  return { listen, token };
}

/** null: none is configured. What cannot be read counts as configured: the finding about the file is enough. */
function readToken(path: string | undefined, findings: Findings, absolute: (path: string) => string): string | null {
  if (path === undefined) return null;
  const text = readTextFile(absolute(path));
  if (typeof text !== "string") {
    findings.error(["admin", "token_file"], `${text.failure}: ${formatValue(path)}`);
    return "";
  }
  const token = text.trim();
  if (!/^[\x21-\x7e]{16,}$/.test(token)) {
    findings.error(["admin", "token_file"], `expected at least 16 visible ASCII characters in ${formatValue(path)}`);
  }
  return token;
}

function toState(document: NodeDocument, findings: Findings, absolute: (path: string) => string): StateConfig {
  const { engine, servers, path } = document.state;
  if (engine === "nats") {
    if (servers === undefined) findings.error(["state", "servers"], 'missing; engine "nats" needs at least one server');
    if (path !== undefined) findings.error(["state", "path"], 'engine "nats" has no file; remove it or set engine = "sqlite"');
    return { engine, servers: servers ?? [] };
  }
  if (servers !== undefined) findings.error(["state", "servers"], 'engine "sqlite" has no servers; remove them or set engine = "nats"');
  // All nodes of a machine have the same host name, and what a node writes is under its own.
  if (path !== undefined && document.node === undefined)
    findings.error(["state", "path"], "a store that nodes may share needs a name for each of them; set node");
  return { engine, path: path === undefined ? join(absolute(document.data_dir), "state.db") : absolute(path) };
}

function toAccessLog(access: string, absolute: (path: string) => string): AccessLogConfig {
  if (access === "log" || access === "off" || access === "stderr" || access === "stdout") return { to: access };
  return { to: "file", file: absolute(access) };
}
