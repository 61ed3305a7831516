import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { describe, it } from "node:test";

import { pino } from "pino";

import type { Address, App, ServiceCheck } from "../../src/core/app.ts";
import type { CheckResult, MachineRecord } from "../../src/core/machine.ts";
import { Checker, pauseAfter } from "../../src/health/checker.ts";
import { sampleService } from "../wake/sample-app.ts";
import { Backend, httpCheck, tcpCheck } from "./backend.ts";

const QUICK = { intervalMs: 10 };

function machine(address: Address, changes: Partial<MachineRecord> = {}): MachineRecord {
  const names = { id: "hello-ams", app: "hello", name: "ams", group: "app", region: "ams", node: "ams-1", configHash: "", reason: "" };
  const verdict = { state: "started", health: "unknown", checks: [], cordoned: false } as const;
  return { ...names, ...verdict, addresses: { 8080: address }, pid: null, handle: null, changedAtMs: 1, ...changes };
}

function services(...checks: ServiceCheck[]): Pick<App, "services" | "checks"> {
  return { services: [sampleService({ checks })], checks: [] };
}

class CheckerRig extends EventEmitter implements Disposable {
  readonly checker: Checker;
  /** By machine, the newest last. */
  readonly results = new Map<string, (readonly CheckResult[])[]>();
  readonly messages: string[] = [];
  nowMs = 1000;

  constructor(maxProbes?: number) {
    super();
    const log = pino({}, { write: (line: string) => void this.messages.push(JSON.parse(line).msg) });
    this.checker = new Checker({
      onResult: (id, results) => {
        this.results.set(id, [...(this.results.get(id) ?? []), results]);
        this.emit("result");
      },
      log,
      now: () => this.nowMs,
      random: () => 0.5,
      ...(maxProbes === undefined ? {} : { maxProbes }),
    });
  }

  /** `passing@1000 critical@2000`: the newest result of each check. */
  latest(id = "hello-ams"): string {
    const results = this.results.get(id)?.at(-1) ?? [];
    return results.map(({ status, updatedAtMs }) => `${status}@${updatedAtMs}`).join(" ");
  }

  async until(expected: string, id = "hello-ams"): Promise<void> {
    while (this.latest(id) !== expected) await once(this, "result", { signal: AbortSignal.timeout(5000) });
  }

  [Symbol.dispose](): void {
    this.checker.close();
  }
}

describe("reference 7.1: the checks of a machine", () => {
  it("begin as failing without a result, and pass with the first success", async () => {
    await using backend = await Backend.start();
    using rig = new CheckerRig();
    rig.checker.watch(machine(backend.address), services(httpCheck(), tcpCheck()));
    assert.equal(rig.latest(), "critical@0 critical@0");
    assert.equal(rig.results.get("hello-ams")?.[0]?.[0]?.output, "not checked yet");
    await rig.until("passing@1000 passing@1000");
    assert.ok(rig.messages.includes("Health check 'servicecheck-00-http-8080' on port 8080 is now passing."));
  });

  it("fail with the first failure and pass with the next success; updatedAtMs moves with the status only", async () => {
    await using backend = await Backend.start();
    using rig = new CheckerRig();
    rig.checker.watch(machine(backend.address), services(httpCheck(QUICK)));
    await rig.until("passing@1000");
    rig.nowMs = 2000;
    await backend.seen(3);
    assert.equal(rig.latest(), "passing@1000");
    assert.equal(rig.results.get("hello-ams")?.length, 2);
    backend.answer = (_request, response) => void response.writeHead(500).end();
    await rig.until("critical@2000");
    rig.nowMs = 3000;
    backend.answer = (_request, response) => void response.writeHead(503).end();
    while (!rig.results.get("hello-ams")?.at(-1)?.[0]?.output.endsWith("503 Service Unavailable")) await once(rig, "result");
    assert.equal(rig.latest(), "critical@2000");
    backend.answer = (_request, response) => void response.end();
    await rig.until("passing@3000");
    assert.deepEqual(rig.messages, [
      "Health check 'servicecheck-00-http-8080' on port 8080 is now passing.",
      "Health check 'servicecheck-00-http-8080' on port 8080 has failed. Your app is not responding properly. Services exposed on ports [80, 443] will have intermittent failures until the health check passes.",
      "Health check 'servicecheck-00-http-8080' on port 8080 is now passing.",
    ]);
  });

  it("wait for the grace period before the first probe, and not for the interval", async () => {
    await using backend = await Backend.start();
    using rig = new CheckerRig();
    const begunAt = performance.now();
    rig.checker.watch(machine(backend.address), services(httpCheck({ gracePeriodMs: 60, intervalMs: 60_000 })));
    await rig.until("passing@1000");
    const waitedMs = performance.now() - begunAt;
    assert.ok(waitedMs >= 59, `${waitedMs} ms`);
  });

  it("go on undisturbed when the record changes in other ways", async () => {
    await using backend = await Backend.start();
    using rig = new CheckerRig();
    const checked = services(httpCheck({ intervalMs: 60_000 }));
    rig.checker.watch(machine(backend.address), checked);
    await rig.until("passing@1000");
    rig.checker.watch(machine(backend.address, { health: "passing", cordoned: true }), checked);
    assert.equal(rig.results.get("hello-ams")?.length, 2);
    assert.equal(backend.requests.length, 1);
  });

  it("begin anew when the machine was started anew, or its checks changed", async () => {
    await using backend = await Backend.start();
    using rig = new CheckerRig();
    rig.checker.watch(machine(backend.address), services(httpCheck()));
    await rig.until("passing@1000");
    rig.checker.watch(machine(backend.address, { changedAtMs: 2 }), services(httpCheck()));
    assert.equal(rig.latest(), "critical@0");
    await rig.until("passing@1000");
    rig.checker.watch(machine(backend.address, { changedAtMs: 2 }), services(httpCheck(), tcpCheck()));
    assert.equal(rig.latest(), "critical@0 critical@0");
    await rig.until("passing@1000 passing@1000");
  });

  it("stop while it sleeps: no probe, and no result that comes late", async () => {
    await using backend = await Backend.start();
    using rig = new CheckerRig();
    backend.answer = () => {};
    rig.checker.watch(machine(backend.address), services(httpCheck(QUICK)));
    await backend.seen(1);
    rig.checker.watch(machine(backend.address, { state: "suspended" }), services(httpCheck(QUICK)));
    await using other = await Backend.start();
    rig.checker.watch(machine(other.address, { id: "hello-nrt" }), services(httpCheck(QUICK)));
    await other.seen(3);
    assert.equal(backend.requests.length, 1);
    assert.equal(rig.latest(), "critical@0");
    assert.equal(rig.results.get("hello-ams")?.length, 1);
  });

  it("of other process groups are not its own", async () => {
    await using backend = await Backend.start();
    using rig = new CheckerRig();
    rig.checker.watch(machine(backend.address), {
      services: [sampleService({ groups: ["worker"], checks: [httpCheck()] })],
      checks: [{ check: tcpCheck(), port: 8080, groups: ["worker"], kind: "readiness" }],
    });
    assert.deepEqual(rig.results.get("hello-ams"), [[]]);
  });

  it("that it does not have leave an empty list, so that an old verdict goes", async () => {
    await using backend = await Backend.start();
    using rig = new CheckerRig();
    rig.checker.watch(machine(backend.address), services());
    assert.deepEqual(rig.results.get("hello-ams"), [[]]);
  });
});

