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
}

export interface Route<Service extends Routable> {
  readonly service: Service;
  readonly port: ServicePort;
}

/** Every app that this edge knows. */
export class Router<Service extends Routable, App extends RoutableApp<Service>> {
  readonly #apps = new Map<string, App>();
  readonly #byHost = new Map<string, App>();

  get apps(): Iterable<App> {
    return this.#apps.values();
  }

  app(name: string): App | undefined {
    return this.#apps.get(name);
  }

  set(app: App): void {
    this.#forgetHosts(app.name);
    this.#apps.set(app.name, app);
    for (const hostname of app.hostnames) this.#byHost.set(hostname, app);
  }

  delete(name: string): void {
    this.#forgetHosts(name);
    this.#apps.delete(name);
  }

  /** The app that declares the host name. */
  match(host: string): App | null {
    return this.#byHost.get(host) ?? null;
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

  /** The route of the one app on a public port; null when there is none, or more than one. */
  only(protocol: Service["protocol"], publicPort: number): Route<Service> | null {
    let only: Route<Service> | null = null;
    for (const app of this.#apps.values()) {
      const route = this.portOf(app, protocol, publicPort);
      if (route === null) continue;
      if (only !== null) return null;
      only = route;
    }
    return only;
  }

  #forgetHosts(name: string): void {
    const old = this.#apps.get(name);
    if (old === undefined) return;
    for (const hostname of old.hostnames) if (this.#byHost.get(hostname) === old) this.#byHost.delete(hostname);
  }
}
