// Who is left alone, for how long, and how many at most: over arbitrary failures, with a clock of its own.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import { Deadlines } from "../../src/core/deadlines.ts";
import type { MachineState } from "../../src/core/machine.ts";
import { outlierOf, Outliers, readmitExcess, type Ejection, type Watched } from "../../src/health/outliers.ts";
import { fuzzParameters } from "../http/seed.ts";

const RULES = { consecutive: 2, fiveXx: 0, baseMs: 1000, maxEjected: 0.5 };
const TICK_MS = 100;

function machine(id: string, state: MachineState = "started", before?: Watched): Watched {
  const facts = { id, state, health: "passing", cordoned: false, address: { host: "127.0.0.1", port: 9000 } } as const;
  return { ...facts, outlier: outlierOf(facts, before) };
}

class World implements Disposable {
  readonly deadlines = new Deadlines(TICK_MS);
  readonly ejections: (Ejection & { id: string })[] = [];
  readmissions = 0;
  machines: Watched[];
  readonly outliers;

  constructor(count: number) {
    this.machines = Array.from({ length: count }, (_, index) => machine(`m${index}`));
    this.outliers = new Outliers({
      deadlines: this.deadlines,
      current: () => this.service,
      onEjected: (_, { id }, ejection) => void this.ejections.push({ id, ...ejection }),
      onReadmitted: () => void this.readmissions++,
    });
  }

  get service() {
    return { outliers: RULES, machines: this.machines };
  }

  get ejected(): string[] {
    return this.machines.filter(({ outlier }) => outlier.isEjected).map(({ id }) => id);
  }

  fail(index: number, times = RULES.consecutive): void {
    for (let count = 0; count < times; count++) this.outliers.failed(this.service, this.machines[index]!, "connect_refused");
  }

  [Symbol.dispose](): void {
    this.deadlines.stop();
  }
}

test("each ejection is longer than the one before by the first, ten times that at most, and good conduct makes up for it", () => {
  using world = new World(2);
  const lengths = Array.from({ length: 12 }, () => {
    world.fail(0);
    const { forMs } = world.ejections.at(-1)!;
    world.deadlines.pass(forMs + 3 * TICK_MS);
    assert.deepEqual(world.ejected, []);
    return forMs / RULES.baseMs;
  });
  assert.deepEqual(lengths, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]);
  assert.equal(world.readmissions, 12);
  // The clock stands still while nobody has a deadline: the other one keeps it going, as connections do.
  world.fail(1);
  world.deadlines.pass(5 * RULES.baseMs);
  world.fail(0);
  assert.ok(world.ejections.at(-1)!.times < 12);
});

test("a machine that was started anew is judged anew; what else changes leaves it as it is", () => {
  using world = new World(2);
  world.fail(0);
  const [sick] = world.machines as [Watched];
  assert.ok(machine("m0", "started", sick).outlier === sick.outlier);
  for (const state of ["stopped", "starting", "suspended"] as const) {
    const asleep = machine("m0", state, sick);
    assert.equal(asleep.outlier.isEjected, false, state);
    assert.notEqual(machine("m0", "started", asleep).outlier, sick.outlier);
  }
  assert.notEqual(machine("m9", "started", sick).outlier, sick.outlier, "another machine in its slot");
});

test("when a service gets smaller, those come back whose time is over first", () => {
  using world = new World(4);
  world.fail(0);
  world.deadlines.pass(3 * TICK_MS);
  world.fail(1);
  assert.deepEqual(world.ejected, ["m0", "m1"]);
  world.machines = world.machines.slice(0, 3);
  readmitExcess(world.service, world.deadlines);
  assert.deepEqual(world.ejected, ["m1"]);
  world.machines = [world.machines[1]!];
  readmitExcess(world.service, world.deadlines);
  assert.deepEqual(world.ejected, []);
});

test("what a client or the edge did counts against no machine, and where nothing may be ejected nobody looks each time", () => {
  using world = new World(1);
  let looks = 0;
  const outliers = new Outliers({
    deadlines: world.deadlines,
    current: (service: World["service"]) => (looks++, service),
    onEjected: () => assert.fail("a single machine was ejected"),
    onReadmitted: () => {},
  });
  for (const code of ["client_closed", "bad_response", "body_too_large", "draining", "upstream_timeout"] as const) {
    for (let count = 0; count < 10; count++) outliers.failed(world.service, world.machines[0]!, code);
  }
  assert.equal(looks, 0);
  for (let count = 0; count < 10; count++) outliers.failed(world.service, world.machines[0]!, "upstream_reset");
  assert.equal(looks, 10 / RULES.consecutive);
});

test("whatever fails in whatever order, at most half are left alone, and all come back", () => {
  const event = fc.record({
    index: fc.nat(6),
    what: fc.constantFrom("fail", "fail", "fail", "succeed", "wait"),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 7 }), fc.array(event, { maxLength: 60 }), (count, events) => {
      using world = new World(count);
      for (const { index, what } of events) {
        const at = index % count;
        if (what === "fail") world.fail(at, 1);
        else if (what === "succeed") world.outliers.answered(world.service, world.machines[at]!, 200);
        else world.deadlines.pass(RULES.baseMs);
        assert.ok(world.ejected.length <= Math.floor(count / 2));
      }
      world.deadlines.pass(11 * RULES.baseMs);
      assert.deepEqual(world.ejected, []);
      assert.equal(world.readmissions, world.ejections.length);
    }),
    fuzzParameters(300),
  );
});
