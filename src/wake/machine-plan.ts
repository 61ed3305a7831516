// From an app to what its host does with each of its machines. Pure.

import { createHash } from "node:crypto";

import { leastAggressiveAutoStop, type App, type MachineSpec, type ProcessGroup, type Service } from "../core/app.ts";
import type { Driver, LaunchSpec } from "./driver.ts";

/** All that the host must know about one machine, whatever state it is in. */
export interface MachinePlan {
  readonly launch: LaunchSpec;
  readonly driver: Driver;
  /** Changes exactly when a running machine must be started anew for the app to be as configured. */
  readonly configHash: string;
  readonly restart: ProcessGroup["restart"];
  /** The internal port that must accept before the machine counts as awake; null: it is awake once launched. */
  readonly readyPort: number | null;
  /** How long whoever asked for a start waits. */
  readonly wakeTimeoutMs: number;
  /** How long a launched machine may take to listen before it is stopped; null: for ever. */
  readonly giveUpMs: number | null;
  readonly hasChecks: boolean;
  /** Runs from the beginning; the others begin asleep. */
  readonly alwaysOn: boolean;
}

/** @param privateAddress what machines are told as FLY_PRIVATE_IP */
export function planMachines(app: App, driver: Driver, privateAddress: string): MachinePlan[] {
  const alwaysOn = alwaysOnMachines(app);
  return app.machines.map((machine) => {
    const services = servicesOf(app, machine.group);
    const group = app.groups.find((candidate) => candidate.name === machine.group);
    const launch = launchSpec(app, machine, services, group?.command ?? "", privateAddress);
    return {
      launch,
      driver,
      configHash: hashOf(launch, driver),
      restart: group?.restart ?? { policy: "on-failure", retries: 10 },
      readyPort: driver.canStart ? (services.find((service) => service.protocol === "tcp")?.internalPort ?? null) : null,
      wakeTimeoutMs: app.wakeTimeoutMs,
      // A machine that listens would sleep after idle_timeout without load; one that does not can have no load.
      giveUpMs: leastAggressiveAutoStop(services) === "off" ? null : app.wakeTimeoutMs + app.idleTimeoutMs,
      hasChecks:
        services.some((service) => service.checks.length > 0) ||
        app.checks.some(({ kind, groups }) => kind === "readiness" && groups.includes(machine.group)),
      // What cannot be started from here is just there.
      alwaysOn: !driver.canStart || alwaysOn.has(machine.id),
    };
  });
}

/** The services that apply to a process group, in the order of the file. */
export function servicesOf(app: App, group: string): Service[] {
  return app.services.filter((service) => service.groups.includes(group));
}

/** How many machines of the group stay awake in a region: as the app says for it, or in the primary region the largest wish of its services. */
export function minRunning(app: App, group: string, region: string): number {
  const services = servicesOf(app, group);
  const inRegion = services.length === 0 ? undefined : app.minMachinesRunning[region];
  if (inRegion !== undefined || region !== app.primaryRegion) return inRegion ?? 0;
  return services.reduce((most, service) => Math.max(most, service.minMachinesRunning), 0);
}

/**
 * Machines that no request could wake (no service, or none with auto_start_machines), that may not sleep (auto_stop_machines "off"),
 * and the first of each region that has a `min_machines_running`.
 */
function alwaysOnMachines(app: App): Set<string> {
  const on = new Set<string>();
  const kept = new Map<string, number>();
  for (const machine of app.machines) {
    const services = servicesOf(app, machine.group);
    if (leastAggressiveAutoStop(services) === "off" || services.every((service) => !service.autoStart)) on.add(machine.id);
    const key = `${machine.group} ${machine.region}`;
    const already = kept.get(key) ?? 0;
    if (already >= minRunning(app, machine.group, machine.region)) continue;
    kept.set(key, already + 1);
    on.add(machine.id);
  }
  return on;
}

function launchSpec(app: App, machine: MachineSpec, services: readonly Service[], command: string, privateAddress: string): LaunchSpec {
  return {
    id: machine.id,
    app: app.name,
    name: machine.name,
    group: machine.group,
    region: machine.region,
    command,
    directory: app.directory,
    env: {
      ...app.env,
      FLY_APP_NAME: app.name,
      FLY_MACHINE_ID: machine.id,
      FLY_REGION: machine.region,
      FLY_PRIVATE_IP: privateAddress,
      FLY_PROCESS_GROUP: machine.group,
      PRIMARY_REGION: app.primaryRegion,
    },
    internalPorts: [...new Set(services.map((service) => service.internalPort))],
    address: machine.address,
    killSignal: app.killSignal,
    killTimeoutMs: app.killTimeoutMs,
  };
}

function hashOf(launch: LaunchSpec, driver: Driver): string {
  const { command, directory, internalPorts, address, killSignal, killTimeoutMs } = launch;
  // [env] is a table: its order means nothing.
  const env = Object.entries(launch.env).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const parts = [driver.name, command, directory, env, internalPorts, address, killSignal, killTimeoutMs];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}
