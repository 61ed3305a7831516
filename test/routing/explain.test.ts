// What explain says, and that it says what the balancer and the waker would do.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import type { AppEntry, MachineEntry, ServiceEntry } from "../../src/catalog/entry.ts";
import { Latency } from "../../src/catalog/latency.ts";
import { LoadTable } from "../../src/catalog/load-table.ts";
import type { RegionPolicy } from "../../src/core/app.ts";
import type { MachineRecord } from "../../src/core/machine.ts";
import { REGIONS } from "../../src/core/region-table.ts";
import { Balancer } from "../../src/routing/balancer.ts";
import { explain, type Explanation, type ExplainView } from "../../src/routing/explain.ts";
import { aimAnywhere, aimAtMachine, aimAtRegions } from "../../src/routing/aim.ts";
import { detourOf } from "../../src/routing/detour.ts";
import { rank } from "../../src/routing/rank.ts";
import { wakeOrder, type WakeReason } from "../../src/wake/wake-order.ts";
import { sampleApp, sampleService } from "../wake/sample-app.ts";

const latency = new Latency({ regions: REGIONS, measured: [{ from: "ams", to: "ord", ms: 95 }] });

/** `ams started`, or `ams suspended`; id and name are the region's, the slot is the place in the list. */
function machine(description: string, slot: number, changes: Partial<MachineEntry> = {}): MachineEntry {
  const [region = "", state] = description.split(" ");
  const address = { host: "127.0.0.1", port: 9000 + slot };
  const fixed = { address, health: "passing", cordoned: false, wakeMs: 0, rttMs: latency.rttMs("ams", region) } as const;
  return { id: region, name: region, region, slot, state: state as MachineEntry["state"], ...fixed, ...changes };
}

function service(machines: readonly MachineEntry[], changes: Partial<ServiceEntry> = {}): ServiceEntry {
  const { key, protocol, internalPort, ports } = sampleService();
  const limits = {
    autoStart: true,
    softLimit: 2,
    hardLimit: 3,
    maxBodyBytes: null,
    reusesConnections: true,
    waitSlot: 999,
    stickyCookie: "kittiwake_sticky",
  };
  return { app: "hello", key, protocol, internalPort, ports, ...limits, machines, ...changes };
}

function app(...services: ServiceEntry[]): AppEntry {
  const rules = { regionPolicy: "any", balance: "closest" } as const;
  const outliers = { consecutive: 5, fiveXx: 0, baseMs: 30_000, maxEjected: 0.5 };
  return {
    name: "hello",
    hostnames: ["hello.localhost"],
    services,
    wakeTimeoutMs: 1000,
    warmDetour: true,
    waitPage: false,
    wakeGuard: null,
    errorPages: {},
    clientAuth: null,
    hsts: null,
    steering: "any",
    sticky: null,
    primary: null,
    access: null,
    ...rules,
    outliers,
  };
}

interface Question extends Partial<ExplainView> {
  readonly url?: string;
  /** In flight, by slot. */
  readonly load?: readonly number[];
}

function ask(entry: AppEntry, { url = "https://hello.localhost/", load = [], ...view }: Question = {}): Explanation {
  return explain([entry], url, { region: "ams", latency, count: (slot) => load[slot] ?? 0, listeners: [], ...view });
}

function up(...regions: string[]): MachineEntry[] {
  return regions.map((region, slot) => machine(`${region} started`, slot));
}

describe("the machine that gets the request", () => {
  test("is the nearest to where the request comes in", () => {
    const entry = app(service(up("nrt", "ams", "ord")));
    assert.deepEqual(ask(entry).outcome, { action: "forward", machine: "ams", reason: "nearest machine that is up" });
    assert.deepEqual(
      ask(entry, { region: "nrt" }).candidates.map(({ id }) => id),
      ["nrt", "ams", "ord"],
    );
  });

  test("is the least loaded where a region has several", () => {
    const entry = app(service([machine("ams started", 0, { id: "a" }), machine("ams started", 1, { id: "b" })]));
    assert.deepEqual(ask(entry, { load: [1, 0] }).outcome, { action: "forward", machine: "b", reason: "least loaded of 2 in ams" });
  });

  test("stays in its region above the soft limit, and leaves it at the hard limit", () => {
    const entry = app(service(up("ams", "ord")));
    const busy = ask(entry, { load: [2, 0] });
    assert.deepEqual(busy.outcome, { action: "forward", machine: "ams", reason: "nearest machine that is up" });
    assert.equal(busy.candidates[0]?.reason, "at its soft limit, but below the hard one");

    const full = ask(entry, { load: [3, 0] });
    assert.deepEqual(full.outcome, { action: "forward", machine: "ord", reason: "nearest machine below its hard limit" });
    assert.deepEqual([full.candidates[0]?.eligible, full.candidates[0]?.reason], [false, "at its hard limit"]);
    assert.deepEqual(ask(entry, { load: [3, 3] }).outcome, { action: "wait", reason: "every machine that is up is at its hard limit" });
  });

  test("has another one woken beside it when it is busy", () => {
    const entry = app(service([machine("ams started", 0), machine("nrt stopped", 1)]));
    assert.match(ask(entry, { load: [2] }).outcome.reason, /; it is busy, so another one is woken as well$/);
    assert.doesNotMatch(ask(entry, { load: [1] }).outcome.reason, /woken/);
  });
});

