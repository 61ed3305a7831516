import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { MachineRecord, MachineState } from "../../src/core/machine.ts";
import { wakeOrder, type WakeReason, type WakeView } from "../../src/wake/wake-order.ts";
import { sampleApp, sampleService } from "./sample-app.ts";

const NOW_MS = 1_000_000;
const RTT_MS: Readonly<Record<string, number>> = { ams: 1, fra: 8, nrt: 220 };
const SERVICE = sampleService({ concurrency: { type: "requests", softLimit: 2, hardLimit: null } });

function view(changes: Partial<WakeView> = {}): WakeView {
  return {
    nowMs: NOW_MS,
    region: "ams",
    rttMs: (region) => RTT_MS[region] ?? 999,
    startableInMs: () => 0,
    inFlight: () => 0,
    wakeMs: () => 0,
    ...changes,
  };
}

/** `ams stopped` is a stopped machine in ams; its id is just that. */
function machines(...descriptions: string[]): MachineRecord[] {
  return descriptions.map((id) => {
    const [region = "", state] = id.split(" ");
    const fixed = {
      app: "hello",
      group: "app",
      node: "ams-1",
      checks: [],
      addresses: {},
      pid: null,
      handle: null,
      configHash: "",
      reason: "",
    };
    const health = "passing" as const;
    return {
      ...fixed,
      id,
      name: region,
      region,
      state: state as MachineRecord["state"],
      health,
      cordoned: false,
      changedAtMs: NOW_MS - 1000,
    };
  });
}

function order(records: readonly MachineRecord[], reason: WakeReason = "asleep", changes: Partial<WakeView> = {}): string[] {
  return wakeOrder(sampleApp(), SERVICE, records, reason, view(changes)).map((machine) => machine.id);
}

describe("who is woken (reference 6.2: the nearest region that has one)", () => {
  it("the nearest comes first", () => {
    assert.deepEqual(order(machines("nrt stopped", "ams created", "fra suspended")), ["ams created", "fra suspended", "nrt stopped"]);
  });

  it("at the same distance, what is ready soonest", () => {
    const records = machines("ams stopping", "ams failed", "ams stopped", "ams suspended", "ams starting", "ams started");
    assert.deepEqual(order(records), ["ams started", "ams starting", "ams suspended", "ams stopped", "ams failed", "ams stopping"]);
  });

  it("what has just crashed comes last, wherever it is", () => {
    const startableInMs = (machine: MachineRecord): number => (machine.region === "ams" ? 500 : 0);
    assert.deepEqual(order(machines("ams stopped", "nrt stopped"), "asleep", { startableInMs }), ["nrt stopped", "ams stopped"]);
  });

  it("what has been starting for longer than a request waits comes last", () => {
    const records = machines("ams starting", "nrt stopped").map((machine) => ({ ...machine, changedAtMs: NOW_MS - 60_000 }));
    assert.deepEqual(order(records), ["nrt stopped", "ams starting"]);
  });

  it("cordoned machines and other process groups are left out", () => {
    const [cordoned, other, good] = machines("ams stopped", "fra stopped", "nrt stopped");
    assert.ok(cordoned && other && good);
    assert.deepEqual(order([{ ...cordoned, cordoned: true }, { ...other, group: "worker" }, good]), ["nrt stopped"]);
  });

  it("a running machine that fails its checks does not keep another from being woken", () => {
    const [critical, asleep] = machines("ams started", "nrt stopped");
    assert.ok(critical && asleep);
    assert.deepEqual(order([{ ...critical, health: "critical" }, asleep]), ["nrt stopped"]);
  });

  it("nor does it where the others are busy", () => {
    const [critical, busy, asleep] = machines("fra started", "ams started", "nrt stopped");
    assert.ok(critical && busy && asleep);
    const inFlight = (id: string): number => (id === busy.id ? 2 : 0);
    assert.deepEqual(order([critical, busy, asleep], "busy", { inFlight }), ["fra started"]);
    assert.deepEqual(order([{ ...critical, health: "critical" }, busy, asleep], "busy", { inFlight }), ["nrt stopped"]);
  });

  it("local-only never leaves the region of the edge", () => {
    const records = machines("fra stopped", "ams stopped");
    const app = sampleApp({ regionPolicy: "local-only" });
    assert.deepEqual(
      wakeOrder(app, SERVICE, records, "asleep", view()).map(({ id }) => id),
      ["ams stopped"],
    );
    assert.deepEqual(wakeOrder(app, SERVICE, records, "asleep", view({ region: "nrt" })), []);
  });

  it("without auto_start only what starts already can be waited for", () => {
    const service = sampleService({ autoStart: false });
    const records = machines("ams stopped", "nrt starting");
    assert.deepEqual(
      wakeOrder(sampleApp(), service, records, "asleep", view()).map(({ id }) => id),
      ["nrt starting"],
    );
  });
});

describe("by the expected time to the first byte", () => {
  const wakeMs = (_: string, state: MachineState): number => (state === "suspended" ? 100 : 2000);

  it("what resumes further off comes before what starts nearby", () => {
    const records = machines("ams stopped", "fra stopped", "fra suspended", "nrt suspended");
    assert.deepEqual(order(records, "asleep", { wakeMs }), ["fra suspended", "nrt suspended", "ams stopped", "fra stopped"]);
  });

  it("without warm_detour the nearest region comes first, and in it what is ready soonest (6.2)", () => {
    const records = machines("ams stopped", "ams suspended", "fra suspended");
    const app = sampleApp({ warmDetour: false });
    assert.deepEqual(
      wakeOrder(app, SERVICE, records, "asleep", view({ wakeMs })).map(({ id }) => id),
      ["ams suspended", "ams stopped", "fra suspended"],
    );
  });
});

describe("who is woken because what is awake is further off", () => {
  it("what is nearer than all that run, and then what runs", () => {
    const records = machines("nrt started", "fra stopped", "ams suspended", "nrt stopped");
    assert.deepEqual(order(records, "near"), ["ams suspended", "fra stopped", "nrt started"]);
  });

  it("nobody, when the nearest is awake by now", () => {
    assert.deepEqual(order(machines("ams started", "fra stopped", "nrt started"), "near"), ["ams started", "nrt started"]);
  });

  it("not what has just crashed", () => {
    assert.deepEqual(order(machines("ams stopped", "nrt started"), "near", { startableInMs: () => 500 }), ["nrt started"]);
  });
});

describe("who is woken because the others are busy (reference 3.2, 6.2: every running one is above its soft limit)", () => {
  it("the nearest that sleeps, when all that run are at their soft limit", () => {
    assert.deepEqual(order(machines("ams started", "nrt stopped", "fra stopped"), "busy", { inFlight: () => 2 }), [
      "fra stopped",
      "nrt stopped",
    ]);
  });

  it("nobody without auto_start", () => {
    const service = sampleService({ autoStart: false, concurrency: { type: "requests", softLimit: 2, hardLimit: null } });
    const records = machines("ams started", "nrt stopped");
    assert.deepEqual(wakeOrder(sampleApp(), service, records, "busy", view({ inFlight: () => 2 })), []);
  });

  it("nobody, when one that runs is below its soft limit by now", () => {
    const records = machines("ams started", "fra started", "nrt stopped");
    assert.deepEqual(order(records, "busy", { inFlight: (id) => (id === "ams started" ? 2 : 1) }), ["fra started"]);
  });
});
