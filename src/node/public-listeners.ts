// Which public ports the edge listens on: 80 and 443, and every other port of a service; each on every bind address.

import type { Logger } from "pino";
import type { App } from "../core/app.ts";
import { ProxyError } from "../core/errors.ts";
import { portKind, type PortKind } from "../core/port-kind.ts";
import type { ListenerStatus } from "../admin/control.ts";
import type { EdgeConfig } from "../config/node-config.ts";
import type { ListenFailure, WorkerPool } from "./worker-pool.ts";

export interface PublicListenersOptions {
  readonly edge: EdgeConfig;
  readonly workers: WorkerPool;
  readonly log: Logger;
}

/** The address family is not there: a host without IPv6 is no reason not to serve IPv4. */
const ABSENT_FAMILY = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT"]);

export class PublicListeners {
  readonly #options: PublicListenersOptions;
  readonly #open = new Map<string, Listening>();

  constructor(options: PublicListenersOptions) {
    this.#options = options;
  }

  get status(): ListenerStatus[] {
    return [...this.#open.values()].map(({ port, host, bound }) => ({
      scheme: schemeOf(port),
      publicPort: port.publicPort,
      host,
      port: bound,
    }));
  }

  /** Opens what is missing, then closes what no app needs any more. Throws `config_invalid` when a port cannot be bound. */
  async apply(apps: readonly App[]): Promise<void> {
    const { edge, workers } = this.#options;
    const wanted = publicPorts(apps);
    for (const port of wanted.values()) {
      for (const host of edge.bind) await this.#listen(port, host);
      if (![...this.#open.values()].some((listening) => keyOf(listening.port) === keyOf(port))) {
        throw new ProxyError("config_invalid", `port ${port.publicPort} cannot be bound on any of ${edge.bind.join(", ")}`);
      }
    }
    for (const [key, { port }] of [...this.#open]) {
      if (wanted.has(keyOf(port))) continue;
      workers.unlisten(key);
      this.#open.delete(key);
    }
    workers.setHttpsPorts({ boundHttp: this.#bound(80), boundHttps: this.#bound(443) });
  }

  async #listen(port: PublicPort, host: string): Promise<void> {
    const { edge, workers, log } = this.#options;
    const { kind, publicPort } = port;
    const key = `${keyOf(port)} ${host}`;
    const open = this.#open.get(key);
    if (open !== undefined) {
      this.#open.set(key, { ...open, port });
      return;
    }
    const wanted = edge.ports[publicPort] ?? publicPort;
    const bound = await workers.listen({ key, host, port: wanted, publicPort, kind });
    if (typeof bound === "number") {
      this.#open.set(key, { port, host, bound });
      return;
    }
    if (!ABSENT_FAMILY.has(bound.code)) throw refusal(bound);
    log.warn({ host, port: wanted }, "this address does not exist here, going on without it");
  }

  #bound(publicPort: number): number {
    return this.status.find((listener) => listener.publicPort === publicPort && listener.scheme !== "udp")?.port ?? publicPort;
  }
}

interface PublicPort {
  readonly kind: PortKind;
  readonly publicPort: number;
  /** Does any app speak HTTP on it? */
  readonly isHttp: boolean;
}

interface Listening {
  readonly port: PublicPort;
  readonly host: string;
  readonly bound: number;
}

/** A port that becomes of another kind is another listener; the connections of the one before end as they would have. */
function keyOf({ kind, publicPort }: PublicPort): string {
  return `${kind} ${publicPort}`;
}

function schemeOf({ kind, isHttp }: PublicPort): ListenerStatus["scheme"] {
  return kind === "tls" && isHttp ? "https" : kind;
}

/** By key. Apps agree about each port (see config/app-conflicts.ts). */
function publicPorts(apps: readonly App[]): Map<string, PublicPort> {
  const ports = new Map<string, PublicPort>();
  const want = (port: PublicPort): void => {
    const key = keyOf(port);
    ports.set(key, { ...port, isHttp: port.isHttp || ports.get(key)?.isHttp === true });
  };
  for (const { protocol, ports: given } of apps.flatMap((app) => app.services)) {
    for (const port of given) {
      const kind = portKind(protocol, port);
      const isHttp = port.handlers.includes("http");
      for (let publicPort = port.start; publicPort <= port.end; publicPort++) want({ kind, publicPort, isHttp });
    }
  }
  const isTaken = (publicPort: number): boolean =>
    [...ports.values()].some((port) => port.publicPort === publicPort && port.kind !== "udp");
  if (!isTaken(80)) want({ kind: "http", publicPort: 80, isHttp: true });
  if (!isTaken(443)) want({ kind: "tls", publicPort: 443, isHttp: true });
  return ports;
}

function refusal({ request, code, message }: ListenFailure): ProxyError {
  const { host, port, publicPort } = request;
  if (code === "EACCES") {
    return new ProxyError(
      "config_invalid",
      `port ${port} needs privileges; bind another one with edge.ports = { ${publicPort} = ${publicPort + 8000} }`,
    );
  }
  if (code === "EADDRINUSE") return new ProxyError("config_invalid", `port ${port} on "${host}" is in use by another program`);
  return new ProxyError("config_invalid", `port ${port} on "${host}" cannot be bound: ${message}`);
}
