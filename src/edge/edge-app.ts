// An app as a worker uses it: the entry from the main thread, with machines ranked and upstream pools at hand.

import type { AccessRules, OutlierRules, WakeGuardRules } from "../core/app.ts";
import type { Deadlines } from "../core/deadlines.ts";
import type { AppEntry, MachineEntry, ServiceEntry } from "../catalog/entry.ts";
import type { AppTraffic, MachineTraffic, Traffic } from "../telemetry/traffic.ts";
import type { Outlier } from "../health/outlier.ts";
import { outlierOf, readmitExcess } from "../health/outliers.ts";
import { detourOf, type Detour } from "../routing/detour.ts";
import { rank, type Ranked, type RankRules } from "../routing/rank.ts";
import type { Http2Pool } from "../upstream/http2-pool.ts";
import type { Pool, Pools } from "../upstream/pools.ts";
import { RetryBudget } from "../upstream/retry-budget.ts";
import type { Access } from "./access.ts";
import { Affinity } from "./affinity.ts";
import { AppReplays } from "./replay-cache.ts";
import { ErrorPages } from "./error-pages.ts";
import type { SignedCookies } from "./signed-cookies.ts";
import type { WakeGuard } from "./wake-guard.ts";

export type CreateWakeGuard = (app: string, rules: WakeGuardRules) => WakeGuard;

export type CreateAccess = (app: string, rules: AccessRules) => Access;

export interface EdgeApp extends Omit<AppEntry, "services"> {
  readonly services: readonly EdgeService[];
  /** Stays the same object while the app is there. */
  readonly replays: AppReplays;
}

export interface EdgeService extends Omit<ServiceEntry, "machines"> {
  readonly machines: readonly EdgeMachine[];
  readonly rules: RankRules;
  /** Without machines that this worker has ejected. */
  readonly ranked: Ranked<EdgeMachine>;
  /** For a request that all others failed; null where none is ejected. */
  readonly rankedWithEjected: Ranked<EdgeMachine> | null;
  readonly outliers: OutlierRules;
  /** What becomes of requests while a nearer machine sleeps than those awake. */
  readonly detour: Detour;
  readonly wakeTimeoutMs: number;
  /** null: the app has none of its own. */
  readonly errorPages: ErrorPages | null;
  /** null: everybody may come. */
  readonly access: Access | null;
  /** null: a client's earlier requests, and what it writes, change nothing. */
  readonly affinity: Affinity | null;
  /** As in `App`. */
  readonly waitPage: boolean;
  /** null: whatever may come wakes it. */
  readonly wakeGuard: WakeGuard | null;
  /** Either of these two has something to say to whoever would wait for a wake. */
  readonly hasWordOnSleep: boolean;
  readonly traffic: AppTraffic;
  readonly retryBudget: RetryBudget;
}

export interface EdgeMachine extends MachineEntry {
  /** null while it is not up. */
  readonly pool: Pool | null;
  /** For ports with `h2_backend`; null while the machine is not up, and where there are none. */
  readonly http2Pool: Http2Pool | null;
  readonly traffic: MachineTraffic;
  /** Stays the same object while the machine runs. */
  readonly outlier: Outlier;
}

/** What an app is made with, in a worker. */
export interface EdgeAppParts {
  /** Of this edge. */
  readonly region: string;
  readonly pools: Pools;
  readonly traffic: Traffic;
  readonly deadlines: Deadlines;
  readonly cookies: SignedCookies;
  /** Makes what holds an app to its rules. */
  readonly createAccess: CreateAccess;
  readonly createWakeGuard: CreateWakeGuard;
}

