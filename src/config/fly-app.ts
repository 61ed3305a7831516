// From a checked fly.toml to the core's App: what Fly leaves to defaults and to other places is decided here, and what contradicts
// itself is reported.

import type { App, DriverName, OutlierRules, ProcessGroup } from "../core/app.ts";
import { formatDuration } from "../core/duration.ts";
import { toAccess } from "./access.ts";
import { toPrimary, toSticky } from "./affinity.ts";
import type { Findings } from "./findings.ts";
import { readClientAuth } from "./client-auth.ts";
import { readErrorPages } from "./error-pages.ts";
import { toHsts } from "./hsts.ts";
import { toAppChecks } from "./fly-checks.ts";
import { checkMachines } from "./fly-machine-rules.ts";
import { checkSections } from "./fly-section-rules.ts";
import { documentServices, toServices } from "./fly-services.ts";
import type { FlyDocument } from "./fly-toml.ts";
import { toWakeGuard } from "./wake-guard.ts";
import { placeMachines } from "./placement.ts";
import type { GivenMachine, GroupPlacement } from "./placement.ts";

/** What an app takes from its node. */
export interface AppContext {
  readonly node: string;
  readonly region: string;
  readonly domain: string;
  /** Every region code there is. */
  readonly regions: ReadonlySet<string>;
}

const DEFAULT_GROUP = "app";
const DEFAULT_RESTART = { policy: "on-failure", retries: 10 } as const;
const MAX_KILL_TIMEOUT_MS = 300_000;

/** Resolves a document. The app is only fit for use if findings has no errors afterwards. */
export function toApp(document: FlyDocument, findings: Findings, context: AppContext): App {
  const { kittiwake } = document;
  const groupNames = toGroupNames(document);
  const driver = kittiwake.driver ?? (kittiwake.machines.some(({ address }) => address !== undefined) ? "static" : "process");
  const primaryRegion = document.primary_region ?? context.region;
  const services = toServices(document, groupNames, findings);
  const machines = placeMachines(context.node, document.app, toPlacements(document, groupNames, primaryRegion));

  checkSections(document, groupNames, findings);
  checkEnv(document, findings);
  const app: App = {
    name: document.app,
    directory: findings.file.directory,
    primaryRegion,
    hostnames: toHostnames(document, context.domain),
    services,
    groups: groupNames.map((name) => toGroup(name, document, groupNames, driver, findings)),
    machines,
    driver,
    env: document.env,
    killSignal: document.kill_signal,
    killTimeoutMs: toKillTimeout(document, findings),
    regionPolicy: kittiwake.region_policy,
    balance: kittiwake.balance,
    idleTimeoutMs: kittiwake.idle_timeout,
    wakeTimeoutMs: kittiwake.wake_timeout,
    minMachinesRunning: kittiwake.min_machines_running,
    warmDetour: kittiwake.warm_detour,
    steering: kittiwake.steering,
    sticky: toSticky(document),
    primary: toPrimary(document, findings),
    errorPages: readErrorPages(document, findings),
    clientAuth: readClientAuth(document, services, findings),
    hsts: toHsts(document, findings),
    access: toAccess(kittiwake.access, findings),
    waitPage: kittiwake.wait_page,
    wakeGuard: toWakeGuard(kittiwake.wake_guard, findings),
    outliers: toOutlierRules(kittiwake.outliers),
    checks: toAppChecks(document, groupNames),
  };
  checkMachines(document, app, findings, context.regions);
  return app;
}

/** The default group first: `app` if there is one, otherwise the first by name. */
function toGroupNames(document: FlyDocument): string[] {
  const names = Object.keys(document.processes).sort();
  if (names.length === 0) return [DEFAULT_GROUP];
  return names.includes(DEFAULT_GROUP) ? [DEFAULT_GROUP, ...names.filter((name) => name !== DEFAULT_GROUP)] : names;
}

function toGroup(name: string, document: FlyDocument, groupNames: readonly string[], driver: DriverName, findings: Findings): ProcessGroup {
  const command = Object.hasOwn(document.processes, name) ? document.processes[name]!.trim() : "";
  if (driver === "process" && command === "") {
    const found = Object.hasOwn(document.processes, name) ? "empty" : "missing";
    findings.error(["processes", name], `${found}; driver "process" needs the command line that starts this group`);
  }
  // Fly: an entry without processes is for the default group, and the last one that fits wins.
  const restart = document.restart.findLast(({ processes }) =>
    processes.length === 0 ? name === groupNames[0] : processes.includes(name),
  );
  const { policy, retries } = restart ?? DEFAULT_RESTART;
  return { name, command: driver === "static" ? "" : command, restart: { policy, retries } };
}

function toPlacements(document: FlyDocument, groupNames: readonly string[], primaryRegion: string): GroupPlacement[] {
  const defaultGroup = groupNames[0]!;
  return groupNames.map((group, index) => {
    const regionLists = documentServices(document)
      .filter(({ service }) => (service.processes.length === 0 ? index === 0 : service.processes.includes(group)))
      .flatMap(({ service }) => (service.regions === undefined ? [] : [service.regions]));
    const given = document.kittiwake.machines
      .filter((machine) => (machine.group ?? defaultGroup) === group)
      .map(({ id = null, region = primaryRegion, address = null }): GivenMachine => ({ id, region, address }));
    return { group, isDefault: index === 0, regionLists: regionLists.length > 0 ? regionLists : [[primaryRegion]], given };
  });
}

function toHostnames(document: FlyDocument, domain: string): string[] {
  const own = `${document.app}.${domain}`;
  return [...new Set([own, ...document.kittiwake.hostnames])];
}

function toKillTimeout({ kill_timeout: ms }: FlyDocument, findings: Findings): number {
  if (ms <= MAX_KILL_TIMEOUT_MS) return ms;
  findings.warning(["kill_timeout"], `expected at most 300s, got ${formatDuration(ms)}; 300s is used`);
  return MAX_KILL_TIMEOUT_MS;
}

function toOutlierRules({
  consecutive,
  five_xx: fiveXx,
  base,
  max_ejected: maxEjected,
}: FlyDocument["kittiwake"]["outliers"]): OutlierRules {
  return { consecutive, fiveXx, baseMs: base, maxEjected };
}

function checkEnv(document: FlyDocument, findings: Findings): void {
  for (const name of Object.keys(document.env)) {
    if (name.startsWith("FLY_")) findings.error(["env", name], "names that start with FLY_ are Kittiwake's own");
  }
}