describe("a candidate", () => {
  test("tells why it is in or out, with its load and its limits", () => {
    const entry = app(
      service([
        machine("ams started", 0, { health: "critical" }),
        machine("ord started", 1, { health: "unknown" }),
        machine("nrt started", 2, { cordoned: true }),
        machine("syd suspended", 3),
        machine("fra stopping", 4),
      ]),
    );
    const { candidates } = ask(entry, { load: [1, 1] });
    assert.deepEqual(
      candidates.map(({ id, eligible, reason }) => [id, eligible, reason]),
      [
        ["ord", true, "up, though no check has answered yet"],
        ["ams", false, "failing its health check"],
        ["fra", false, "stopping"],
        ["nrt", false, "cordoned"],
        ["syd", false, "suspended, can be woken"],
      ],
    );
    const { inFlight, softLimit, hardLimit, state, health } = candidates[1]!;
    assert.deepEqual(
      { inFlight, softLimit, hardLimit, state, health },
      { inFlight: 1, softLimit: 2, hardLimit: 3, state: "started", health: "critical" },
    );
  });

  test("says that it cannot be woken where auto_start_machines is off", () => {
    const { candidates, outcome } = ask(app(service([machine("ams stopped", 0)], { autoStart: false })));
    assert.equal(candidates[0]?.reason, "stopped, and auto_start_machines is off");
    assert.deepEqual(outcome, { action: "refuse", code: "no_machine", reason: "no machine is up, and none can be woken" });
  });

  test("tells a measured round trip from an estimated one, and from a region that nobody knows", () => {
    const { candidates } = ask(app(service([machine("ord started", 0), machine("nrt started", 1), machine("moon started", 2)])));
    assert.deepEqual(
      candidates.map(({ region, rttSource }) => [region, rttSource]),
      [
        ["ord", "measured"],
        ["nrt", "estimated"],
        ["moon", "unknown"],
      ],
    );
    assert.equal(candidates[0]?.rttMs, 95);
  });
});

describe("when nothing is up", () => {
  test("the nearest machine that can be woken is named", () => {
    const entry = app(service([machine("ord suspended", 0), machine("nrt stopped", 1)]));
    assert.deepEqual(ask(entry).outcome, {
      action: "wake",
      machine: "ord",
      reason: "nothing is up; nearest that can be woken (suspended)",
    });
    const outcome = ask(entry, { region: "nrt" }).outcome;
    assert.deepEqual(outcome, { action: "wake", machine: "nrt", reason: "nothing is up; nearest that can be woken (stopped)" });
  });

  test("a nearest machine that is starting is waited for", () => {
    const { outcome } = ask(app(service([machine("ams starting", 0), machine("nrt stopped", 1)], { autoStart: false })));
    assert.deepEqual(outcome, { action: "wake", machine: "ams", reason: "nothing is up yet, and the nearest machine is starting" });
  });

  test("a service whose machines all fail their checks is told from one without machines", () => {
    const sick = [machine("nrt started", 0, { health: "critical" }), machine("ams started", 1, { health: "critical" })];
    const critical = ask(app(service(sick)));
    const reason = "panic: every machine that runs fails its health check, and this is the best of them";
    assert.deepEqual(critical.outcome, { action: "forward", machine: "ams", reason });
    assert.deepEqual(
      critical.candidates.map(({ id, eligible, reason: why }) => [id, eligible, why]),
      [
        ["ams", true, "failing its health check, as all that run do"],
        ["nrt", true, "failing its health check, as all that run do"],
      ],
    );
    const sleeper = ask(app(service([...sick, machine("ord stopped", 2)])));
    assert.deepEqual(sleeper.outcome, {
      action: "wake",
      machine: "ord",
      reason: "nothing is up; nearest that can be woken (stopped); if that fails, ams, which fails its health check",
    });
    assert.deepEqual([sleeper.candidates[0]?.eligible, sleeper.candidates[0]?.reason], [false, "failing its health check"]);
    const none = ask(app(service([])));
    assert.deepEqual([none.outcome.action, "code" in none.outcome && none.outcome.code], ["refuse", "no_machine"]);
  });
});

