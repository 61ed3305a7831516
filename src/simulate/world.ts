// A fleet under a virtual clock: an edge in each region that has traffic, the machines of one app, and what happens to its requests. Decisions
// are those of the real edge (rank, claim, wake order, sleep); times are drawn by chance. Where a real fleet passes news on, all
// edges know it at once.

import { LoadTable } from "../catalog/load-table.ts";
import type { App, MachineSpec, Service } from "../core/app.ts";
import type { MachineRecord, MachineState } from "../core/machine.ts";
import { Balancer } from "../routing/balancer.ts";
import { type Detour, detourOf, type Sleeper } from "../routing/detour.ts";
import { rank, type Ranked } from "../routing/rank.ts";
import { minRunning } from "../wake/machine-plan.ts";
import { chooseSleeper, observe, type Watched } from "../wake/sleep-plan.ts";
import { wakeOrder, type WakeReason } from "../wake/wake-order.ts";
import { Rate, type Traffic } from "./arrivals.ts";
import type { Chance } from "./random.ts";
import type { Tally } from "./tally.ts";
import type { Timeline } from "./timeline.ts";

/** How the app behaves; means, in milliseconds. */
export interface Behaviour {
  readonly startMs: number;
  readonly resumeMs: number;
  readonly stopMs: number;
  /** Of a request, exponentially distributed. */
  readonly answerMs: number;
  /** How much starts, resumes and stops vary around their means: 0.2 is by a fifth. */
  readonly spread: number;
}

/** A machine crashes and cannot be started for a while; or a region cannot be reached from the others. */
export interface Trouble {
  readonly kind: "failure" | "partition";
  /** Name of a machine, or code of a region. */
  readonly target: string;
  readonly atMs: number;
  readonly lastsMs: number;
}

export interface WorldOptions {
  readonly app: App;
  readonly traffic: readonly Traffic[];
  readonly troubles: readonly Trouble[];
  readonly behaviour: Behaviour;
  readonly rttMs: (from: string, to: string) => number;
  readonly timeline: Timeline;
  readonly chance: Chance;
  readonly tally: Tally;
}

interface Machine {
  readonly spec: MachineSpec;
  readonly slot: number;
  state: MachineState;
  changedAtMs: number;
  /** The state before its last start. */
  startedFrom: MachineState;
  /** Until then every start fails. */
  brokenUntilMs: number;
  isCutOff: boolean;
  /** As the last look saw it, in this run. */
  watched: Watched | undefined;
  /** It takes no more requests, and sleeps when those it has are over. */
  isLeaving: boolean;
  readonly inFlight: Set<Request>;
}

interface Edge {
  readonly region: string;
  /** It knows how long machines take to answer here. */
  readonly balancer: Balancer;
  isCutOff: boolean;
  /** Null: something has changed since. */
  ranked: Ranked<SeenMachine> | null;
  detour: Detour;
  /** What is nearer could not be woken: until then nobody waits for it. */
  notNearUntilMs: number;
  readonly waiting: Set<Request>;
}

/** A machine as an edge ranks it. */
interface SeenMachine extends Sleeper {
  readonly machine: Machine;
}

interface Request {
  readonly edge: Edge;
  readonly arrivedMs: number;
  attempts: number;
  /** It was held for a machine to wake. */
  hasWaited: boolean;
  isOver: boolean;
}

/** How often the idler looks; the real one looks a quarter of idle_timeout apart, a second at most. */
const LOOK_MS = 1000;
const MOST_ATTEMPTS = 40;
/** As in edge/attempts.ts. */
const NOT_NEAR_MS = 5000;

export class World {
  readonly #options: WorldOptions;
  readonly #service: Service;
  readonly #load = LoadTable.create();
  readonly #machines: readonly Machine[];
  readonly #edges: readonly Edge[];