/** @param before the app as it was; what was seen of its machines stays known as long as they run, and of retries as long as the service is there */
export function edgeApp(entry: AppEntry, parts: EdgeAppParts, before: EdgeApp | undefined): EdgeApp {
  const { region, pools, traffic, deadlines, cookies, createAccess, createWakeGuard } = parts;
  const access = entry.access === null ? null : createAccess(entry.name, entry.access);
  const wakeGuard = entry.wakeGuard === null ? null : createWakeGuard(entry.name, entry.wakeGuard);
  const errorPages = Object.keys(entry.errorPages).length === 0 ? null : new ErrorPages(entry.errorPages);
  const services = entry.services.map((service): EdgeService => {
    const known = new Map(before?.services.find(({ key }) => key === service.key)?.machines.map((machine) => [machine.slot, machine]));
    const machines = service.machines.map((machine): EdgeMachine => {
      const isUp = machine.state === "started" && machine.address !== null;
      const counters = traffic.machine(entry.name, { id: machine.id, region: machine.region });
      const pool = isUp ? pools.pool(machine.address!, service.reusesConnections, counters) : null;
      const http2Pool = isUp && service.ports.some((port) => port.h2Backend) ? pools.http2Pool(machine.address!, counters) : null;
      return { ...machine, pool, http2Pool, traffic: counters, outlier: outlierOf(machine, known.get(machine.slot)) };
    });
    const { wakeTimeoutMs, regionPolicy, balance, outliers, waitPage } = entry;
    readmitExcess({ machines, outliers }, deadlines);
    const rules = { region, regionPolicy, balance };
    const ranking = rankingOf(machines, service.autoStart, rules);
    const detour = detourOf(ranking.ranked, machines, service.autoStart, { ...rules, warmDetour: entry.warmDetour });
    const retryBudget = before?.services.find(({ key }) => key === service.key)?.retryBudget ?? new RetryBudget();
    const affinity = affinityOf(entry, { ...service, machines }, cookies);
    const own = { rules, detour, outliers, wakeTimeoutMs, errorPages, access, affinity, traffic: traffic.app(entry.name), retryBudget };
    const onSleep = { waitPage, wakeGuard, hasWordOnSleep: waitPage || wakeGuard !== null };
    return { ...service, ...ranking, machines, ...own, ...onSleep };
  });
  const replays = before?.replays ?? new AppReplays();
  replays.hasSessions = entry.services.some(({ ports }) => ports.some(({ sessions }) => sessions !== null));
  return { ...entry, services, replays };
}

/** null where the app asks for nothing of the kind, the usual case. */
export function affinityOf(
  { name: app, sticky, primary }: AppEntry,
  { stickyCookie: cookie, machines }: Pick<ServiceEntry, "stickyCookie" | "machines">,
  cookies: SignedCookies,
): Affinity | null {
  if (sticky === null && primary === null) return null;
  return new Affinity({ app, sticky: sticky === null ? null : { cookie, ...sticky }, primary, machines, cookies });
}

/** The service as it would be with these of its machines alone. */
export function narrowed(service: EdgeService, machines: readonly EdgeMachine[]): EdgeService {
  return { ...service, machines, ...rankingOf(machines, service.autoStart, service.rules) };
}

/** The app, after a machine of it was ejected or readmitted. */
export function rankedAnew(app: EdgeApp): EdgeApp {
  return {
    ...app,
    services: app.services.map((service) => ({ ...service, ...rankingOf(service.machines, service.autoStart, service.rules) })),
  };
}

/** Without those that were ejected, unless they are all that is left. */
function rankingOf(
  machines: readonly EdgeMachine[],
  autoStart: boolean,
  rules: RankRules,
): Pick<EdgeService, "ranked" | "rankedWithEjected"> {
  const rankedWithEjected = rank(machines, autoStart, rules);
  const kept = machines.filter(({ outlier }) => !outlier.isEjected);
  if (kept.length === machines.length) return { ranked: rankedWithEjected, rankedWithEjected: null };
  const ranked = rank(kept, autoStart, rules);
  const isEnough = ranked.groups.length > 0 && !ranked.isPanic;
  return isEnough ? { ranked, rankedWithEjected } : { ranked: rankedWithEjected, rankedWithEjected: null };
}
