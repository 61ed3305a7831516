// The formula of reference section 6.1, row by row.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { chooseSleeper, excess, observe, type SleepGroup, type Watched } from "../../src/wake/sleep-plan.ts";

const IDLE_MS = 1000;
const NOW = 10_000;
const LONG_AGO = 0;
const JUST_NOW = NOW - 1;

interface Given {
  readonly id?: string;
  readonly inFlight?: number;
  /** Default: it has been calm for long, and idle if it has nothing in flight. */
  readonly idleSinceMs?: number;
  readonly calmSinceMs?: number;
}

function machine(index: number, { id = `m${index}`, inFlight = 0, idleSinceMs, calmSinceMs = LONG_AGO }: Given): Watched {
  return { id, run: 1, inFlight, activity: 0, idleSinceMs: idleSinceMs ?? (inFlight > 0 ? NOW : LONG_AGO), calmSinceMs };
}

function choose(given: readonly Given[], group: Partial<SleepGroup> = {}): string | null {
  const running = given.map((one, index) => machine(index + 1, one));
  const rest = { keep: 0, softLimit: 10, idleTimeoutMs: IDLE_MS, settledSinceMs: LONG_AGO, isBusy: () => false };
  const chosen = chooseSleeper({ running, ...rest, ...group }, NOW);
  return chosen === null ? null : `${chosen.id}${chosen.isIdle ? "" : " with load"}`;
}

describe("who goes to sleep (reference section 6.1)", () => {
  for (const [title, given, group, expected] of [
    ["nobody of none", [], {}, null],
    ["6.1 exactly one running: only when its load is 0", [{}], {}, "m1"],
    ["6.1 exactly one running: not with load, however little", [{ inFlight: 1 }], {}, null],
    ["6.1 exactly one running: not when its load is 0 for less than idle_timeout", [{ idleSinceMs: NOW - IDLE_MS + 1 }], {}, null],
    ["6.1 exactly one running: when its load is 0 for idle_timeout", [{ idleSinceMs: NOW - IDLE_MS }], {}, "m1"],
    ["6.1 two, none over soft: excess 1, one goes", [{ inFlight: 1 }, { inFlight: 1 }], {}, "m1 with load"],
    ["6.1 two, one over soft: excess 0, both stay, though one is idle", [{ inFlight: 12, calmSinceMs: NOW }, {}], {}, null],
    ["6.1 three, one over soft: excess 1, the idle one goes", [{ inFlight: 12, calmSinceMs: NOW }, { inFlight: 3 }, {}], {}, "m3"],
    ["6.1 three, two over soft: excess 0", [{ calmSinceMs: NOW }, { calmSinceMs: JUST_NOW }, {}], {}, null],
    ["6.1 over soft at any time within idle_timeout counts", [{ calmSinceMs: NOW - IDLE_MS + 1 }, {}], {}, null],
    ["6.1 over soft an idle_timeout ago counts no more", [{ inFlight: 1, calmSinceMs: NOW - IDLE_MS }, {}], {}, "m2"],
    ["6.1 at most one a pass, the one that was idle longest", [{ idleSinceMs: 5 }, { idleSinceMs: 3 }, { idleSinceMs: 4 }], {}, "m2"],
    ["6.1 of several with load the one with least", [{ inFlight: 3 }, { inFlight: 2 }, { inFlight: 4 }], {}, "m2 with load"],
    ["6.1 min_machines_running: as many stay", [{}, {}], { keep: 2 }, null],
    ["6.1 min_machines_running: one more than that goes", [{}, {}, {}], { keep: 2 }, "m1"],
    [
      "ours: with load only when the same have run for idle_timeout",
      [{ inFlight: 1 }, { inFlight: 1 }],
      { settledSinceMs: JUST_NOW },
      null,
    ],
    ["ours: an idle one goes at once, however short the others run", [{}, { inFlight: 1 }], { settledSinceMs: JUST_NOW }, "m1"],
    ["ours: not with load that would take the rest over soft", [{ inFlight: 5 }, { inFlight: 5 }], {}, null],
    ["ours: who says that it is busy is left alone", [{}], { isBusy: () => true }, null],
    ["ours: and another one goes in its place", [{}, {}], { isBusy: (id: string) => id === "m1" }, "m2"],
  ] as const satisfies readonly [string, readonly Given[], Partial<SleepGroup>, string | null][]) {
    it(title, () => assert.equal(choose(given, group), expected));
  }

  it("6.1 excess = N - (over_soft + 1)", () => {
    const table: number[][] = [0, 1, 2, 3].map((overSoft) => [1, 2, 3].map((running) => excess(running, overSoft)));
    assert.deepEqual(table, [
      [0, 1, 2],
      [-1, 0, 1],
      [-2, -1, 0],
      [-3, -2, -1],
    ]);
  });
});

describe("what a look at a machine tells", () => {
  const look = { id: "m1", run: 1, inFlight: 0, activity: 7 };
  const first = observe(undefined, look, 10, 1000);

  it("one that is new has become idle and calm only now", () => {
    assert.deepEqual([first.idleSinceMs, first.calmSinceMs], [1000, 1000]);
    assert.deepEqual(observe(first, { ...look, run: 2 }, 10, 2000).idleSinceMs, 2000);
  });

  it("one that nothing has come to stays both", () => {
    const again = observe(first, look, 10, 2000);
    assert.deepEqual([again.idleSinceMs, again.calmSinceMs], [1000, 1000]);
  });

  it("load ends idleness, also what came and went between two looks", () => {
    assert.equal(observe(first, { ...look, inFlight: 1, activity: 8 }, 10, 2000).idleSinceMs, 2000);
    assert.equal(observe(first, { ...look, activity: 8 }, 10, 2000).idleSinceMs, 2000);
  });

  it("only the soft limit ends calm", () => {
    assert.equal(observe(first, { ...look, inFlight: 9, activity: 16 }, 10, 2000).calmSinceMs, 1000);
    assert.equal(observe(first, { ...look, inFlight: 10, activity: 17 }, 10, 2000).calmSinceMs, 2000);
  });
});
