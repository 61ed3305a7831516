// A seeded scheduler for a fleet without sockets (fleet-world.ts): draws what happens next, and looks after each step whether all that must hold does.

import assert from "node:assert/strict";
import { syncBuiltinESMExports } from "node:module";
import { mock } from "node:test";

import type { App } from "../../src/core/app.ts";
import { createRandom } from "../support/random.ts";
import { sampleApp, sampleMachine } from "../wake/sample-app.ts";
import { Fleet } from "./fleet-world.ts";
import type { Visit, VirtualWorker } from "./virtual-worker.ts";

export const HARD_LIMIT = 2;
export const MOST_WAITING = 5;
const DRAIN_MS = 40;

let nowMs = 1000;
mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
// Whoever imported them by name has them, too.
syncBuiltinESMExports();
mock.method(performance, "now", () => nowMs);

function tick(ms: number): void {
  nowMs += ms;
  mock.timers.tick(ms);
}

/** `arrive 8` comes up twice as often as `leave 4`. */
export type Weights = Readonly<Record<string, number>>;

/** What may happen whatever else does. */
export const ORDINARY: Weights = {
  arrive: 8,
  connect: 10,
  finish: 8,
  leave: 2,
  hear: 6,
  news: 12,
  question: 8,
  driver: 8,
  turn: 14,
  time: 4,
};
export const SLEEPS: Weights = { sleep: 5, part: 5 };
export const TROUBLES: Weights = { crash: 3, break: 1, mend: 1, late: 1 };

export interface Outcome {
  readonly fleet: Fleet;
  /** By how it ended, how many. */
  readonly ends: Readonly<Record<string, number>>;
  /** Connections to machines that were not there. */
  readonly misses: number;
  readonly steps: readonly string[];
}

/** One course of things from beginning to end: all that was drawn, and then whatever it takes until nobody is there any more. */
export async function play(seed: number, weights: Weights, changes: Partial<App> = {}): Promise<Outcome> {
  const random = createRandom(seed);
  await using fleet = await Fleet.start({
    app: sampleApp({
      machines: ["ams", "ams-2"].map((name) => sampleMachine("hello", "ams", { name })),
      wakeTimeoutMs: 3_600_000,
      ...changes,
    }),
    workers: 2,
    maxWaiting: MOST_WAITING,
    drainMs: DRAIN_MS,
    random,
    tick,
  });
  await fleet.wakeSome();
  const course = new Course(fleet, random);
  const names = Object.entries(weights).flatMap(([name, weight]) => Array.from({ length: weight }, () => name));
  try {
    for (let left = 20 + Math.floor(random() * 120); left > 0; left--) await course.step(names[Math.floor(random() * names.length)]!);
    await course.end();
  } catch (error) {
    throw new Error(`SEED=${seed} RUNS=1: ${course.steps.join(", ")}`, { cause: error });
  }
  const ends: Record<string, number> = {};
  for (const { state } of fleet.visits) ends[state] = (ends[state] ?? 0) + 1;
  return { fleet, ends, misses: course.misses, steps: course.steps };
}

class Course {
  misses = 0;
  readonly steps: string[] = [];
  readonly #fleet: Fleet;
  readonly #random: () => number;
  #isBetween = false;
  #isEnding = false;

  constructor(fleet: Fleet, random: () => number) {
    this.#fleet = fleet;
    this.#random = random;
    fleet.between = (busy) => this.#between(busy);
  }

  async step(name: string): Promise<void> {
    this.steps.push(name);
    await this.#do(name);
    this.#check();
  }

