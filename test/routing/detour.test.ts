// Far and awake against near and asleep; the row of reference section 6.2 that its sources leave open, as docs/decisions/010 has it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { MachineState } from "../../src/core/machine.ts";
import { detourOf, type Detour, type DetourRules, type Sleeper } from "../../src/routing/detour.ts";
import { rank } from "../../src/routing/rank.ts";

const RTT_MS: Readonly<Record<string, number>> = { ams: 1, fra: 8, nrt: 220 };

/** `ams stopped 2000`: in ams, and expected to take two seconds. */
function machine(description: string, slot: number): Sleeper {
  const [region = "", state, wakeMs = "0", ...flags] = description.split(" ");
  const health = flags.includes("critical") ? "critical" : "passing";
  const address = { host: "127.0.0.1", port: 1 };
  const fixed = { address, rttMs: RTT_MS[region]!, wakeMs: Number(wakeMs), health, cordoned: flags.includes("cordoned") } as const;
  return { id: `${region}-${slot}`, region, slot, state: state as MachineState, ...fixed };
}

function detour(descriptions: readonly string[], changes: Partial<DetourRules> & { readonly autoStart?: boolean } = {}): Detour {
  const machines = descriptions.map(machine);
  const { autoStart = true, ...given } = changes;
  const rules: DetourRules = { region: "ams", regionPolicy: "any", balance: "closest", warmDetour: true, ...given };
  return detourOf(rank(machines, autoStart, rules), machines, autoStart, rules);
}

describe("while the nearest machine sleeps (reference section 6.2)", () => {
  for (const [title, machines, expected] of [
    ["one awake further off serves, if that is quicker than a wake", ["ams stopped 2000", "nrt started"], "detour"],
    ["the wake is waited for, if that is quicker", ["ams suspended 20", "nrt started"], "wait"],
    ["a wake's own round trip counts", ["fra suspended 215", "nrt started"], "detour"],
    ["one on its way counts as one asleep", ["ams starting 2000", "nrt started"], "detour"],
    ["one that is falling asleep counts as well", ["ams suspending 300", "nrt started"], "detour"],
    ["what sleeps further off than what is awake is left alone", ["fra stopped 2000", "ams started"], "none"],
    ["what sleeps beside what is awake is left alone", ["ams stopped 2000", "ams started"], "none"],
    ["nothing is awake: there is no way to go", ["ams stopped 2000", "nrt stopped 2000"], "none"],
    ["a cordoned machine is not woken", ["ams stopped 2000 cordoned", "nrt started"], "none"],
    [
      "a nearer one awake that fails its checks leaves it to the one beside it",
      ["ams started 0 critical", "ams stopped 900", "nrt started"],
      "detour",
    ],
  ] as const satisfies readonly [string, readonly string[], Detour][]) {
    test(title, () => assert.equal(detour(machines), expected));
  }

  test("without warm_detour requests wait, however long", () => {
    assert.equal(detour(["ams stopped 9000", "nrt started"], { warmDetour: false }), "wait");
  });

  test("apps that spread their requests, or have them at home first, go by that alone", () => {
    const machines = ["ams stopped 2000", "nrt started"];
    assert.equal(detour(machines, { balance: "spread" }), "none");
    assert.equal(detour(machines, { regionPolicy: "local-preferred" }), "none");
    assert.equal(detour(machines, { regionPolicy: "local-only" }), "none");
  });

  test("without auto_start_machines nothing is woken", () => {
    assert.equal(detour(["ams stopped 2000", "nrt started"], { autoStart: false }), "none");
  });
});
