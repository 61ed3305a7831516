// Why a request goes where it goes: what `kittiwake explain` and `GET /explain` answer. The same matching and ranking as for a real request,
// told as plain data instead of acted upon; nothing is claimed and nothing is woken. Pure.

import type { AppEntry, MachineEntry, ServiceEntry } from "../catalog/entry.ts";
import type { Latency, RegionDistance } from "../catalog/latency.ts";
import { UNKNOWN_RTT_MS } from "../catalog/latency.ts";
import { type Aim, isInTarget, type Target as AimTarget } from "../core/aim.ts";
import type { ErrorCode } from "../core/errors.ts";
import { ProxyError } from "../core/errors.ts";
import type { Health, MachineState } from "../core/machine.ts";
import { isAwaitable, isWakeable } from "../core/machine.ts";
import { detourOf, type Detour, type DetourRules } from "./detour.ts";
import {
  accessVerdict,
  deniedBy,
  type ExplainedRule,
  policyVerdict,
  replayCacheVerdict,
  sleepVerdicts,
  steeringVerdict,
} from "./explain-rules.ts";
import { exclusion, rank, type Ranked, type RankRules, UNHEALTHY } from "./rank.ts";
import { Router } from "./router.ts";

export interface Explanation {
  readonly url: string;
  /** Where the request is thought to come in. */
  readonly region: string;
  readonly host: string;
  /** As apps name it; the port bound on this node may be another. */
  readonly publicPort: number;
  readonly app: string;
  /** Key of the service; null when the app has no HTTP service on this port. After a redirect: the one that HTTPS leads to. */
  readonly service: string | null;
  readonly internalPort: number | null;
  /** Would a 301 send the client to HTTPS first? */
  readonly redirectsToHttps: boolean;
  /** All that had a say, in the order in which they are asked. */
  readonly rules: readonly ExplainedRule[];
  /** Those that may get the request in the order in which they are tried, then the others, nearest first. */
  readonly candidates: readonly ExplainedMachine[];
  readonly outcome: Outcome;
}

export interface ExplainedMachine {
  readonly id: string;
  readonly name: string;
  readonly region: string;
  readonly rttMs: number;
  readonly rttSource: RegionDistance["source"] | "unknown";
  readonly state: MachineState;
  readonly health: Health;
  readonly inFlight: number;
  readonly softLimit: number;
  /** null: unlimited. */
  readonly hardLimit: number | null;
  readonly eligible: boolean;
  /** Why it is in or out: one phrase. */
  readonly reason: string;
}

/**
 * - forward: the machine gets the request
 * - wake: the request waits for this machine to wake
 * - wait: it waits for a place, since all machines are at their hard limit
 * - refuse: it is answered with this error
 */
export type Outcome =
  | { readonly action: "forward" | "wake"; readonly machine: string; readonly reason: string }
  | { readonly action: "wait"; readonly reason: string }
  | { readonly action: "refuse"; readonly code: ErrorCode; readonly reason: string };

export interface ExplainView {
  readonly region: string;
  readonly latency: Pick<Latency, "table">;
  /** In flight on a slot of the load table. */
  count(slot: number): number;
  /** Where a public port is bound to another one on this node. */
  readonly listeners: readonly { readonly publicPort: number; readonly port: number }[];
  /** Address of the client; null: not given. */
  readonly client?: string | null;
  /** What the request asks for of an app's machines. `path` has the query; `service` is null where there is none on the port. */
  readonly asked?: (app: AppEntry, service: ServiceEntry | null, path: string) => Asked;
  readonly whatIf?: WhatIf;
}

export interface Asked {
  readonly aim: Aim | null;
  /** Why, where the app has rules for it. */
  readonly rules: readonly ExplainedRule[];
}

/** Machines and regions as they might be. */
export interface WhatIf {
  /** Codes of regions, and machines as `app/name` or by id, that are taken as down. */
  readonly down: readonly string[];
  /** In flight, for machines as `app/name` or by id. */
  readonly load: Readonly<Record<string, number>>;
}

const AS_IT_IS: WhatIf = { down: [], load: {} };
const NOTHING: Asked = { aim: null, rules: [] };