  /** No more trouble, and everybody goes as soon as they can. */
  async end(): Promise<void> {
    const fleet = this.#fleet;
    this.#isEnding = true;
    fleet.broken.start = fleet.broken.resume = fleet.broken.suspend = false;
    for (let round = 0; round < 1000 && fleet.visits.some(({ isOver }) => !isOver); round++) {
      for (const visit of this.#visits("connecting")) if (visit.state === "connecting") this.#connect(visit);
      for (const visit of this.#visits("connected")) visit.finish();
      for (const worker of fleet.workers) {
        for (const arrival of [...worker.outbox.splice(0), ...worker.inbox.splice(0)]) arrival();
        while (worker.rung > 0) worker.hear();
      }
      for (const { finish } of fleet.pending.splice(0)) finish();
      await fleet.settle();
      fleet.pass(20);
      this.#check();
    }
    const lost = fleet.visits.filter(({ isOver }) => !isOver);
    assert.equal(lost.length, 0, `lost: ${lost.map(({ state }) => state).join(", ")}`);
    for (const id of fleet.ids) assert.equal(fleet.inFlight(id), 0, `places on ${id} are not given back`);
    for (const { gate } of fleet.workers) assert.equal(gate.size, 0, "somebody is held who is not there");
    assert.equal(this.#waiting(), 0, "places in the queue are not given back");
  }

  async #do(name: string): Promise<void> {
    const fleet = this.#fleet;
    const worker = this.#oneOf(fleet.workers)!;
    const id = this.#oneOf(fleet.ids)!;
    if (name === "arrive") worker.arrive();
    if (name === "connect") this.#connect(this.#oneOf(this.#visits("connecting")));
    if (name === "finish") this.#oneOf(this.#visits("connected"))?.finish();
    if (name === "leave") this.#oneOf(fleet.visits.filter(({ isOver }) => !isOver))?.leave();
    if (name === "hear") worker.hear();
    if (name === "news") worker.inbox.shift()?.();
    if (name === "question") worker.outbox.shift()?.();
    if (name === "driver" && fleet.pending.length > 0)
      fleet.pending.splice(Math.floor(this.#random() * fleet.pending.length), 1)[0]!.finish();
    if (name === "turn") await fleet.settle();
    if (name === "time") fleet.pass(5 + Math.floor(this.#random() * 40));
    if (name === "late" && this.#random() < 0.3) fleet.pass(5000);
    if (name === "sleep" || name === "part") fleet.sleep(id, name === "sleep");
    if (name === "crash") fleet.crash(id);
    if (name === "break") fleet.broken[this.#oneOf(["start", "resume", "suspend"] as const)!] = true;
    if (name === "mend") fleet.broken[this.#oneOf(["start", "resume", "suspend"] as const)!] = false;
  }

  /** Another thread is quicker: somebody comes, or ends, in a worker that does nothing else just now; or a machine takes leave. */
  #between(busy: VirtualWorker | null): void {
    if (this.#isBetween || this.#isEnding || this.#random() >= (busy === null ? 0.5 : 0.2)) return;
    this.#isBetween = true;
    const worker = this.#oneOf(this.#fleet.workers.filter((one) => one !== busy))!;
    const luck = this.#random();
    if (luck < 0.2 && busy !== null) this.#fleet.sleep(this.#oneOf(this.#fleet.ids)!, false);
    else if (luck < 0.6) worker.arrive();
    else worker.visits.find(({ state }) => state === "connected")?.finish();
    this.#isBetween = false;
  }

  #connect(visit: Visit | undefined): void {
    if (visit !== undefined && !visit.connect()) this.misses++;
  }

  #check(): void {
    const fleet = this.#fleet;
    assert.deepEqual([...fleet.faults, ...fleet.workers.flatMap(({ faults }) => faults)], []);
    for (const [id, { mostAtOnce, visits }] of fleet.machines) {
      assert.ok(mostAtOnce <= HARD_LIMIT, `${mostAtOnce} at once on ${id}`);
      assert.ok(
        fleet.inFlight(id) <= HARD_LIMIT && fleet.inFlight(id) >= visits.size,
        `${fleet.inFlight(id)} places on ${id} for ${visits.size}`,
      );
    }
    assert.ok(this.#waiting() <= MOST_WAITING, `${this.#waiting()} wait`);
    const held = fleet.workers.reduce((sum: number, { gate }: VirtualWorker) => sum + gate.size, 0);
    assert.equal(this.#waiting(), held);
  }

  #waiting(): number {
    return this.#fleet.load.count(this.#fleet.waitSlot);
  }

  #visits(state: Visit["state"]): Visit[] {
    return this.#fleet.visits.filter((visit) => visit.state === state);
  }

  #oneOf<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.#random() * items.length)];
  }
}
