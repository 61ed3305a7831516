// Which machine gets a request, given how busy all are.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import { LoadTable } from "../../src/catalog/load-table.ts";
import { Balancer, type Refusal } from "../../src/routing/balancer.ts";
import { exclusion, rank, type Candidate } from "../../src/routing/rank.ts";
import { fuzzParameters } from "../http/seed.ts";
import { fleet, machine, type Loaded } from "./fleet.ts";

interface Limits {
  readonly softLimit: number;
  readonly hardLimit: number | null;
}

const LIMITS: Limits = { softLimit: 2, hardLimit: 4 };

/** A seeded generator of numbers in [0, 1). */
function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 0) / 2 ** 32;
  };
}

class World {
  readonly load: LoadTable;
  readonly balancer: Balancer;
  readonly #service;
  nowMs = 0;

  constructor(
    machines: readonly Candidate[],
    { softLimit, hardLimit }: Limits = LIMITS,
    options: { autoStart?: boolean; seed?: number } = {},
  ) {
    this.load = new LoadTable(TABLE.buffer, 1);
    for (const { slot } of machines) this.load.reset(slot);
    this.balancer = new Balancer({ load: this.load, random: seeded(options.seed ?? 1), now: () => this.nowMs });
    this.#service = { ranked: rank(machines, options.autoStart ?? true), softLimit, hardLimit };
  }

  fill(one: Candidate, inFlight: number): this {
    for (let count = 0; count < inFlight; count++) this.load.claim(one.slot, Infinity);
    return this;
  }

