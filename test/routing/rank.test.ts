// Which machines come first, before anybody asks how busy they are.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import type { MachineState } from "../../src/core/machine.ts";
import { exclusion, rank, type Candidate } from "../../src/routing/rank.ts";
import { fleet, machine } from "./fleet.ts";
import { fuzzParameters } from "../http/seed.ts";

const ids = (machines: readonly Candidate[], autoStart = true): string[][] =>
  rank(machines, autoStart).groups.map((group) => group.map(({ id }) => id));

test("regions come nearest first, machines of a region together", () => {
  const machines = [machine(0, "nrt"), machine(1, "ams"), machine(2, "iad"), machine(3, "ams"), machine(4, "fra")];
  assert.deepEqual(ids(machines), [["m1", "m3"], ["m4"], ["m2"], ["m0"]]);
});

test("regions equally far come by name, so that the order is stable", () => {
  assert.deepEqual(ids([machine(0, "ord"), machine(1, "iad")]), [["m1"], ["m0"]]);
  assert.deepEqual(ids([machine(1, "iad"), machine(0, "ord")]), [["m1"], ["m0"]]);
});

test("(reference 3.1, ours) machines of one region are one group though their hosts are not equally far", () => {
  const machines = [machine(0, "ams", { rttMs: 1.2 }), machine(1, "fra", { rttMs: 1.1 }), machine(2, "ams", { rttMs: 1 })];
  assert.deepEqual(ids(machines), [["m0", "m2"], ["m1"]]);
});

test("within a region, machines whose checks pass come before those that have not answered", () => {
  const machines = [
    machine(0, "ams", { health: "unknown" }),
    machine(1, "ams"),
    machine(2, "fra"),
    machine(3, "ams", { health: "unknown" }),
  ];
  assert.deepEqual(ids(machines), [["m1"], ["m0", "m3"], ["m2"]]);
});

test("only started machines that may have traffic are in the list, and the reason is named", () => {
  const out: readonly (readonly [Partial<Candidate>, string])[] = [
    [{ cordoned: true }, "cordoned"],
    [{ state: "stopped" }, "stopped"],
    [{ state: "starting" }, "starting"],
    [{ health: "critical" }, "failing its health check"],
    [{ address: null }, "no address"],
  ];
  for (const [changes, reason] of out) {
    assert.equal(exclusion(machine(0, "ams", changes)), reason);
    assert.deepEqual(ids([machine(0, "ams", changes), machine(1, "fra")]), [["m1"]]);
  }
  assert.equal(exclusion(machine(0, "ams")), null);
  assert.equal(exclusion(machine(0, "ams", { health: "unknown" })), null);
});

test("(reference 6.2) a machine can be woken when it sleeps, or will in a moment, and the app lets requests wake it", () => {
  const wakeable: Readonly<Record<MachineState, boolean>> = {
    created: true,
    stopped: true,
    suspended: true,
    failed: true,
    stopping: true,
    suspending: true,
    starting: false,
    started: false,
  };
  for (const [state, expected] of Object.entries(wakeable) as [MachineState, boolean][]) {
    assert.equal(rank([machine(0, "ams", { state })], true).hasWakeable, expected, state);
    assert.equal(rank([machine(0, "ams", { state })], false).hasWakeable, false, `${state} without auto start`);
    assert.equal(rank([machine(0, "ams", { state, cordoned: true })], true).hasWakeable, false, `${state} but cordoned`);
    assert.equal(rank([machine(0, "ams", { state })], false).hasStarting, state === "starting", state);
  }
});

test("unhealthy are those that run but pass no check", () => {
  const health = "critical";
  const machines = [
    machine(0, "ams", { health }),
    machine(1, "ams", { health, state: "stopped" }),
    machine(2, "ams", { health, cordoned: true }),
    machine(3, "ams"),
  ];
  assert.equal(rank(machines, true).unhealthy, 1);
});

test("DESIGN Health: when every machine that runs fails its checks, those are the list, nearest first, unless another can be woken", () => {
  const health = "critical";
  const sick = [machine(0, "nrt", { health }), machine(1, "ams", { health }), machine(2, "fra", { health, cordoned: true })];
  const rows: readonly (readonly [
    what: string,
    others: Candidate[],
    autoStart: boolean,
    groups: string[][],
    withoutWake: string[][] | null,
  ])[] = [
    ["nothing else", [], true, [["m1"], ["m0"]], null],
    ["one that is well", [machine(3, "ord")], true, [["m3"]], null],
    ["one without an answer yet", [machine(3, "ord", { health: "unknown" })], true, [["m3"]], null],
    ["one that is well, but cordoned", [machine(3, "ord", { cordoned: true })], true, [["m1"], ["m0"]], null],
    ["one asleep", [machine(3, "ord", { state: "stopped" })], true, [], [["m1"], ["m0"]]],
    ["one asleep that no request wakes", [machine(3, "ord", { state: "stopped" })], false, [["m1"], ["m0"]], null],
    ["one on its way", [machine(3, "ord", { state: "starting" })], false, [], [["m1"], ["m0"]]],
  ];
  for (const [what, others, autoStart, groups, withoutWake] of rows) {
    const ranked = rank([...sick, ...others], autoStart);
    const named = (list: readonly (readonly Candidate[])[]) => list.map((group) => group.map(({ id }) => id));
    assert.deepEqual(named(ranked.groups), groups, what);
    assert.deepEqual(ranked.withoutWake && named(ranked.withoutWake.groups), withoutWake, what);
    assert.equal(ranked.isPanic, groups[0]?.[0] === "m1", what);
    if (ranked.withoutWake !== null) assert.ok(ranked.withoutWake.isPanic && !ranked.withoutWake.hasWakeable, what);
  }
  assert.deepEqual(ids([machine(0, "ams", { health, address: null })]), [], "one that cannot be reached");
});

test("every machine that may have traffic is in exactly one group, of its region and health, in order of distance", () => {
  fc.assert(
    fc.property(fleet, (loaded) => {
      const machines = loaded.map((one) => one.machine);
      const { groups, isPanic } = rank(machines, true);
      if (isPanic) return assert.ok(groups.flat().every(({ health }) => health === "critical"));
      const usable = machines.filter((one) => exclusion(one) === null);
      assert.deepEqual(
        groups
          .flat()
          .map(({ id }) => id)
          .toSorted(),
        usable.map(({ id }) => id).toSorted(),
      );
      assert.equal(new Set(groups.map(([first]) => `${first!.region} ${first!.health}`)).size, groups.length);
      for (const group of groups)
        assert.ok(group.every(({ region, health }) => region === group[0]!.region && health === group[0]!.health));
      const distances = groups.map(([first]) =>
        Math.min(...usable.filter(({ region }) => region === first!.region).map(({ rttMs }) => rttMs)),
      );
      assert.deepEqual(
        distances,
        distances.toSorted((a, b) => a - b),
      );
      assert.deepEqual(ids(machines.toReversed()), ids(machines), "the order of the input does not matter");
    }),
    fuzzParameters(1000),
  );
});
