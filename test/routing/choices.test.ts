// Which machine gets a request under each `region_policy` and `balance`, row by row; and what holds over several workers, whatever they do.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";
import { CLAIMED, LoadTable } from "../../src/catalog/load-table.ts";
import type { Balance, RegionPolicy } from "../../src/core/app.ts";
import type { MachineState } from "../../src/core/machine.ts";
import { Balancer, type Balanced } from "../../src/routing/balancer.ts";
import { rank, type Candidate } from "../../src/routing/rank.ts";
import { fuzzParameters } from "../http/seed.ts";
import { machine } from "./fleet.ts";

const SOFT = 2;
const HARD = 4;
const TABLE = LoadTable.create();

interface Rules {
  readonly regionPolicy?: RegionPolicy;
  readonly balance?: Balance;
  readonly region?: string;
  readonly autoStart?: boolean;
}

/** `ams 3` is a machine in ams with three in flight, `ams stopped` one that sleeps, `ams sick` one that fails its checks. */
function fleetOf(text: string): { machines: Candidate[]; inFlight: number[] } {
  const words = text === "" ? [] : text.split(", ").map((one) => one.split(" ") as [string, string]);
  const machines = words.map(([region, what], slot) => {
    if (/^\d+$/.test(what)) return machine(slot, region);
    if (what === "sick") return machine(slot, region, { health: "critical" });
    if (what === "new") return machine(slot, region, { health: "unknown" });
    return machine(slot, region, what === "cordoned" ? { cordoned: true } : { state: what as MachineState });
  });
  return { machines, inFlight: words.map(([, what]) => (/^\d+$/.test(what) ? Number(what) : 0)) };
}

/** What becomes of a request: `ams#0`, the region and the place of the machine, or why there is none. The same whatever chance says. */
function outcome(text: string, { regionPolicy = "any", balance = "closest", region = "ams", autoStart = true }: Rules = {}): string {
  const { machines, inFlight } = fleetOf(text);
  const outcomes = new Set<string>();
  for (const chance of [0, 0.3, 0.5, 0.7, 0.999]) {
    const load = new LoadTable(TABLE.buffer, 1);
    for (const [slot, count] of inFlight.entries()) {
      load.reset(slot);
      for (let n = 0; n < count; n++) load.claim(slot, Infinity);
    }
    const balancer = new Balancer({ load, random: () => chance, now: () => 0 });
    const ranked = rank(machines, autoStart, { region, regionPolicy, balance });
    const claimed = balancer.claim({ ranked, softLimit: SOFT, hardLimit: HARD }, null);
    outcomes.add(typeof claimed === "string" ? claimed : `${claimed.region}#${claimed.slot}`);
  }
  return [...outcomes].join(" or ");
}

function table(title: string, rows: readonly (readonly [what: string, fleet: string, expected: string, rules?: Rules])[]): void {
  describe(title, () => {
    for (const [what, fleet, expected, rules] of rows) test(what, () => assert.equal(outcome(fleet, rules), expected));
  });
}

table("reference 3.1, candidate selection", [
  ["1: a cordoned machine is no candidate", "ams cordoned, fra 0", "fra#1"],
  ["2: nor one that fails its checks", "ams sick, fra 0", "fra#1"],
  ["2: one that has not answered yet comes after those that pass", "ams new, ams 1", "ams#1"],
  ["3: nor one at its hard limit", "ams 4, ams 3", "ams#1"],
  ["3: nor one above it, after the limit was lowered", "ams 9, ams 3", "ams#1"],
  ["4: below the soft limit goes before between soft and hard", "ams 3, ams 2, ams 1, ams 3", "ams#2"],
  ["4: between soft and hard only when all others are as well", "ams 3, ams 2", "ams#1"],
  ["5: the closest of those below", "nrt 0, fra 0, ams 1", "ams#2"],
  ["5: those of one region are alike, and the less loaded one is taken (ours; Fly: the closest)", "ams 1, ams 0", "ams#1"],
  ["5: ties are drawn", "ams 0, ams 0", "ams#0 or ams#1"],
  ["6: the region is left when all of it is at the hard limit", "ams 4, ams 4, fra 0", "fra#2"],
  ["6: and when all of it is unhealthy", "ams sick, ams sick, fra 1", "fra#2"],
  ["6: soft limits never push traffic to another region", "ams 3, ams 4, fra 0", "ams#0"],
]);

