// An app as a worker uses it: the entry from the main thread, with machines ranked and upstream pools at hand.

import type { AccessRules } from "../core/app.ts";
import type { AppEntry, MachineEntry, ServiceEntry } from "../catalog/entry.ts";
import type { AppTraffic, MachineTraffic, Traffic } from "../telemetry/traffic.ts";
import { rank, type Ranked, type RankRules } from "../routing/rank.ts";
import type { Http2Pool } from "../upstream/http2-pool.ts";
import type { Pool, Pools } from "../upstream/pools.ts";
import type { Access } from "./access.ts";
import { ErrorPages } from "./error-pages.ts";

export type CreateAccess = (app: string, rules: AccessRules) => Access;

export interface EdgeApp extends Omit<AppEntry, "services"> {
  readonly services: readonly EdgeService[];
}

export interface EdgeService extends Omit<ServiceEntry, "machines"> {
  readonly machines: readonly EdgeMachine[];
  readonly rules: RankRules;
  readonly ranked: Ranked<EdgeMachine>;
  readonly wakeTimeoutMs: number;
  /** null: the app has none of its own. */
  readonly errorPages: ErrorPages | null;
  /** null: everybody may come. */
  readonly access: Access | null;
  readonly traffic: AppTraffic;
}

export interface EdgeMachine extends MachineEntry {
  /** null while it is not up. */
  readonly pool: Pool | null;
  /** For ports with `h2_backend`; null while the machine is not up, and where there are none. */
  readonly http2Pool: Http2Pool | null;
  readonly traffic: MachineTraffic;
}

/**
 * @param region of this edge
 * @param createAccess makes what holds an app to its rules
 */
export function edgeApp(entry: AppEntry, region: string, pools: Pools, traffic: Traffic, createAccess: CreateAccess): EdgeApp {
  const access = entry.access === null ? null : createAccess(entry.name, entry.access);
  const errorPages = Object.keys(entry.errorPages).length === 0 ? null : new ErrorPages(entry.errorPages);
  const services = entry.services.map((service): EdgeService => {
    const machines = service.machines.map((machine): EdgeMachine => {
      const isUp = machine.state === "started" && machine.address !== null;
      const counters = traffic.machine(entry.name, { id: machine.id, region: machine.region });
      const pool = isUp ? pools.pool(machine.address!, service.reusesConnections, counters) : null;
      const http2Pool = isUp && service.ports.some((port) => port.h2Backend) ? pools.http2Pool(machine.address!, counters) : null;
      return { ...machine, pool, http2Pool, traffic: counters };
    });
    const { wakeTimeoutMs, regionPolicy, balance } = entry;
    const rules = { region, regionPolicy, balance };
    const ranked = rank(machines, service.autoStart, rules);
    return { ...service, machines, rules, ranked, wakeTimeoutMs, errorPages, access, traffic: traffic.app(entry.name) };
  });
  return { ...entry, services };
}

/** The service as it would be with these of its machines alone. */
export function narrowed(service: EdgeService, machines: readonly EdgeMachine[]): EdgeService {
  return { ...service, machines, ranked: rank(machines, service.autoStart, service.rules) };
}
