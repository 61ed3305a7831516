// Apps as the config would resolve them, with everything that a test does not care about filled in.

import { PLAIN_RULES, type App, type MachineSpec, type Service } from "../../src/core/app.ts";

export function sampleService(changes: Partial<Service> = {}): Service {
  return {
    key: "tcp-8080",
    protocol: "tcp",
    internalPort: 8080,
    groups: ["app"],
    autoStop: "suspend",
    autoStart: true,
    minMachinesRunning: 0,
    concurrency: { type: "requests", softLimit: 20, hardLimit: null },
    ports: [
      { start: 80, end: 80, handlers: ["http"], forceHttps: true, http: null, h2Backend: false, sessions: null, rules: PLAIN_RULES },
      {
        start: 443,
        end: 443,
        handlers: ["http", "tls"],
        forceHttps: false,
        http: null,
        h2Backend: false,
        sessions: null,
        rules: PLAIN_RULES,
      },
    ],
    checks: [],
    maxBodyBytes: null,
    ...changes,
  };
}

/** A machine of group "app"; its id is made of app and name. */
export function sampleMachine(app: string, region: string, changes: Partial<MachineSpec> = {}): MachineSpec {
  const name = changes.name ?? region;
  return { id: `${app}-${name}`, name, group: "app", region, address: null, ...changes };
}

/** One service on 8080 that sleeps and wakes, and one machine, in ams. */
export function sampleApp(changes: Partial<App> = {}): App {
  const name = changes.name ?? "hello";
  return {
    name,
    directory: import.meta.dirname,
    primaryRegion: "ams",
    hostnames: [`${name}.localhost`],
    services: [sampleService()],
    groups: [{ name: "app", command: "serve", restart: { policy: "on-failure", retries: 10 } }],
    machines: [sampleMachine(name, "ams")],
    driver: "process",
    env: {},
    killSignal: "SIGINT",
    killTimeoutMs: 5000,
    regionPolicy: "any",
    balance: "closest",
    idleTimeoutMs: 300_000,
    wakeTimeoutMs: 10_000,
    minMachinesRunning: {},
    warmDetour: true,
    waitPage: false,
    wakeGuard: null,
    steering: "any",
    sticky: null,
    primary: null,
    errorPages: {},
    clientAuth: null,
    hsts: null,
    access: null,
    outliers: { consecutive: 5, fiveXx: 0, baseMs: 30_000, maxEjected: 0.5 },
    checks: [],
    ...changes,
  };
}