describe("reference 7.1: checks that belong to no service", () => {
  it("are made of their own port, under their own name, and say what they bring down", async () => {
    await using backend = await Backend.start();
    await using own = await Backend.start();
    using rig = new CheckerRig();
    own.answer = (_request, response) => void response.writeHead(500).end();
    const { port } = own.address;
    const check = (name: string) => httpCheck({ name, intervalMs: 60_000 });
    rig.checker.watch(machine(backend.address), {
      ...services(tcpCheck({ intervalMs: 60_000 })),
      checks: [
        { check: check("status"), port, groups: ["app"], kind: "informational" },
        { check: check("ready"), port, groups: ["app"], kind: "readiness" },
        { check: check("inside"), port: 8080, groups: ["app"], kind: "informational" },
        { check: check("other"), port, groups: ["worker"], kind: "readiness" },
      ],
    });
    await rig.until("passing@1000 critical@1000 critical@1000 passing@1000");
    assert.deepEqual(
      rig.results
        .get("hello-ams")
        ?.at(-1)
        ?.map(({ name, kind }) => `${name} ${kind}`),
      ["servicecheck-01-tcp-8080 service", "status informational", "ready readiness", "inside informational"],
    );
    const failed = (name: string): string => `Health check '${name}' on port ${port} has failed. Your app is not responding properly.`;
    const affected = " Services exposed on ports [80, 443] will have intermittent failures until the health check passes.";
    assert.ok(rig.messages.includes(failed("status")), rig.messages.join("\n"));
    assert.ok(rig.messages.includes(`${failed("ready")}${affected}`), rig.messages.join("\n"));
    assert.ok(rig.messages.includes("Health check 'inside' on port 8080 is now passing."));
  });
});

describe("reference 7.1, failed check re-try: the pause before the next probe", () => {
  for (const [failures, intervalMs, pauseMs] of [
    [0, 15_000, 15_000],
    [1, 15_000, 1000],
    [2, 15_000, 2000],
    [3, 15_000, 4000],
    [4, 15_000, 8000],
    [5, 15_000, 15_000],
    [5000, 15_000, 15_000],
    [1, 1000, 1000],
    [7, 60_000, 60_000],
  ] as const) {
    it(`is ${pauseMs} ms after ${failures} failures in a row, with an interval of ${intervalMs} ms`, () => {
      assert.equal(pauseAfter(failures, intervalMs), pauseMs);
    });
  }
});

describe("many checks", () => {
  it("never make more probes at once than allowed", async () => {
    await using backend = await Backend.start();
    using rig = new CheckerRig(3);
    let open = 0;
    let most = 0;
    backend.answer = (_request, response) => {
      open += 1;
      most = Math.max(most, open);
      setTimeout(() => {
        open -= 1;
        response.end();
      }, 3);
    };
    const ids = Array.from({ length: 40 }, (_, index) => `hello-${index}`);
    for (const id of ids) rig.checker.watch(machine(backend.address, { id }), services(httpCheck({ intervalMs: 60_000 })));
    for (const id of ids) await rig.until("passing@1000", id);
    assert.equal(most, 3);
  });
});
