// What holds in whatever order things come, over the workers, the gate, the waker and the host as they are: a claim is always released, no machine
// has more than its hard limit, the queue keeps its bounds, nobody is lost, and no machine falls asleep under anybody. A course that fails names its
// seed, and is had again with SEED=… RUNS=1 node --test test/edge/interleavings.test.ts
// @own-process: it takes the clock from everybody.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { App } from "../../src/core/app.ts";
import { sampleService } from "../wake/sample-app.ts";
import { HARD_LIMIT, ORDINARY, play, SLEEPS, TROUBLES, type Weights } from "./interleavings.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000_000);
const RUNS = Number(process.env["RUNS"] ?? 40);

interface Sum {
  readonly ends: Readonly<Record<string, number>>;
  readonly sleeps: number;
  readonly leaves: number;
  readonly misses: number;
  readonly mostAtOnce: number;
}

/** As many courses, one after another; what must hold is looked at after every step of each. */
async function playAll(weights: Weights, changes: Partial<App> = {}): Promise<Sum> {
  const ends: Record<string, number> = {};
  const sum = { ends, sleeps: 0, leaves: 0, misses: 0, mostAtOnce: 0 };
  for (let run = 0; run < RUNS; run++) {
    const { fleet, misses, ends: own } = await play(SEED + run, weights, changes);
    for (const [how, count] of Object.entries(own)) ends[how] = (ends[how] ?? 0) + count;
    sum.sleeps += fleet.sleeps;
    sum.leaves += fleet.leaves;
    sum.misses += misses;
    sum.mostAtOnce = Math.max(sum.mostAtOnce, ...[...fleet.machines.values()].map(({ mostAtOnce }) => mostAtOnce));
  }
  return sum;
}

/** One course alone may have none of it. */
function expectSome(what: Readonly<Record<string, number | undefined>>): void {
  if (RUNS >= 20)
    for (const [name, count] of Object.entries(what)) assert.ok((count ?? 0) > 0, `no ${name} in all courses: they show nothing`);
}

describe(`in whatever order things come (SEED=${SEED})`, () => {
  for (const autoStop of ["suspend", "stop"] as const) {
    test(`the two-phase ${autoStop} loses no request, and no request meets a machine that sleeps (reference section 6.1)`, async (t) => {
      const { ends, sleeps, leaves, misses, mostAtOnce } = await playAll(
        { ...ORDINARY, ...SLEEPS },
        { services: [sampleService(service(autoStop))] },
      );
      t.diagnostic(JSON.stringify({ ends, sleeps, leaves }));
      assert.equal(misses, 0, "who was sent to a machine found it there");
      // Who leaves does so by itself, and who finds the queue full is told at once.
      assert.deepEqual(new Set([...Object.keys(ends), "done", "left", "queue_full"]), new Set(["done", "left", "queue_full"]));
      expectSome({ sleeps, leaves, done: ends["done"], "queue that was full": ends["queue_full"], "one who left": ends["left"] });
      assert.ok(RUNS < 20 || mostAtOnce === HARD_LIMIT);
    });
  }

  test("with machines that crash, cannot be woken or suspended, and time-outs, every claim is released and everybody is told (3.1, 3.2, 3.5)", async (t) => {
    const changes = { services: [sampleService(service("suspend"))], wakeTimeoutMs: 4000 };
    const { ends, sleeps, misses } = await playAll({ ...ORDINARY, ...SLEEPS, ...TROUBLES }, changes);
    t.diagnostic(JSON.stringify({ ends, sleeps, misses }));
    const known = ["done", "left", "cut off", "queue_full", "wake_failed", "wake_timeout", "at_capacity", "connect_refused", "no_machine"];
    assert.deepEqual(
      Object.keys(ends).filter((end) => !known.includes(end)),
      [],
    );
    expectSome({ sleeps, done: ends["done"], "crash that anybody noticed": misses + (ends["cut off"] ?? 0) });
    expectSome({ "time-out": (ends["wake_timeout"] ?? 0) + (ends["at_capacity"] ?? 0) });
  });
});

function service(autoStop: "suspend" | "stop"): Parameters<typeof sampleService>[0] {
  return { autoStop, concurrency: { type: "connections", softLimit: 1, hardLimit: HARD_LIMIT } };
}