table("reference 3.2, when all candidates are busy", [
  ["all between soft and hard: sent on, to the one with least to do", "ams 3, ams 2", "ams#1"],
  ["all at hard: it waits for a place", "ams 4, fra 4", "full"],
  ["all at hard, and another asleep: it waits as well, the other is woken", "ams 4, fra stopped", "full"],
]);

table("region_policy = local-preferred", [
  ["stays at home above the soft limit", "ams 3, fra 0", "ams#0", { regionPolicy: "local-preferred" }],
  ["stays at home though another region is nearer", "nrt 0, ams 0", "nrt#0", { regionPolicy: "local-preferred", region: "nrt" }],
  ["leaves a home that is full", "ams 4, fra 0", "fra#1", { regionPolicy: "local-preferred" }],
  ["leaves a home that is unhealthy", "ams sick, fra 0", "fra#1", { regionPolicy: "local-preferred" }],
  ["leaves a home with no machine at all", "fra 0, nrt 0", "fra#0", { regionPolicy: "local-preferred" }],
  ["leaves a home whose machine failed to start", "ams failed, fra 0", "fra#1", { regionPolicy: "local-preferred" }],
  ["leaves a home whose machine may not be woken", "ams stopped, fra 0", "fra#1", { regionPolicy: "local-preferred", autoStart: false }],
  ["leaves a home whose machine is cordoned", "ams cordoned, fra 0", "fra#1", { regionPolicy: "local-preferred" }],
  ["waits for one at home that can be woken", "ams stopped, fra 0", "asleep", { regionPolicy: "local-preferred" }],
  ["waits for one at home that is falling asleep", "ams suspending, fra 0", "asleep", { regionPolicy: "local-preferred" }],
  ["waits for one at home that starts already", "ams starting, fra 0", "asleep", { regionPolicy: "local-preferred", autoStart: false }],
  ["waits at a full home for a place or a wake", "ams 4, ams stopped, fra 0", "full", { regionPolicy: "local-preferred" }],
  ["a sleeper elsewhere is no reason to wait", "ams 4, fra stopped, nrt 0", "nrt#2", { regionPolicy: "local-preferred" }],
  ["away, below the soft limit goes before nearer", "ams 4, fra 2, iad 1", "iad#2", { regionPolicy: "local-preferred" }],
  ["away, all above it, nearer goes first", "ams 4, fra 3, iad 2", "fra#1", { regionPolicy: "local-preferred" }],
  ["away is full, too", "ams 4, fra 4", "full", { regionPolicy: "local-preferred" }],
  ["with any, the same sleeper at home is passed over", "ams stopped, fra 0", "fra#1"],
]);

table("region_policy = local-only", [
  ["stays at home", "fra 0, ams 3", "ams#1", { regionPolicy: "local-only" }],
  ["waits at a full home", "ams 4, fra 0", "full", { regionPolicy: "local-only" }],
  ["waits for one at home that sleeps", "ams stopped, fra 0", "asleep", { regionPolicy: "local-only" }],
  ["does not wait for one elsewhere", "fra stopped, nrt starting", "none", { regionPolicy: "local-only" }],
  ["refuses where home has no machine", "fra 0", "none", { regionPolicy: "local-only" }],
  ["tries one at home that fails its checks rather than a good one elsewhere", "ams sick, fra 0", "ams#0", { regionPolicy: "local-only" }],
]);

table("balance = spread", [
  ["the less loaded one, however far", "ams 1, nrt 0", "nrt#1", { balance: "spread" }],
  ["one below its soft limit, however far", "ams 2, ams 3, fra 2, nrt 1", "nrt#3", { balance: "spread" }],
  ["only at home with local-only", "ams 1, nrt 0", "ams#0", { balance: "spread", regionPolicy: "local-only" }],
  ["at home first with local-preferred", "ams 3, fra 1, nrt 0", "ams#0", { balance: "spread", regionPolicy: "local-preferred" }],
  ["then over all others alike", "ams 4, fra 1, nrt 0", "nrt#2", { balance: "spread", regionPolicy: "local-preferred" }],
]);

table("balance = pack", [
  ["the first below its soft limit", "ams 0, ams 1, ams 0", "ams#0", { balance: "pack" }],
  ["the next when that is at it", "ams 2, ams 1, ams 0", "ams#1", { balance: "pack" }],
  ["the first again when it has a place", "ams 1, ams 2, ams 2", "ams#0", { balance: "pack" }],
  ["the one with least to do when all are above", "ams 3, ams 2, ams 3", "ams#1", { balance: "pack" }],
  ["in the nearest region first", "fra 1, ams 0", "ams#1", { balance: "pack" }],
]);