describe("a URL", () => {
  const entry = app(service(up("ams")));

  test("over plain HTTP is redirected where the port says so", () => {
    const plain = ask(entry, { url: "http://hello.localhost/x?y=1" });
    assert.deepEqual([plain.redirectsToHttps, plain.publicPort, plain.service], [true, 80, "tcp-8080"]);
    assert.equal(ask(entry).redirectsToHttps, false);
  });

  test("that is redirected leads to the service which HTTPS has", () => {
    const [http, https] = sampleService().ports;
    const first = service([], { key: "plain", ports: [http!] });
    const second = service(up("ams"), { key: "secure", ports: [https!] });
    assert.equal(ask(app(first, second), { url: "http://hello.localhost/" }).service, "secure");
  });

  test("may name the port bound on this node instead of the public one", () => {
    const listeners = [
      { publicPort: 80, port: 8080 },
      { publicPort: 443, port: 8443 },
    ];
    const bound = ask(entry, { url: "https://hello.localhost:8443/", listeners });
    assert.deepEqual([bound.publicPort, bound.outcome.action], [443, "forward"]);
  });

  test("may leave out the scheme and end its host in a dot", () => {
    assert.equal(ask(entry, { url: "Hello.LOCALHOST./x" }).host, "hello.localhost");
  });

  test("on a port without an HTTP service is refused as a request would be", () => {
    const { service: key, candidates, outcome } = ask(entry, { url: "https://hello.localhost:9999/" });
    assert.deepEqual([key, candidates], [null, []]);
    const reason = 'app "hello" has no HTTP service on port 9999';
    assert.deepEqual(outcome, { action: "refuse", code: "misdirected_request", reason });
  });

  test("that is none, that nobody declares, or from nowhere is an error", () => {
    for (const url of ["", "https://", "ftp://hello.localhost/", "https://user:secret@hello.localhost/", "http://a b/"]) {
      assert.throws(() => ask(entry, { url }), { code: "bad_request" }, url);
    }
    assert.throws(() => ask(entry, { url: "https://other.localhost/" }), { code: "app_not_found" });
    assert.throws(() => ask(entry, { region: "xyz" }), { code: "config_invalid" });
  });
});

describe("while what is nearer sleeps (reference section 6.2)", () => {
  const entry = (wakeMs: number, warmDetour = true): AppEntry => ({
    ...app(service([machine("ams stopped", 0, { wakeMs }), machine("nrt started", 1)])),
    warmDetour,
  });

  test("what is awake further off answers, where that is quicker", () => {
    const reason = "nearest machine that is up; ams is nearer, and woken meanwhile";
    assert.deepEqual(ask(entry(2000)).outcome, { action: "forward", machine: "nrt", reason });
  });

  test("or the request waits for it", () => {
    const waits = { action: "wake", machine: "ams", reason: "nearer than what is up; can be woken (stopped)" };
    assert.deepEqual(ask(entry(1)).outcome, waits);
    assert.deepEqual(ask(entry(2000, false)).outcome, waits);
  });
});