  constructor(options: WorldOptions) {
    this.#options = options;
    const { app, chance, traffic } = options;
    this.#service = app.services[0]!;
    const specs = app.machines.filter(({ group }) => this.#service.groups.includes(group));
    this.#machines = specs.map((spec, slot): Machine => {
      const rest = { inFlight: new Set<Request>(), brokenUntilMs: 0, isCutOff: false, isLeaving: false, watched: undefined };
      return { spec, slot, state: "stopped", startedFrom: "stopped", changedAtMs: 0, ...rest };
    });
    const regions = [...new Set(traffic.map(({ region }) => region))];
    const balancing = { load: this.#load, random: chance.next, now: () => options.timeline.nowMs };
    this.#edges = regions.map((region): Edge => {
      return {
        region,
        balancer: new Balancer(balancing),
        isCutOff: false,
        ranked: null,
        detour: "none",
        notNearUntilMs: 0,
        waiting: new Set(),
      };
    });
  }

  get machines(): number {
    return this.#machines.length;
  }

  /** Plans everything that happens by itself. */
  begin(): void {
    const { traffic, troubles, timeline } = this.#options;
    for (const one of traffic)
      this.#plan(
        this.#edges.find(({ region }) => region === one.region)!,
        new Rate(one),
      );
    for (const trouble of troubles) timeline.at(trouble.atMs, () => this.#strike(trouble));
    this.#look();
  }

  #plan(edge: Edge, rate: Rate): void {
    const { timeline, chance } = this.#options;
    timeline.at(rate.next(timeline.nowMs, chance), () => {
      this.#plan(edge, rate);
      this.#arrive(edge);
    });
  }

  #arrive(edge: Edge): void {
    const { timeline, tally, app } = this.#options;
    const request: Request = { edge, arrivedMs: timeline.nowMs, attempts: 0, hasWaited: false, isOver: false };
    tally.arrived(edge.region, timeline.nowMs);
    if (!this.#place(request)) this.#hold(request);
    if (edge.waiting.has(request)) timeline.after(app.wakeTimeoutMs, () => this.#giveUp(request));
  }

  /** False: it has to wait. */
  #place(request: Request): boolean {
    const { edge } = request;
    const { softLimit, hardLimit } = this.#service.concurrency;
    const ranked = this.#rankedFor(edge);
    if (edge.detour === "wait" && this.#options.timeline.nowMs >= edge.notNearUntilMs) {
      this.#wake(edge, "near");
      return false;
    }
    const outcome = edge.balancer.claim({ ranked, softLimit, hardLimit }, null);
    if (outcome === "asleep" || outcome === "full") {
      if (outcome === "asleep") this.#wake(edge, "asleep");
      return false;
    }
    if (typeof outcome === "string") {
      this.#lose(request);
      return true;
    }
    edge.waiting.delete(request);
    if (edge.detour === "detour") this.#wake(edge, "near");
    if (ranked.hasWakeable && edge.balancer.isBusy(outcome, softLimit)) this.#wake(edge, "busy");
    this.#serve(request, outcome);
    return true;
  }

  #hold(request: Request): void {
    request.hasWaited = true;
    request.edge.waiting.add(request);
  }

  #serve(request: Request, seen: SeenMachine): void {
    const { timeline, chance, behaviour, tally } = this.#options;
    const { machine } = seen;
    const { region, balancer } = request.edge;
    request.attempts++;
    machine.inFlight.add(request);
    const tookMs = seen.rttMs + chance.exponential(behaviour.answerMs);
    timeline.after(tookMs, () => {
      if (!machine.inFlight.delete(request)) return;
      request.isOver = true;
      balancer.observe(seen, tookMs);
      balancer.release(seen);
      tally.served({
        region,
        by: machine.spec.region,
        tookMs: timeline.nowMs - request.arrivedMs,
        hasWaited: request.hasWaited,
        atMs: timeline.nowMs,
      });
      this.#onReleased(machine);
    });
  }

  #onReleased(machine: Machine): void {
    if (machine.isLeaving && machine.inFlight.size === 0) this.#stop(machine);
    if (this.#service.concurrency.hardLimit !== null) this.#retryWaiting();
  }

  #giveUp(request: Request): void {
    if (!request.isOver && request.edge.waiting.delete(request)) this.#lose(request);
  }

  #lose(request: Request): void {
    request.isOver = true;
    request.edge.waiting.delete(request);
    this.#options.tally.lost(request.edge.region);
  }

  /** In the order in which they came, until one has to wait on. */
  #retryWaiting(): void {
    for (const { waiting } of this.#edges) for (const request of waiting) if (!this.#place(request)) break;
  }

  #wake(edge: Edge, reason: WakeReason): void {
    const { app, timeline, rttMs } = this.#options;
    const records = this.#machines.filter((machine) => canReach(edge, machine)).map((machine) => recordOf(app, machine));
    const byId = new Map(this.#machines.map((machine) => [machine.spec.id, machine]));
    const [best] = wakeOrder(app, this.#service, records, reason, {
      nowMs: timeline.nowMs,
      region: edge.region,
      rttMs: (region) => rttMs(edge.region, region),
      startableInMs: ({ id }) => Math.max(0, byId.get(id)!.brokenUntilMs - timeline.nowMs),
      inFlight: (id) => byId.get(id)!.inFlight.size,
      wakeMs: (_, state) => wakeMs(this.#options.behaviour, state),
    });
    const machine = best === undefined ? undefined : byId.get(best.id);
    if (machine === undefined) return;
    if (isAsleep(machine.state)) this.#start(machine);
    else if (machine.isLeaving) this.#stay(machine);
  }

  #start(machine: Machine): void {
    const { timeline, chance, behaviour, tally } = this.#options;
    const meanMs = machine.state === "suspended" ? behaviour.resumeMs : behaviour.startMs;
    machine.startedFrom = machine.state;
    this.#set(machine, "starting");
    tally.awake(machine.spec.id, timeline.nowMs);
    tally.woke();
    timeline.after(chance.around(meanMs, behaviour.spread), () => {
      if (machine.state !== "starting") return;
      if (machine.brokenUntilMs > timeline.nowMs) {
        this.#set(machine, "failed");
        for (const edge of this.#edges) edge.notNearUntilMs = timeline.nowMs + NOT_NEAR_MS;
        tally.asleep(machine.spec.id, timeline.nowMs);
      } else {
        this.#load.open(machine.slot);
        this.#set(machine, "started");
      }
      this.#retryWaiting();
    });
  }

  /** At most one machine of each region goes to sleep. */
  #look(): void {
    const { app, timeline } = this.#options;
    timeline.after(LOOK_MS, () => this.#look());
    if (this.#service.autoStop === "off") return;
    const { softLimit } = this.#service.concurrency;
    for (const [region, machines] of Map.groupBy(this.#machines, ({ spec }) => spec.region)) {
      const awake = machines.filter(({ state, isLeaving }) => state === "started" && !isLeaving);
      for (const machine of awake) {
        const { spec, changedAtMs, slot, inFlight } = machine;
        const look = { id: spec.id, run: changedAtMs, inFlight: inFlight.size, activity: this.#load.activity(slot) };
        machine.watched = observe(machine.watched, look, softLimit, timeline.nowMs);
      }
      const sleeper = chooseSleeper(
        {
          running: awake.map(({ watched }) => watched!),
          keep: minRunning(app, machines[0]!.spec.group, region),
          softLimit,
          idleTimeoutMs: app.idleTimeoutMs,
          settledSinceMs: Math.max(...machines.map(({ changedAtMs }) => changedAtMs)),
          isBusy: () => false,
        },
        timeline.nowMs,
      );
      const machine = awake.find(({ spec }) => spec.id === sleeper?.id);
      if (machine !== undefined) this.#leave(machine);
    }
  }

  /** In two phases: from here on it takes no more, and it sleeps when what it has is over. */
  #leave(machine: Machine): void {
    this.#load.close(machine.slot);
    machine.isLeaving = true;
    if (machine.inFlight.size === 0) this.#stop(machine);
  }

  /** There is nobody else: it goes on. */
  #stay(machine: Machine): void {
    machine.isLeaving = false;
    this.#load.open(machine.slot);
    this.#options.timeline.after(0, () => this.#retryWaiting());
  }

  #stop(machine: Machine): void {
    const { timeline, chance, behaviour, tally } = this.#options;
    const isSuspend = this.#service.autoStop === "suspend";
    machine.isLeaving = false;
    this.#set(machine, isSuspend ? "suspending" : "stopping");
    timeline.after(chance.around(behaviour.stopMs, behaviour.spread), () => {
      if (machine.state !== "suspending" && machine.state !== "stopping") return;
      tally.asleep(machine.spec.id, timeline.nowMs);
      this.#set(machine, isSuspend ? "suspended" : "stopped");
      this.#retryWaiting();
    });
  }

  #strike({ kind, target, lastsMs }: Trouble): void {
    const { timeline } = this.#options;
    const isHit = ({ spec }: Machine): boolean => (kind === "failure" ? spec.name : spec.region) === target;
    for (const machine of this.#machines.filter(isHit)) {
      if (kind === "failure") this.#crash(machine, lastsMs);
      else machine.isCutOff = true;
    }
    if (kind === "failure") return;
    for (const edge of this.#edges) if (edge.region === target) edge.isCutOff = true;
    this.#forgetRanks();
    for (const machine of this.#machines) this.#interrupt(machine, ({ edge }) => !canReach(edge, machine));
    timeline.after(lastsMs, () => {
      for (const one of [...this.#machines.filter(isHit), ...this.#edges.filter(({ region }) => region === target)]) one.isCutOff = false;
      this.#forgetRanks();
      this.#retryWaiting();
    });
  }

  #crash(machine: Machine, lastsMs: number): void {
    const { timeline, tally } = this.#options;
    machine.brokenUntilMs = timeline.nowMs + lastsMs;
    if (isAsleep(machine.state)) return;
    tally.asleep(machine.spec.id, timeline.nowMs);
    this.#load.close(machine.slot);
    machine.isLeaving = false;
    this.#set(machine, "failed");
    this.#interrupt(machine, () => true);
  }

  /** What was in flight is tried again elsewhere: requests are taken to be safe to repeat. */
  #interrupt(machine: Machine, isHit: (request: Request) => boolean): void {
    for (const request of [...machine.inFlight].filter(isHit)) {
      machine.inFlight.delete(request);
      this.#load.release(machine.slot);
      if (request.attempts >= MOST_ATTEMPTS) this.#lose(request);
      else if (!this.#place(request)) {
        this.#hold(request);
        this.#options.timeline.after(this.#options.app.wakeTimeoutMs, () => this.#giveUp(request));
      }
    }
  }

  #set(machine: Machine, state: MachineState): void {
    machine.state = state;
    machine.changedAtMs = this.#options.timeline.nowMs;
    this.#forgetRanks();
  }

  #forgetRanks(): void {
    for (const edge of this.#edges) edge.ranked = null;
  }

  #rankedFor(edge: Edge): Ranked<SeenMachine> {
    const { rttMs, app, behaviour } = this.#options;
    if (edge.ranked !== null) return edge.ranked;
    const seen = this.#machines
      .filter((machine) => canReach(edge, machine))
      .map((machine): SeenMachine => {
        const { slot, state } = machine;
        const { id, region } = machine.spec;
        const address = { host: region, port: 1 };
        const expectedMs = wakeMs(behaviour, state === "starting" ? machine.startedFrom : state);
        return {
          machine,
          id,
          region,
          address,
          slot,
          state,
          wakeMs: expectedMs,
          rttMs: rttMs(edge.region, region),
          health: "passing",
          cordoned: false,
        };
      });
    edge.balancer.learn(seen);
    const { regionPolicy, balance, warmDetour } = app;
    const rules = { region: edge.region, regionPolicy, balance, warmDetour };
    edge.ranked = rank(seen, this.#service.autoStart, rules);
    edge.detour = detourOf(edge.ranked, seen, this.#service.autoStart, rules);
    return edge.ranked;
  }
}

function canReach(edge: Edge, machine: Machine): boolean {
  return edge.region === machine.spec.region || (!edge.isCutOff && !machine.isCutOff);
}

/** As `wake/wake-times.ts` would have learned it. */
function wakeMs({ startMs, resumeMs }: Behaviour, state: MachineState): number {
  if (state === "started") return 0;
  if (state === "suspended" || state === "suspending") return resumeMs;
  return state === "starting" ? Math.min(startMs, resumeMs) : startMs;
}

function isAsleep(state: MachineState): boolean {
  return state === "stopped" || state === "suspended" || state === "failed" || state === "created";
}

function recordOf(app: App, { spec, state, changedAtMs }: Machine): MachineRecord {
  const { id, name, group, region } = spec;
  const nothing = { checks: [], cordoned: false, addresses: {}, pid: null, handle: null, configHash: "", reason: "", node: "" };
  return { id, name, group, region, app: app.name, state, health: "passing", changedAtMs, ...nothing };
}