test("packed machines carry the load of few, and the last ones none", () => {
  for (const size of [40, 1000]) {
    const { service, balancers, load } = workers(size, { balance: "pack", softLimit: 10, hardLimit: 20 }, 1);
    const claims = Array.from({ length: 100 }, () => balancers[0]!.claim(service, null) as Candidate);
    const used = service.ranked.groups[0]!.filter(({ slot }) => load.count(slot) > 0);
    assert.equal(used.length, 10, "ten machines with ten each");
    // Places that become free in front are used before new machines.
    for (const one of claims.slice(0, 15)) balancers[0]!.release(one);
    for (let n = 0; n < 15; n++) assert.ok(used.includes(balancers[0]!.claim(service, null) as Candidate), `of ${size}`);
  }
});

test("of two machines the one that answers ten times as quickly gets ten times as much", () => {
  const { service, balancers } = workers(2, { softLimit: 1000, hardLimit: null }, 1);
  const [quick, slow] = service.ranked.groups[0]!;
  for (let n = 0; n < 20; n++)
    for (const [one, ms] of [
      [quick!, 5],
      [slow!, 50],
    ] as const)
      balancers[0]!.observe(one, ms);
  const counts = new Map<Candidate, number>();
  for (let n = 0; n < 110; n++) {
    const one = balancers[0]!.claim(service, null) as Candidate;
    counts.set(one, (counts.get(one) ?? 0) + 1);
  }
  assert.deepEqual([counts.get(quick!), counts.get(slow!)], [100, 10]);
});

test("a machine that just woke gets a tenth of its share at first, all of it later, and everything when the other is busy", () => {
  let nowMs = 0;
  const { service, balancers, load } = workers(2, { softLimit: 5, hardLimit: 10 }, 1, () => nowMs);
  const [warm, cold] = service.ranked.groups[0]!;
  balancers[0]!.learn([{ ...cold!, state: "suspended" }]);
  balancers[0]!.learn([warm!, cold!]);
  const shareOfCold = (): number => {
    let claims = 0;
    for (let n = 0; n < 4000; n++) {
      const one = balancers[0]!.claim(service, null) as Candidate;
      if (one === cold) claims++;
      balancers[0]!.release(one);
    }
    return claims / 4000;
  };
  const near = (share: number, expected: number): void => assert.ok(Math.abs(share - expected) < 0.03, `${share}, not ${expected}`);
  near(shareOfCold(), 0.05);
  nowMs = 5000;
  near(shareOfCold(), 0.25);
  for (let n = 0; n < 5; n++) load.claim(warm!.slot, 10);
  assert.equal(shareOfCold(), 1);
  for (let n = 0; n < 5; n++) load.release(warm!.slot);
  nowMs = 10_000;
  near(shareOfCold(), 0.5);
});

describe("among a thousand machines, of which few are looked at", () => {
  test("one below its soft limit is found at first, and no place is missed however few there are", () => {
    const { service, balancers, load } = workers(1000, { softLimit: 2, hardLimit: 4 }, 1);
    const [group] = service.ranked.groups;
    for (const { slot } of group!) for (let n = 0; n < 2; n++) load.claim(slot, 4);
    load.release(group![777]!.slot);
    assert.equal(balancers[0]!.claim(service, null), group![777]);
    for (const { slot } of group!) while (load.claim(slot, 4) === 0);
    assert.equal(balancers[0]!.claim(service, null), "full");
    for (const index of [3, 999, 500]) {
      load.release(group![index]!.slot);
      assert.equal(balancers[0]!.claim(service, null), group![index], "given back by another worker");
      balancers[0]!.release(group![index]!);
      assert.equal(balancers[0]!.claim(service, null), group![index], "given back by this one");
      assert.equal(balancers[0]!.claim(service, null), "full");
    }
  });

  test("a nearer region that was full is found to have room again, some requests later", () => {
    const near = Array.from({ length: 500 }, (_, slot) => machine(slot, "ams"));
    const { service, balancers, load } = workers([...near, machine(500, "fra")], { softLimit: 1, hardLimit: 2 }, 1);
    for (const { slot } of near) for (let n = 0; n < 2; n++) load.claim(slot, 2);
    const [balancer] = balancers;
    const away = balancer!.claim(service, null) as Candidate;
    assert.equal(away.region, "fra");
    balancer!.release(away);
    load.release(near[250]!.slot);
    let requests = 1;
    for (;;) {
      const one = balancer!.claim(service, null) as Candidate;
      if (one === near[250]) break;
      balancer!.release(one);
      assert.ok(requests++ < 18, "500 machines, 32 at a time");
    }
  });
});