  claim(tried: readonly Candidate[] | null = null): Candidate | Refusal {
    return this.balancer.claim(this.#service, tried);
  }

  claimId(tried: readonly Candidate[] | null = null): string {
    const outcome = this.claim(tried);
    return typeof outcome === "string" ? outcome : outcome.id;
  }
}

/** One for all: its memory is large. */
const TABLE = LoadTable.create();

test("the nearest region with room gets the request, and a full one passes it on", () => {
  const [ams, fra] = [machine(0, "ams"), machine(1, "fra")];
  const world = new World([fra, ams]);
  assert.deepEqual(
    Array.from({ length: 9 }, () => world.claimId()),
    [...Array<string>(4).fill("m0"), ...Array<string>(4).fill("m1"), "full"],
  );
  world.balancer.release(ams);
  assert.equal(world.claimId(), "m0");
});

test("a soft limit sends nothing to another region", () => {
  const [ams, fra] = [machine(0, "ams"), machine(1, "fra")];
  assert.equal(new World([ams, fra]).fill(ams, 3).claimId(), "m0");
});

test("within a region, one below its soft limit goes before one above, wherever chance looks", () => {
  const machines = Array.from({ length: 6 }, (_, slot) => machine(slot, "ams"));
  for (let seed = 0; seed < 50; seed++) {
    const world = new World(machines, LIMITS, { seed });
    for (const one of machines.slice(0, 5)) world.fill(one, 2);
    assert.equal(world.claimId(), "m5");
  }
});

test("when all of a region are above their soft limit, the least loaded gets the request", () => {
  const machines = Array.from({ length: 4 }, (_, slot) => machine(slot, "ams"));
  for (let seed = 0; seed < 50; seed++) {
    const world = new World(machines, { softLimit: 1, hardLimit: 9 }, { seed });
    for (const [index, one] of machines.entries()) world.fill(one, 7 - index);
    assert.equal(world.claimId(), "m3");
  }
});

test("a soft limit above the hard one does not help over it", () => {
  const world = new World([machine(0, "ams"), machine(1, "ams")], { softLimit: 10, hardLimit: 1 });
  assert.deepEqual(new Set([world.claimId(), world.claimId()]), new Set(["m0", "m1"]));
  assert.equal(world.claimId(), "full");
});

test("without a hard limit nobody is refused", () => {
  const one = machine(0, "ams");
  const world = new World([one], { softLimit: 1, hardLimit: null }).fill(one, 10_000);
  assert.equal(world.claimId(), "m0");
});

test("a machine that failed this request is not tried again, even as another object", () => {
  const [ams, fra] = [machine(0, "ams"), machine(1, "fra")];
  const world = new World([ams, fra], LIMITS, { autoStart: false });
  assert.equal(world.claimId([{ ...ams }]), "m1");
  assert.equal(world.claimId([ams, fra]), "none");
});

test("why there is no machine: full before asleep before unhealthy before none", () => {
  const started = machine(0, "ams");
  const stopped = machine(1, "fra", { state: "stopped" });
  const sick = machine(2, "ams", { health: "critical" });
  assert.equal(new World([started, stopped, sick]).fill(started, 4).claimId(), "full");
  assert.equal(new World([stopped, sick]).claimId(), "asleep");
  assert.equal(new World([machine(1, "fra", { state: "starting" }), sick], LIMITS, { autoStart: false }).claimId(), "asleep");
  assert.equal(new World([machine(1, "fra", { state: "suspending" })]).claimId(), "asleep");
  assert.equal(new World([stopped, sick], LIMITS, { autoStart: false }).claimId(), "m2", "panic");
  assert.equal(new World([stopped, sick], LIMITS, { autoStart: false }).claimId([sick]), "unhealthy");
  assert.equal(new World([machine(1, "ams"), sick], LIMITS, { autoStart: false }).claimId([machine(1, "ams")]), "unhealthy");
  assert.equal(new World([stopped], LIMITS, { autoStart: false }).claimId(), "none");
  assert.equal(new World([]).claimId(), "none");
});

test("a machine whose slot is closed goes to sleep: it gets nothing, and is waited for", () => {
  const [ams, other, fra] = [machine(0, "ams"), machine(1, "ams"), machine(2, "fra")];
  const near = new World([ams, other, fra]);
  near.load.close(0);
  for (let count = 0; count < 4; count++) assert.equal(near.claimId(), "m1");
  assert.equal(near.claimId(), "m2");
  const alone = new World([ams], LIMITS, { autoStart: false });
  alone.load.close(0);
  assert.equal(alone.claimId(), "asleep");
});

test("a place that appears while the refusal is worked out is not reported as no machine at all", () => {
  const one = machine(0, "ams");
  const world = new World([one], LIMITS, { autoStart: false }).fill(one, 4);
  const { load } = world;
  const taken = load.taken.bind(load);
  // Another worker gives a place back right behind the look that found none.
  load.taken = (slot) => {
    const seen = taken(slot);
    if (seen === 4) load.release(slot);
    return seen;
  };
  assert.equal(world.claimId(), "full");
});

test("a machine is busy once it is at its soft limit, the newest request included", () => {
  const one = machine(0, "ams");
  const world = new World([one]).fill(one, 1);
  assert.equal(world.balancer.isBusy(one, 2), false);
  assert.equal(world.balancer.isBusy(world.fill(one, 1) && one, 2), true);
});

test("two picks at random spread requests almost evenly, and never far", () => {
  const machines = Array.from({ length: 10 }, (_, slot) => machine(slot, "ams"));
  const { seed } = fuzzParameters(1);
  const world = new World(machines, { softLimit: 1_000_000, hardLimit: null }, { seed });
  for (let count = 0; count < 10_000; count++) world.claim();
  const loads = machines.map(({ slot }) => world.load.count(slot));
  // With two choices the longest queue exceeds the mean by about log log n; with one it would by more than a hundred.
  assert.ok(Math.max(...loads) - Math.min(...loads) <= 12, loads.join(" "));
});

test("of two machines the less loaded one always gets the request", () => {
  const [a, b] = [machine(0, "ams"), machine(1, "ams")];
  for (let seed = 0; seed < 50; seed++)
    assert.equal(new World([a, b], { softLimit: 10, hardLimit: 20 }, { seed }).fill(a, 3).fill(b, 2).claimId(), "m1");
});

test("whatever the fleet, the choice is one that the rules allow, and is counted", () => {
  const limits = fc.record({ softLimit: fc.integer({ min: 1, max: 6 }), hardLimit: fc.option(fc.integer({ min: 1, max: 8 })) });
  fc.assert(
    fc.property(fleet, limits, fc.boolean(), fc.integer(), (loaded, limit, autoStart, seed) => {
      const machines = loaded.map((one) => one.machine);
      const world = new World(machines, limit, { autoStart, seed });
      for (const { machine: one, inFlight, isClosed } of loaded) {
        world.fill(one, inFlight);
        if (isClosed) world.load.close(one.slot);
      }
      const tried = loaded.filter(({ wasTried }) => wasTried).map((one) => one.machine);
      const outcome = world.claim(tried.length === 0 ? null : tried);
      if (typeof outcome === "string") assert.equal(outcome, expectedRefusal(loaded, limit, autoStart));
      else assertAllowed(outcome, pardoned(loaded, autoStart), limit, world.load);
    }),
    fuzzParameters(3000),
  );
});

/** What routing takes of a fleet in panic: there is none but those that fail. */
function pardoned(loaded: readonly Loaded[], autoStart: boolean): readonly Loaded[] {
  const { isPanic } = rank(
    loaded.map((one) => one.machine),
    autoStart,
  );
  if (!isPanic) return loaded;
  return loaded.map((one) => ({ ...one, machine: { ...one.machine, health: "passing" } }));
}

const hasRoom = ({ inFlight, isClosed, wasTried, machine: one }: Loaded, { hardLimit }: Limits): boolean =>
  exclusion(one) === null && !isClosed && !wasTried && inFlight < (hardLimit ?? Infinity);

function assertAllowed(chosen: Candidate, loaded: readonly Loaded[], limits: Limits, load: LoadTable): void {
  const { inFlight, machine: candidate } = loaded[chosen.slot]!;
  assert.ok(hasRoom(loaded[chosen.slot]!, limits), "it may not have it");
  assert.equal(load.count(chosen.slot), inFlight + 1);
  const distanceOf = (region: string): number =>
    Math.min(...loaded.filter(({ machine: one }) => one.region === region && exclusion(one) === null).map(({ machine: one }) => one.rttMs));
  for (const other of loaded.filter((one) => hasRoom(one, limits))) {
    const { region, health } = other.machine;
    assert.ok(distanceOf(region) >= distanceOf(chosen.region), "a nearer region has room");
    if (region !== chosen.region) continue;
    assert.ok(candidate.health === "passing" || health === "unknown", "one whose checks pass has room");
    if (health !== candidate.health || inFlight < limits.softLimit) continue;
    assert.ok(other.inFlight >= inFlight, "one is above its soft limit though another is less loaded");
  }
}

function expectedRefusal(loaded: readonly Loaded[], limits: Limits, autoStart: boolean): Refusal {
  const pardonedFleet = pardoned(loaded, autoStart);
  assert.ok(!pardonedFleet.some((one) => hasRoom(one, limits)), "somebody has room");
  const usable = pardonedFleet.filter(({ machine: one, wasTried }) => exclusion(one) === null && !wasTried);
  if (usable.some(({ isClosed }) => !isClosed)) return "full";
  const { hasWakeable, hasStarting, unhealthy } = rank(
    loaded.map((one) => one.machine),
    autoStart,
  );
  if (usable.length > 0 || hasWakeable || hasStarting) return "asleep";
  return unhealthy > 0 ? "unhealthy" : "none";
}
