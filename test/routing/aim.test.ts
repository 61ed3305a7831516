// Which machine a request with an aim gets, and what becomes of it when there is none. Reference sections 4.1 and 4.7.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LoadTable } from "../../src/catalog/load-table.ts";
import type { Aim } from "../../src/core/aim.ts";
import { REGION_ALIASES, REGIONS } from "../../src/core/region-table.ts";
import { AimedClaims, aimAnywhere, aimAtMachine, aimAtRegions } from "../../src/routing/aim.ts";
import { Balancer } from "../../src/routing/balancer.ts";
import { rank, type Candidate } from "../../src/routing/rank.ts";

const RTT_MS: Readonly<Record<string, number>> = { ams: 0, fra: 6, iad: 80, ord: 95, nrt: 230 };

function machine(id: string, slot: number, more: Partial<Candidate> = {}): Candidate {
  const [region] = id.split("-") as [string];
  const address = { host: "127.0.0.1", port: 1 };
  return { id, region, address, slot, rttMs: RTT_MS[region]!, state: "started", health: "passing", cordoned: false, ...more };
}

const MACHINES = [
  machine("ams-1", 1),
  machine("ams-full", 2),
  machine("fra-stopped", 3, { state: "stopped", address: null }),
  machine("iad-sick", 4, { health: "critical" }),
  machine("ord-1", 5),
  machine("nrt-full", 6),
];

const load = LoadTable.create();
for (const full of [2, 6]) load.claim(full, 1);
const claims = new AimedClaims<Candidate, ReturnType<typeof serviceOf>>(
  new Balancer({ load, random: () => 0, now: () => 0 }),
  (_, machines) => serviceOf(machines),
);

function serviceOf(machines: readonly Candidate[]) {
  return { machines, ranked: rank(machines, true), softLimit: 1, hardLimit: 1 };
}

const service = serviceOf(MACHINES);
const list = (text: string, orElse: Aim | null = null): Aim => aimAtRegions(text.split(","), null, orElse)!;

for (const [title, aim, outcome, at] of [
  ["a region", list("ord"), "ord-1", "ord"],
  ["the first region that can", list("syd,ord,ams"), "ord-1", "ord"],
  ["a full one is passed over", list("nrt,ord"), "ord-1", "ord"],
  ["one that fails its checks is passed over", list("iad,ord"), "ord-1", "ord"],
  ["a stopped one is woken, not passed over", list("fra,ord"), "asleep", "fra"],
  ["a full one before a stopped one", list("nrt,fra"), "asleep", "fra"],
  ["only full ones: wait for a place", list("syd,nrt"), "full", "syd"],
  ["full beats unhealthy", list("iad,nrt,syd"), "full", "iad"],
  ["only unhealthy ones, and nothing else is wanted: the best of them", list("syd,iad"), "iad-sick", "iad"],
  ["only unhealthy ones and none", list("iad,syd"), "unhealthy", "iad"],
  ["a machine that fails its checks, forced", aimAtMachine("iad-sick", null, null), "iad-sick", null],
  ["a machine that fails its checks, preferred", aimAtMachine("iad-sick", null, list("ord")), "ord-1", "ord"],
  ["no machine there", list("syd"), "none", "syd"],
  ["no such region", list("xyz"), "none", "xyz"],
  ["an alias is one choice, nearest first", list("na"), "ord-1", "iad"],
  ["any", list("syd,any"), "ams-1", null],
  ["anywhere but one machine", aimAnywhere("ams-1"), "ord-1", null],
  ["a region but one machine in it", aimAtRegions(["ams", "ord"], "ams-1", null)!, "ord-1", "ord"],
  ["a machine", aimAtMachine("ord-1", null, null), "ord-1", null],
  ["a machine that is full", aimAtMachine("nrt-full", null, null), "full", null],
  ["a machine that is full, or else", aimAtMachine("nrt-full", null, aimAnywhere()), "ams-1", null],
  ["a machine that is stopped", aimAtMachine("fra-stopped", null, aimAnywhere()), "asleep", null],
  ["a machine that there is not", aimAtMachine("ams-9", null, null), "none", null],
] as const) {
  test(`4.1, 4.7 ${title}`, () => {
    const { outcome: got, aim: part } = claims.claim(service, null, aim);
    if (typeof got !== "string") load.release(got.slot);
    assert.equal(typeof got === "string" ? got : got.id, outcome);
    const { regions } = part.target;
    if (at === null) assert.equal(regions, null);
    else assert.ok(regions!.includes(at), String(regions));
  });
}

test("4.7 a machine that failed the request is not claimed again", () => {
  const { outcome } = claims.claim(service, [MACHINES[4]!], list("ord,ams"));
  assert.equal((outcome as Candidate).id, "ams-1");
  load.release(1);
  assert.equal(claims.claim(service, [MACHINES[4]!], aimAtMachine("ord-1", null, null)).outcome, "none");
});

test("however many targets are asked for, few are remembered, and none is mistaken for another", () => {
  for (let i = 0; i < 2000; i++) assert.equal(claims.claim(service, null, aimAtMachine(`m${i}`, null, null)).outcome, "none");
  assert.equal((claims.claim(service, null, aimAtMachine("ord-1", null, null)).outcome as Candidate).id, "ord-1");
  load.release(5);
  assert.equal(
    aimAtRegions(
      Array.from({ length: 1000 }, () => "syd"),
      null,
      null,
    )!.target.regions!.length,
    1,
  );
});

test("3.1, 7 what is asked for restricts the set before anything else: better ones beyond it do not count, nor do machines that may not be woken", () => {
  const asked = claims.claim(service, null, list("ord"));
  assert.equal((asked.outcome as Candidate).id, "ord-1", "ams-1 is nearer, and has room");
  load.release((asked.outcome as Candidate).slot);
  const stopped = MACHINES.filter(({ state }) => state === "stopped");
  const manual = { ...service, machines: stopped as readonly Candidate[], ranked: rank(stopped, false) };
  const balancer = new Balancer({ load, random: () => 0, now: () => 0 });
  const withoutStart = new AimedClaims<Candidate, typeof manual>(balancer, (_, machines) => ({
    ...manual,
    machines,
    ranked: rank(machines, false),
  }));
  assert.equal(withoutStart.claim(manual, null, aimAtMachine("fra-stopped", null, null)).outcome, "none");
});

test("4.1 aliases name regions that there are, and each continent has its own", () => {
  const known = new Set(REGIONS.map(({ code }) => code));
  for (const [alias, codes] of REGION_ALIASES) {
    assert.ok(codes.length > 5, alias);
    assert.deepEqual(
      codes.filter((code) => !known.has(code)),
      [],
    );
  }
  const has = (alias: string, ...codes: string[]): void => {
    for (const code of codes) assert.ok(REGION_ALIASES.get(alias)!.includes(code), `${alias} ${code}`);
  };
  has("apac", "nrt", "syd", "sin", "bom");
  has("eu", "ams", "lhr", "otp");
  has("na", "iad", "yyz", "gdl");
  has("sa", "gru", "scl");
  has("us", "iad", "sjc");
  has("usa", "iad", "sjc");
  assert.ok(!REGION_ALIASES.get("us")!.includes("yyz"));
});