describe("an explanation", () => {
  const REGION = fc.constantFrom("ams", "fra", "nrt");
  const STATE = fc.constantFrom("created", "starting", "started", "started", "started", "stopping", "stopped", "suspended", "failed");
  const MACHINES = fc.array(
    fc.record({
      region: REGION,
      state: STATE,
      health: fc.constantFrom("passing", "passing", "unknown", "critical"),
      cordoned: fc.boolean(),
      load: fc.nat(3),
    }),
    { maxLength: 6 },
  );
  const RULES = fc.record({
    regionPolicy: fc.constantFrom("any", "local-preferred", "local-only"),
    balance: fc.constantFrom("closest", "spread", "pack"),
  });
  const seed = Number(process.env["SEED"] ?? Date.now());

  test(`agrees with the balancer and the wake order (SEED=${seed})`, () => {
    const load = LoadTable.create();
    const property = fc.property(
      MACHINES,
      fc.constantFrom(null, 1, 3),
      fc.boolean(),
      REGION,
      RULES,
      (drawn, hardLimit, autoStart, region, rules) => {
        const machines = drawn.map((facts, slot) =>
          machine("", slot, { ...facts, id: `m${slot}`, rttMs: latency.rttMs(region, facts.region) }),
        );
        const entry = service(machines, { hardLimit, autoStart });
        for (const [slot, facts] of drawn.entries()) {
          load.reset(slot);
          for (let n = 0; n < facts.load; n++) load.claim(slot, 99);
        }

        const { outcome } = ask({ ...app(entry), ...rules }, { region, count: (slot) => load.count(slot) });
        const ranked = rank(machines, autoStart, { region, ...rules });
        const claimed = new Balancer({ load, random: () => 0, now: () => 0 }).claim({ ...entry, ranked }, null);
        const detour = detourOf(ranked, machines, autoStart, { region, ...rules, warmDetour: true });
        assert.ok(detour !== "wait" || outcome.action === "wake");
        switch (outcome.action) {
          case "forward": {
            assert.ok(typeof claimed === "object");
            // Of several alike the balancer looks at two only, so it may find another one of them.
            const { region: chosen, health } = machines.find(({ id }) => id === outcome.machine)!;
            if (rules.balance === "pack") assert.equal(outcome.machine, claimed.id);
            return assert.deepEqual(
              [health, ...(rules.balance === "spread" ? [] : [chosen])],
              [claimed.health, ...(rules.balance === "spread" ? [] : [claimed.region])],
            );
          }
          case "wake":
            if (detour !== "wait") assert.equal(claimed, "asleep");
            return assert.equal(outcome.machine, firstToWake(entry, region, rules.regionPolicy, detour === "wait" ? "near" : "asleep"));
          case "wait":
            return assert.equal(claimed, "full");
          case "refuse":
            return assert.equal(claimed, outcome.code === "no_machine" ? "none" : "unhealthy");
        }
      },
    );
    fc.assert(property, { seed, numRuns: 2000 });
  });
});