test("over several workers no hard limit is ever exceeded, nobody is refused while there is room, and every place is given back", () => {
  const step = fc.record({ worker: fc.nat(2), isClaim: fc.boolean(), isOvertaken: fc.boolean(), pick: fc.nat() });
  const property = fc.property(
    fc.integer({ min: 1, max: 130 }),
    fc.constantFrom<Balance>("closest", "spread", "pack"),
    fc.constantFrom<RegionPolicy>("any", "local-preferred", "local-only"),
    fc.integer({ min: 1, max: 4 }),
    fc.integer({ min: 1, max: 3 }),
    fc.array(step, { minLength: 50, maxLength: 400 }),
    (size, balance, regionPolicy, softLimit, hardLimit, steps) => {
      const regions = ["ams", "fra"];
      const machines = Array.from({ length: size }, (_, slot) => machine(slot, regions[slot % 2]!));
      const overtaken: Candidate[] = [];
      let overtakes = 0;
      // Another worker comes between looking and claiming, and takes the place.
      const onClaim = (slot: number): void => {
        if (overtakes-- > 0 && load.claim(slot, hardLimit) === CLAIMED) overtaken.push(machines[slot]!);
      };
      const { service, balancers, load } = workers(machines, { balance, regionPolicy, softLimit, hardLimit }, 3, () => 0, onClaim);
      const allowed = service.ranked.groups.flat();
      const held: Candidate[][] = [[], [], []];
      // Most of the places are taken from the beginning, so that the limits are met.
      const taken = allowed.flatMap((one, index) => Array.from({ length: index % 7 === 3 ? hardLimit - 1 : hardLimit }, () => one));
      for (const one of taken) load.claim(one.slot, hardLimit);
      for (const { worker, isClaim, isOvertaken, pick } of steps) {
        const own = held[worker]!;
        if (isClaim) {
          overtakes = isOvertaken ? 1 + (pick % 2) : 0;
          const claimed = balancers[worker]!.claim(service, null);
          const hasRoom = allowed.some(({ slot }) => load.count(slot) < hardLimit);
          assert.ok(typeof claimed === "object" || !hasRoom, "nobody is refused while there is room");
          if (typeof claimed === "object") own.push(claimed);
        } else if (own.length > 0) balancers[worker]!.release(own.splice(pick % own.length, 1)[0]!);
        for (const { slot } of allowed) assert.ok(load.count(slot) <= hardLimit, `slot ${slot}`);
      }
      for (const [worker, own] of held.entries()) for (const one of own) balancers[worker]!.release(one);
      for (const one of [...taken, ...overtaken]) load.release(one.slot);
      for (const { slot } of allowed) assert.equal(load.count(slot), 0);
    },
  );
  fc.assert(property, fuzzParameters(150));
});

interface WorkersOptions {
  readonly balance?: Balance;
  readonly regionPolicy?: RegionPolicy;
  readonly softLimit: number;
  readonly hardLimit: number | null;
}

/** Workers with views of their own on one service and one load table; the first places of the load table are theirs. */
function workers(
  fleet: number | readonly Candidate[],
  { balance = "closest", regionPolicy = "any", ...limits }: WorkersOptions,
  count: number,
  now = () => 0,
  onClaim: ((slot: number) => void) | null = null,
): { service: Balanced<Candidate>; balancers: Balancer[]; load: LoadTable } {
  const machines = typeof fleet === "number" ? Array.from({ length: fleet }, (_, slot) => machine(slot, "ams")) : fleet;
  for (const { slot } of machines) TABLE.reset(slot);
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 0) / 2 ** 32;
  };
  const balancers = Array.from({ length: count }, (_, worker) => {
    const load = new LoadTable(TABLE.buffer, worker + 1);
    if (onClaim !== null) {
      const claim = load.claim.bind(load);
      load.claim = (slot, limit) => {
        onClaim(slot);
        return claim(slot, limit);
      };
    }
    return new Balancer({ load, random, now });
  });
  return { service: { ranked: rank(machines, true, { region: "ams", regionPolicy, balance }), ...limits }, balancers, load: TABLE };
}