/**
 * Follows a URL to a machine without sending anything. A URL without a scheme is taken as HTTPS. Throws `bad_request` for what is no
 * URL or for a what-if of nothing that the app has, `app_not_found` for a host that no app declares, `config_invalid` for an unknown region.
 */
export function explain(entries: Iterable<AppEntry>, url: string, view: ExplainView): Explanation {
  const target = parseTarget(url, view.listeners);
  const router = new Router<ServiceEntry, AppEntry>();
  for (const entry of entries) router.set(entry);
  const app = router.match(target.host);
  if (app === null) throw new ProxyError("app_not_found", `no app declares the host name "${target.host}"`);

  const route = router.route(app, target.publicPort);
  const redirectsToHttps = route !== null && route.port.forceHttps && target.scheme === "http";
  const service = (redirectsToHttps ? (router.route(app, 443) ?? route) : route)?.service ?? null;
  const { host, publicPort } = target;
  const { client = null, whatIf = AS_IT_IS } = view;
  const { aim, rules: reasons } = view.asked?.(app, service, target.path) ?? NOTHING;
  checkWhatIf(app, whatIf);
  const rules: ExplainedRule[] = [
    { rule: "host", verdict: `"${host}" is a name of app ${app.name}` },
    { rule: "force_https", verdict: redirectsToHttps ? "301 to HTTPS" : target.scheme === "https" ? "came by HTTPS" : "not asked for" },
    { rule: "access", verdict: accessVerdict(app.access, client) },
    ...reasons,
    { rule: "steering", verdict: steeringVerdict(aim) },
    { rule: "replay_cache", verdict: replayCacheVerdict(route?.port.sessions ?? null, target.url) },
    { rule: "policy", verdict: policyVerdict(app) },
    ...whatIf.down.map((name) => ({ rule: "what_if", verdict: `${name} is taken as down` }) as const),
    ...Object.entries(whatIf.load).map(
      ([name, count]) => ({ rule: "what_if", verdict: `${name} is taken to have ${count} in flight` }) as const,
    ),
  ];
  const facts = { url: target.url, region: view.region, host, publicPort, app: app.name, redirectsToHttps, rules };
  if (service === null) {
    const reason = `app "${app.name}" has no HTTP service on port ${publicPort}`;
    return {
      ...facts,
      service: null,
      internalPort: null,
      candidates: [],
      outcome: { action: "refuse", code: "misdirected_request", reason },
    };
  }
  const distances = new Map(view.latency.table(view.region).map((distance) => [distance.code, distance]));
  const machines = service.machines.map((machine): LocatedMachine => {
    const distance = distances.get(machine.region);
    const isDown = namesOf(app, machine).some((name) => whatIf.down.includes(name));
    const inFlight = namesOf(app, machine).reduce(
      (count, name) => (Object.hasOwn(whatIf.load, name) ? whatIf.load[name]! : count),
      view.count(machine.slot),
    );
    // Nothing comes to one that is cordoned, and nobody wakes it.
    return {
      ...machine,
      cordoned: machine.cordoned || isDown,
      isDown,
      rttMs: distance?.rttMs ?? UNKNOWN_RTT_MS,
      rttSource: distance?.source ?? "unknown",
      inFlight,
    };
  });
  const { regionPolicy, balance } = app;
  const policy = { region: view.region, regionPolicy, balance, warmDetour: app.warmDetour };
  const { outcome, part, ranked } = aimed(machines, service, policy, aim);
  const denied = app.access === null ? null : deniedBy(app.access, client);
  const woken = outcome.action === "wake" ? machines.find(({ id }) => id === outcome.machine) : undefined;
  return {
    ...facts,
    rules: [...rules, ...sleepVerdicts(app, denied === null && woken !== undefined ? woken.wakeMs : null)],
    service: service.key,
    internalPort: service.internalPort,
    candidates: inOrder(machines, ranked).map((machine) => {
      const described = describe(machine, service, ranked, policy);
      if (machine.isDown) return { ...described, eligible: false, reason: "taken as down" };
      return part === null || isInTarget(part, machine)
        ? described
        : { ...described, eligible: false, reason: "not what the request asks for" };
    }),
    outcome: denied === null ? outcome : { action: "refuse", code: "access_denied", reason: denied },
  };
}

