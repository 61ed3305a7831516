// Which public ports the edge listens on: 80 and 443, and every other port on which an app serves HTTP; each on every bind address.

import type { Logger } from "pino";
import type { App } from "../core/app.ts";
import { ProxyError } from "../core/errors.ts";
import type { ListenerStatus } from "../admin/control.ts";
import type { EdgeConfig } from "../config/node-config.ts";
import type { ListenFailure, WorkerPool } from "./worker-pool.ts";
import type { ListenRequest } from "./worker-messages.ts";

export interface PublicListenersOptions {
  readonly edge: EdgeConfig;
  readonly workers: WorkerPool;
  readonly log: Logger;
}

/** The address family is not there: a host without IPv6 is no reason not to serve IPv4. */
const ABSENT_FAMILY = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT"]);

export class PublicListeners {
  readonly #options: PublicListenersOptions;
  readonly #open = new Map<string, ListenerStatus>();

  constructor(options: PublicListenersOptions) {
    this.#options = options;
  }

  get status(): ListenerStatus[] {
    return [...this.#open.values()];
  }

  /** Opens what is missing, then closes what no app needs any more. Throws `config_invalid` when a port cannot be bound. */
  async apply(apps: readonly App[]): Promise<void> {
    const { edge, workers } = this.#options;
    const wanted = publicPorts(apps);
    for (const [publicPort, tls] of wanted) {
      for (const host of edge.bind) await this.#listen({ host, publicPort, tls, port: edge.ports[publicPort] ?? publicPort });
      if (!this.status.some((listener) => listener.publicPort === publicPort)) {
        throw new ProxyError("config_invalid", `port ${publicPort} cannot be bound on any of ${edge.bind.join(", ")}`);
      }
    }
    for (const [key, { publicPort, scheme }] of [...this.#open]) {
      if (wanted.get(publicPort) === (scheme === "https")) continue;
      workers.unlisten(key);
      this.#open.delete(key);
    }
    workers.setHttpsPorts({ boundHttp: this.#bound(80), boundHttps: this.#bound(443) });
  }

  async #listen({ host, publicPort, tls, port }: Omit<ListenRequest, "key">): Promise<void> {
    const scheme = tls ? "https" : "http";
    const key = `${scheme} ${publicPort} ${host}`;
    if (this.#open.has(key)) return;
    const bound = await this.#options.workers.listen({ key, host, port, publicPort, tls });
    if (typeof bound === "number") {
      this.#open.set(key, { scheme, publicPort, host, port: bound });
      return;
    }
    if (!ABSENT_FAMILY.has(bound.code)) throw refusal(bound);
    this.#options.log.warn({ host, port }, "this address does not exist here, going on without it");
  }

  #bound(publicPort: number): number {
    return this.status.find((listener) => listener.publicPort === publicPort)?.port ?? publicPort;
  }
}

/** Public ports with an HTTP handler, and whether TLS ends there. */
function publicPorts(apps: readonly App[]): Map<number, boolean> {
  const ports = new Map([
    [80, false],
    [443, true],
  ]);
  for (const app of apps) {
    for (const { start, end, handlers } of app.services.flatMap((service) => service.ports)) {
      if (!handlers.includes("http")) continue;
      for (let port = start; port <= end; port++) ports.set(port, ports.get(port) === true || handlers.includes("tls"));
    }
  }
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
