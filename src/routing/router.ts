// Hot path. Which app and service a request is for: by host name, then by the public port it came to (reference section 2.1).

import type { Service, ServicePort } from "../core/app.ts";

export interface Routable {
  readonly protocol: Service["protocol"];
  readonly ports: readonly ServicePort[];
}

export interface RoutableApp<Service extends Routable> {
  readonly name: string;
  readonly hostnames: readonly string[];
  readonly services: readonly Service[];
  /** null: clients are not asked for certificates. */
  readonly clientAuth: object | null;
}

export interface Route<Service extends Routable> {
  readonly service: Service;
  readonly port: ServicePort;
}

/** What the apps on one public port ask of its connections, all together. */
export interface PortPlan<Service extends Routable, App> {
  /** The one app on the port; null when there is none, or more than one. */
  readonly only: { readonly app: App; readonly route: Route<Service> } | null;
  readonly hasHttp: boolean;
  /** What becomes of a connection depends on the name in its ClientHello by more than the certificate. */
  readonly readsHello: boolean;
  /** Takes clients that name no known host. */
  readonly selfSigned: Route<Service> | null;
}

/** Every app that this edge knows. */
export class Router<Service extends Routable, App extends RoutableApp<Service>> {
  readonly #apps = new Map<string, App>();
  readonly #byHost = new Map<string, App>();
  /** Apps with wildcards, by ".example.com". */
  readonly #belowHost = new Map<string, App>();
  readonly #plans = { tcp: new Map<number, PortPlan<Service, App>>(), udp: new Map<number, PortPlan<Service, App>>() };

  get apps(): Iterable<App> {
    return this.#apps.values();
  }

  app(name: string): App | undefined {
    return this.#apps.get(name);
  }

  set(app: App): void {
    this.#forgetHosts(app.name);
    this.#apps.set(app.name, app);
    this.#forgetPlans();
    for (const hostname of app.hostnames) this.#hosts(hostname).set(keyOf(hostname), app);
  }

  delete(name: string): void {
    this.#forgetHosts(name);
    this.#apps.delete(name);
    this.#forgetPlans();
  }

  /** The app that declares the host name, or else all names one level below the same parent: "*.example.com". */
  match(host: string): App | null {
    return this.#byHost.get(host) ?? this.#matchWildcard(host);
  }

  /** The HTTP service of the app on a public port; null when it has none there. */
  route(app: App, publicPort: number): Route<Service> | null {
    for (const service of app.services) {
      for (const port of service.ports) {
        if (publicPort >= port.start && publicPort <= port.end && port.handlers.includes("http")) return { service, port };
      }
    }
    return null;
  }

  /** What the app has on a public port, whatever its handlers; null when that is nothing. */
  portOf(app: App, protocol: Service["protocol"], publicPort: number): Route<Service> | null {
    for (const service of app.services) {
      if (service.protocol !== protocol) continue;
      const port = service.ports.find(({ start, end }) => publicPort >= start && publicPort <= end);
      if (port !== undefined) return { service, port };
    }
    return null;
  }

  /** Made once for each port, until an app changes. */
  plan(publicPort: number, protocol: Service["protocol"] = "tcp"): PortPlan<Service, App> {
    const plans = this.#plans[protocol];
    let plan = plans.get(publicPort);
    if (plan === undefined) plans.set(publicPort, (plan = this.#makePlan(publicPort, protocol)));
    return plan;
  }

  #matchWildcard(host: string): App | null {
    const dot = host.indexOf(".");
    return dot <= 0 ? null : (this.#belowHost.get(host.slice(dot)) ?? null);
  }

  #makePlan(publicPort: number, protocol: Service["protocol"]): PortPlan<Service, App> {
    const found: { app: App; route: Route<Service> }[] = [];
    for (const app of this.#apps.values()) {
      const route = this.portOf(app, protocol, publicPort);
      if (route !== null) found.push({ app, route });
    }
    const isHttp = ({ route }: { route: Route<Service> }): boolean => route.port.handlers.includes("http");
    return {
      only: found.length === 1 ? found[0]! : null,
      hasHttp: found.some(isHttp),
      readsHello: found.some((one) => !isHttp(one) || one.route.port.rules.tls !== null || one.app.clientAuth !== null),
      selfSigned: found.find(({ route }) => route.port.rules.tls?.defaultSelfSigned === true)?.route ?? null,
    };
  }

  #forgetPlans(): void {
    this.#plans.tcp.clear();
    this.#plans.udp.clear();
  }

  #forgetHosts(name: string): void {
    const old = this.#apps.get(name);
    if (old === undefined) return;
    for (const hostname of old.hostnames) {
      const hosts = this.#hosts(hostname);
      if (hosts.get(keyOf(hostname)) === old) hosts.delete(keyOf(hostname));
    }
  }

  #hosts(hostname: string): Map<string, App> {
    return hostname.startsWith("*.") ? this.#belowHost : this.#byHost;
  }
}

/** A wildcard is found by what stands behind its star. */
function keyOf(hostname: string): string {
  return hostname.startsWith("*.") ? hostname.slice(1) : hostname;
}