function namesOf(app: AppEntry, { id, name, region }: MachineEntry): string[] {
  return [region, id, `${app.name}/${id}`, `${app.name}/${name}`];
}

function checkWhatIf(app: AppEntry, { down, load }: WhatIf): void {
  const known = new Set(app.services.flatMap(({ machines }) => machines.flatMap((machine) => namesOf(app, machine))));
  const regions = new Set(app.services.flatMap(({ machines }) => machines.map(({ region }) => region)));
  for (const name of down) {
    if (!known.has(name)) throw new ProxyError("bad_request", `app "${app.name}" has no machine "${name}", and none in such a region`);
  }
  for (const name of Object.keys(load)) {
    if (!known.has(name) || regions.has(name)) throw new ProxyError("bad_request", `app "${app.name}" has no machine "${name}"`);
  }
}

/** What comes of the request, of which part of its aim, and how that part is ranked: along the chain as `AimedClaims.claim` goes. */
function aimed(
  machines: readonly LocatedMachine[],
  service: ServiceEntry,
  policy: DetourRules,
  aim: Aim | null,
): { readonly outcome: Outcome; readonly part: AimTarget | null; readonly ranked: Ranked<LocatedMachine> } {
  const whole = rank(machines, service.autoStart, policy);
  if (aim === null) return { outcome: choose(machines, service, whole, policy, true), part: null, ranked: whole };
  let best: ReturnType<typeof aimed> | null = null;
  for (let one: Aim | null = aim; one !== null; one = one.orElse) {
    const { target } = one;
    const inPart = machines.filter((machine) => isInTarget(target, machine));
    const ranked = rank(inPart, service.autoStart, policy);
    const outcome = choose(inPart, service, ranked, policy, false);
    const found = { outcome, part: target, ranked };
    const isServed = outcome.action === "forward" || outcome.action === "wake";
    if (isServed && (!ranked.isPanic || one.orElse === null)) return found;
    if (best === null || (outcome.action === "wait" && best.outcome.action === "refuse")) best = found;
  }
  return best!;
}

/** A machine as seen from the region in question. */
interface LocatedMachine extends MachineEntry {
  /** For the sake of the question. */
  readonly isDown: boolean;
  readonly rttSource: ExplainedMachine["rttSource"];
  readonly inFlight: number;
}

interface Target {
  readonly url: string;
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly path: string;
  readonly publicPort: number;
}

function parseTarget(text: string, listeners: ExplainView["listeners"]): Target {
  const url = URL.parse(text.includes("://") ? text : `https://${text}`);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.username !== "" || url.password !== "") {
    throw new ProxyError("bad_request", `expected a URL such as "https://hello.localhost/", got ${JSON.stringify(text)}`);
  }
  const scheme = url.protocol === "https:" ? "https" : "http";
  const usual = scheme === "https" ? 443 : 80;
  const port = url.port === "" ? usual : Number(url.port);
  const publicPort = listeners.find((listener) => listener.port === port)?.publicPort ?? port;
  return { url: url.href, scheme, host: url.hostname.replace(/\.$/, ""), path: `${url.pathname}${url.search}`, publicPort };
}

function inOrder(machines: readonly LocatedMachine[], { groups }: Ranked<LocatedMachine>): LocatedMachine[] {
  const up = groups.flat();
  const others = machines.filter((machine) => !up.includes(machine));
  return [...up, ...others.toSorted((a, b) => a.rttMs - b.rttMs || a.region.localeCompare(b.region) || a.id.localeCompare(b.id))];
}