describe("issue 5 part 10: every rule that had a say", () => {
  const access = { allow: ["192.0.2.0/24"], deny: ["192.0.2.66"], rate: { intervalMs: 10, toleranceMs: 990 }, connectionsPerAddress: 7 };
  const limits = "one request each 10 ms, 100 at once; 7 connections of an address";
  const verdicts = (explanation: Explanation): Record<string, string> =>
    Object.fromEntries(explanation.rules.map(({ rule, verdict }) => [rule, verdict]));

  test("is told, in the order in which they are asked", () => {
    const entry = app(service(up("ams", "ord")));
    assert.deepEqual(ask(entry, { url: "http://hello.localhost/" }).rules, [
      { rule: "host", verdict: '"hello.localhost" is a name of app hello' },
      { rule: "force_https", verdict: "301 to HTTPS" },
      { rule: "access", verdict: "everybody may come" },
      { rule: "steering", verdict: "any machine" },
      { rule: "replay_cache", verdict: "not considered: what the edge remembers of replays" },
      { rule: "policy", verdict: 'region_policy is "any", balance is "closest"' },
    ]);
  });

  for (const [client, verdict, isRefused] of [
    [null, `depends on the client's address, which was not given; ${limits}`, false],
    ["192.0.2.1", `192.0.2.1 may come; ${limits}`, false],
    ["192.0.2.66", "refused: deny has 192.0.2.66", true],
    ["203.0.113.9", "refused: allow does not have 203.0.113.9", true],
  ] as const) {
    test(`access rules and the client ${client}`, () => {
      const explanation = ask({ ...app(service(up("ams"))), access }, { client });
      assert.equal(verdicts(explanation)["access"], verdict);
      const refused = { action: "refuse", code: "access_denied", reason: verdict.slice("refused: ".length) };
      assert.deepEqual(
        explanation.outcome,
        isRefused ? refused : { action: "forward", machine: "ams", reason: "nearest machine that is up" },
      );
    });
  }

  test("reference 4.6 sessions whose replays are remembered", () => {
    const scope = { host: null, path: "/shop" };
    const entry = app(service(up("ams")));
    const [one] = entry.services;
    const rule = { scope, ttlMs: 60_000, type: "cookie", name: "sid", allowBypass: false } as const;
    const ports = one!.ports.map((port) => ({ ...port, sessions: [rule] }));
    const verdict = (path: string): string | undefined =>
      verdicts(ask({ ...entry, services: [{ ...one!, ports }] }, { url: `https://hello.localhost${path}` }))["replay_cache"];
    assert.equal(verdict("/shop/cart?x"), "not considered: what the edge remembers of replays for 60 s by the cookie sid");
    assert.equal(verdict("/"), "not considered: what the edge remembers of replays");
  });

  for (const [what, aim, verdict, outcome, outside] of [
    ["a region", aimAtRegions(["ord"], null, aimAnywhere()), "regions ord, else any machine", "ord", ["ams", "nrt"]],
    ["a region without machines", aimAtRegions(["fra"], null, aimAnywhere()), "regions fra, else any machine", "ams", []],
    [
      "nothing but a region without machines",
      aimAtRegions(["fra"], null, null),
      "regions fra, else nothing",
      "no_machine",
      ["ams", "ord", "nrt"],
    ],
    ["a machine", aimAtMachine("nrt", null, null), "machine nrt, else nothing", "nrt", ["ams", "ord"]],
    [
      "a full region, then another",
      aimAtRegions(["ams", "ord"], null, null),
      "regions ams, else regions ord, else nothing",
      "ord",
      ["ams", "nrt"],
    ],
  ] as const) {
    test(`steering to ${what}`, () => {
      const load = what.startsWith("a full") ? [3] : [];
      const explanation = ask(app(service(up("ams", "ord", "nrt"))), { asked: () => ({ aim, rules: [] }), load });
      assert.equal(verdicts(explanation)["steering"], verdict);
      const { outcome: found } = explanation;
      assert.equal("machine" in found ? found.machine : "code" in found && found.code, outcome);
      const kept = explanation.candidates.filter(({ reason }) => reason === "not what the request asks for").map(({ id }) => id);
      assert.deepEqual(kept.toSorted(), [...outside].toSorted());
    });
  }

  test("what if a region or a machine were down", () => {
    const entry = app(service(up("ams", "ord", "nrt")));
    for (const name of ["ams", "hello/ams"]) {
      const explanation = ask(entry, { whatIf: { down: [name], load: {} } });
      assert.deepEqual(explanation.outcome, { action: "forward", machine: "ord", reason: "nearest machine that is up" });
      const [{ eligible, reason } = {}] = explanation.candidates.filter(({ id }) => id === "ams");
      assert.deepEqual([eligible, reason, verdicts(explanation)["what_if"]], [false, "taken as down", `${name} is taken as down`]);
    }
    const none = ask(app(service([machine("ams suspended", 0)])), { whatIf: { down: ["ams"], load: {} } });
    assert.deepEqual(none.outcome, { action: "refuse", code: "no_machine", reason: "no machine is up, and none can be woken" });
  });

  test("what if a machine had more to do, or less", () => {
    const entry = app(service(up("ams", "ord")));
    const full = ask(entry, { whatIf: { down: [], load: { "hello/ams": 3 } } });
    assert.deepEqual(full.outcome, { action: "forward", machine: "ord", reason: "nearest machine below its hard limit" });
    assert.equal(full.candidates.find(({ id }) => id === "ams")?.inFlight, 3);
    const free = ask(entry, { load: [3, 3], whatIf: { down: [], load: { "hello/ord": 0 } } });
    assert.deepEqual(free.outcome, { action: "forward", machine: "ord", reason: "nearest machine below its hard limit" });
  });

  test("a what-if of what the app does not have is refused", () => {
    for (const whatIf of [
      { down: ["fra"], load: {} },
      { down: ["other/ams"], load: {} },
      { down: [], load: { ams: 3, "hello/fra": 1 } },
    ])
      assert.throws(() => ask(app(service(up("ams"))), { whatIf }), { code: "bad_request" });
  });
});

function firstToWake(
  { machines, autoStart, softLimit, hardLimit }: ServiceEntry,
  region: string,
  regionPolicy: RegionPolicy,
  reason: WakeReason,
): string | undefined {
  const records = machines.map(({ id, name, region: where, state, health, cordoned }): MachineRecord => ({
    ...{ id, name, region: where, state, health, cordoned },
    ...{
      app: "hello",
      group: "app",
      node: "ams-1",
      checks: [],
      addresses: {},
      pid: null,
      handle: null,
      configHash: "",
      changedAtMs: 0,
      reason: "",
    },
  }));
  const view = {
    nowMs: 0,
    region,
    rttMs: (to: string) => latency.rttMs(region, to),
    startableInMs: () => 0,
    inFlight: () => 0,
    wakeMs: () => 0,
  };
  return wakeOrder(
    sampleApp({ regionPolicy }),
    sampleService({ autoStart, concurrency: { type: "requests", softLimit, hardLimit } }),
    records,
    reason,
    view,
  )[0]?.id;
}