function describe(machine: LocatedMachine, service: ServiceEntry, ranked: Ranked<LocatedMachine>, rules: RankRules): ExplainedMachine {
  const { id, name, region, rttMs, rttSource, state, health, inFlight } = machine;
  const { softLimit, hardLimit } = service;
  const unfit = exclusion(machine);
  const isLastResort = ranked.isPanic && unfit === UNHEALTHY && machine.address !== null;
  const excluded = unfit === null || isLastResort ? policyAgainst(machine, ranked, rules) : unfit;
  const eligible = excluded === null && hasRoom(machine, service);
  const reason = excluded === null ? reasonInside(machine, service) : reasonOutside(machine, service, excluded);
  return { id, name, region, rttMs, rttSource, state, health, inFlight, softLimit, hardLimit, eligible, reason };
}

/** Why a machine that is up gets nothing all the same; null when it may. */
function policyAgainst(machine: LocatedMachine, { groups, reach }: Ranked<LocatedMachine>, rules: RankRules): string | null {
  if (rules.regionPolicy === "local-only" && machine.region !== rules.region) return `up, but region_policy is "local-only"`;
  const isInReach = groups.slice(0, reach).some((group) => group.includes(machine));
  return isInReach ? null : `up, but region_policy is "local-preferred", and one in ${rules.region} can be waited for`;
}

function reasonInside(machine: LocatedMachine, service: ServiceEntry): string {
  if (!hasRoom(machine, service)) return "at its hard limit";
  if (machine.health === "critical") return "failing its health check, as all that run do";
  if (machine.inFlight >= service.softLimit) return "at its soft limit, but below the hard one";
  return machine.health === "passing" ? "up and has room" : "up, though no check has answered yet";
}

function reasonOutside(machine: LocatedMachine, service: ServiceEntry, excluded: string): string {
  if (machine.cordoned || !isWakeable(machine.state)) return excluded;
  return service.autoStart ? `${excluded}, can be woken` : `${excluded}, and auto_start_machines is off`;
}

function hasRoom(machine: LocatedMachine, { hardLimit }: ServiceEntry): boolean {
  return hardLimit === null || machine.inFlight < hardLimit;
}

/** What `Balancer.claim` would do, with the less loaded machine where it picks two at random; response times are known to the workers alone. */
function choose(
  machines: readonly LocatedMachine[],
  service: ServiceEntry,
  ranked: Ranked<LocatedMachine>,
  rules: DetourRules,
  canDetour: boolean,
): Outcome {
  // Who says where it wants to be served takes no detour.
  const near = canDetour ? nearSleeper(machines, service, ranked, rules) : null;
  if (near?.detour === "wait") {
    return { action: "wake", machine: near.machine.id, reason: `nearer than what is up; can be woken (${near.machine.state})` };
  }
  const { hasWakeable, hasStarting, unhealthy, isPanic, withoutWake } = ranked;
  const found = chooseUp(service, ranked, rules);
  if (found !== undefined) {
    const { machine, why } = found;
    if (isPanic) return { action: "forward", machine: machine.id, reason: `panic: ${PANIC}` };
    if (near !== null) {
      return { action: "forward", machine: machine.id, reason: `${why}; ${near.machine.id} is nearer, and woken meanwhile` };
    }
    const wakesAnother = hasWakeable && machine.inFlight >= service.softLimit;
    return { action: "forward", machine: machine.id, reason: wakesAnother ? `${why}; it is busy, so another one is woken as well` : why };
  }
  if (ranked.reach > 0) return { action: "wait", reason: "every machine that is up is at its hard limit" };
  const sleeper = hasWakeable || hasStarting ? soonest(machines, service, rules) : undefined;
  if (sleeper !== undefined) {
    const fallback = withoutWake?.groups[ranked.reach]?.[0];
    const flaw = withoutWake?.isPanic === true ? ", which fails its health check" : "";
    const otherwise = fallback === undefined ? "" : `; if that fails, ${fallback.id}${flaw}`;
    return { action: "wake", machine: sleeper.id, reason: `${reasonToWake(sleeper)}${otherwise}` };
  }
  if (unhealthy > 0)
    return { action: "refuse", code: "no_healthy_machine", reason: "no machine passes its health check, and none can be woken" };
  const where = rules.regionPolicy === "local-only" ? ` in ${rules.region}, and region_policy is "local-only"` : "";
  return { action: "refuse", code: "no_machine", reason: `no machine is up, and none can be woken${where}` };
}

function chooseUp(
  service: ServiceEntry,
  { groups, homeGroups, reach, balance }: Ranked<LocatedMachine>,
  { region }: RankRules,
): { readonly machine: LocatedMachine; readonly why: string } | undefined {
  const isRelaxed = ({ inFlight }: LocatedMachine): boolean => inFlight < service.softLimit;
  const withRoom = groups.map((group) => group.filter((machine) => hasRoom(machine, service)));
  const home = withRoom.slice(0, homeGroups).find((group) => group.length > 0);
  const away = withRoom.slice(homeGroups, reach);
  const group = home ?? away.find((one) => one.some(isRelaxed)) ?? away.find((one) => one.length > 0);
  if (group === undefined) return undefined;
  const index = withRoom.indexOf(group);
  const leastLoaded = group.toSorted((a, b) => a.inFlight - b.inFlight)[0]!;
  if (home === undefined && homeGroups > 0) return { machine: leastLoaded, why: `nearest with room, since none in ${region} has any` };
  const { length } = groups[index]!;
  if (length === 1) return { machine: leastLoaded, why: nearest(index) };
  const packed = balance === "pack" ? group.find(isRelaxed) : undefined;
  if (packed !== undefined) return { machine: packed, why: `first of ${length} in ${packed.region} that is below its soft limit` };
  return { machine: leastLoaded, why: `least loaded of ${length}${balance === "spread" ? "" : ` in ${leastLoaded.region}`}` };
}

const PANIC = "every machine that runs fails its health check, and this is the best of them";

function nearest(groupsWithoutRoom: number): string {
  return groupsWithoutRoom === 0 ? "nearest machine that is up" : "nearest machine below its hard limit";
}

/** How soon a machine can serve; as wake/wake-order.ts has it, which alone knows of crashes and of starts that take too long. */
const READY_SOONEST: Readonly<Record<MachineState, number>> = {
  started: 0,
  starting: 1,
  suspended: 2,
  suspending: 3,
  created: 4,
  stopped: 4,
  failed: 5,
  stopping: 6,
};

/** What sleeps nearer than what is up, and what becomes of requests because of it. */
function nearSleeper(
  machines: readonly LocatedMachine[],
  service: ServiceEntry,
  ranked: Ranked<LocatedMachine>,
  rules: DetourRules,
): { readonly detour: Detour; readonly machine: LocatedMachine } | null {
  const detour = detourOf(ranked, machines, service.autoStart, rules);
  const warm = ranked.groups[0]?.[0];
  if (detour === "none" || warm === undefined) return null;
  const nearer = machines.filter(({ state, region, rttMs }) => state !== "started" && region !== warm.region && rttMs < warm.rttMs);
  const machine = soonest(nearer, service, rules);
  return machine === undefined ? null : { detour, machine };
}

/** The machine that a wake would try first. */
function soonest(
  machines: readonly LocatedMachine[],
  { autoStart }: ServiceEntry,
  { region: home, regionPolicy, warmDetour }: DetourRules,
): LocatedMachine | undefined {
  const rest = ({ region, state }: LocatedMachine): number =>
    regionPolicy === "local-preferred" && region === home && isAwaitable(state) && (autoStart || state === "starting") ? 0 : 1;
  const firstByteMs = ({ rttMs, wakeMs }: LocatedMachine): number => rttMs + (warmDetour ? wakeMs : 0);
  return machines
    .filter(({ cordoned, region, state, health }) => {
      if (cordoned || (regionPolicy === "local-only" && region !== home)) return false;
      return state === "started" ? health !== "critical" : autoStart || state === "starting";
    })
    .toSorted(
      (a, b) =>
        rest(a) - rest(b) || firstByteMs(a) - firstByteMs(b) || a.rttMs - b.rttMs || READY_SOONEST[a.state] - READY_SOONEST[b.state],
    )[0];
}

function reasonToWake({ state }: LocatedMachine): string {
  return state === "starting"
    ? "nothing is up yet, and the nearest machine is starting"
    : `nothing is up; nearest that can be woken (${state})`;
}
