// Limits of concurrency: the hard one holds exactly over all workers, those beyond it wait in a queue; the soft one spreads load and wakes
// more machines.

import assert from "node:assert/strict";
import { Agent } from "node:http";
import { after, before, describe, test } from "node:test";
import type { MachineRecord } from "../../src/core/machine.ts";
import { ask, askMachine, identify, machineOf, processApp, untilMachine, type Identity } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

const APPS = {
  narrow: processApp("narrow", { softLimit: 5, hardLimit: 5 }),
  stuck: processApp("stuck", { softLimit: 2, hardLimit: 2, wakeTimeout: "30s" }),
  busy: processApp("busy", { softLimit: 2, regions: ["ams", "ams"] }),
  more: processApp("more", { softLimit: 1, hardLimit: 1, regions: ["ams", "ams"] }),
  aimed: processApp("aimed", { softLimit: 1, hardLimit: 1, regions: ["ams", "nrt", "nrt"] }),
  near: processApp("near", { softLimit: 1, hardLimit: 2, regions: ["ams", "nrt"], autoStop: "off" }),
  even: processApp("even", { softLimit: 100, regions: ["ams", "ams"], autoStop: "off" }),
};

let node: TestNode;
before(async () => {
  node = await startTestNode({ workers: 2, apps: APPS });
});
after(() => node[Symbol.asyncDispose]());

function inFlight(app: string, region = "ams", ordinal = 1): number {
  return node.node.control.inFlight(machineOf(node, app, region, ordinal).id);
}

describe("a hard limit of 5", () => {
  test("holds over all workers under 200 requests at once, and all of them are answered", async () => {
    await identify(node.httpPort, "narrow");
    const requests = Array.from({ length: 200 }, () => identify(node.httpPort, "narrow", "/slow?ms=10"));
    const answers = await Promise.all(requests);
    assert.equal(Math.max(...answers.map(({ mostAtOnce }) => mostAtOnce)), 5);
    assert.equal(answers.length, 200);
    assert.equal(inFlight("narrow"), 0);
  });

  test("lets clients of all workers have their share under lasting load", async () => {
    await identify(node.httpPort, "narrow");
    const counts = Array.from({ length: 24 }, () => 0);
    let isOver = false;
    const client = async (index: number): Promise<void> => {
      // One connection, and so one worker, for all its requests.
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (!isOver) {
        await identify(node.httpPort, "narrow", "/slow?ms=5", { agent });
        isOver ||= ++counts[index]! === 30;
      }
      agent.destroy();
    };
    await Promise.all(counts.map((_, index) => client(index)));
    assert.ok(Math.min(...counts) >= 5, `answers by client: ${counts.join(", ")}`);
  });
});

describe("a machine at its hard limit (reference 3.1, 3.2)", () => {
  test("that does not become free within wake_timeout is a 503 with retry-after; its other requests go on", async () => {
    const { pid } = await identify(node.httpPort, "stuck");
    const held = [1, 2].map(() => identify(node.httpPort, "stuck", "/hold"));
    await eventually(() => inFlight("stuck") === 2, "two requests in flight");
    const waiting = Promise.all([1, 2, 3].map(() => ask(node.httpPort, "stuck")));
    await eventually(() => node.node.control.status().waiting === 3, "three requests to wait");
    for (const { status, headers } of await node.endsAfter(30_000, waiting)) {
      assert.deepEqual([status, headers["kittiwake-error"], headers["retry-after"]], [503, "at_capacity", "1"]);
    }
    await askMachine(machineOf(node, "stuck"), "/release");
    for (const answer of await Promise.all(held)) assert.equal(answer.pid, pid);
    assert.equal((await identify(node.httpPort, "stuck")).pid, pid);
  });

  for (const [title, app, region, headers] of [
    ["", "more", "ams", {}],
    [" of the region that was asked for", "aimed", "nrt", { "fly-force-region": "nrt" }],
  ] as const) {
    test(`(3.2, 6.2) has another one${title} woken by whoever finds it so`, async () => {
      const there = (): MachineRecord[] => node.node.control.machines(app).filter((machine) => machine.region === region);
      const held = identify(node.httpPort, app, "/hold", { headers });
      // Whoever takes the last place asks for one, too; that one is gone again.
      await node.until(() => there().every(({ state }) => state === "started"));
      const idle = there().find(({ id }) => node.node.control.inFlight(id) === 0)!;
      await node.node.control.stop(app, idle.id);
      assert.equal((await identify(node.httpPort, app, "/", { headers })).machine, idle.id);
      const woken = node.node.control.machines(app).filter(({ state }) => state === "started");
      assert.deepEqual(new Set(woken.map((machine) => machine.region)), new Set([region]));
      for (const machine of woken) await askMachine(machine, "/release");
      await held;
    });
  }

  test("sends further requests to the next region, and nearer ones come first again once it has room", async () => {
    await untilMachine(node, "near", ({ state }) => state === "started", "ams");
    await untilMachine(node, "near", ({ state }) => state === "started", "nrt");
    const regionOf = async (path: string): Promise<string> => (await identify(node.httpPort, "near", path)).region;
    const held = [regionOf("/hold")];
    await eventually(() => inFlight("near") === 1, "one request in ams");
    // Above the soft limit, but that alone sends nobody abroad.
    held.push(regionOf("/hold"));
    await eventually(() => inFlight("near") === 2, "two requests in ams");
    assert.equal(await regionOf("/"), "nrt");
    await askMachine(machineOf(node, "near"), "/release");
    assert.deepEqual(await Promise.all(held), ["ams", "ams"]);
    assert.equal(await regionOf("/"), "ams");
  });
});

describe("a soft limit (reference 3.2, 6.2)", () => {
  test("that the running machine reaches wakes another one, which takes the next requests", async () => {
    const first = await identify(node.httpPort, "busy");
    const held = [1, 2].map(() => identify(node.httpPort, "busy", "/hold"));
    const isUp = (ordinal: number): boolean => machineOf(node, "busy", "ams", ordinal).state === "started";
    await node.until(() => isUp(1) && isUp(2));
    const next = await identify(node.httpPort, "busy");
    assert.notEqual(next.machine, first.machine);
    for (const machine of node.node.control.machines("busy")) await askMachine(machine, "/release");
    for (const { machine } of await Promise.all(held)) assert.equal(machine, first.machine);
  });

  test("is spread over the machines of a region by their load", async () => {
    await node.until(() => node.node.control.machines("even").every(({ state }) => state === "started"));
    const held: Promise<Identity>[] = [];
    for (let sent = 1; sent <= 40; sent++) {
      held.push(identify(node.httpPort, "even", "/hold"));
      await eventually(() => inFlight("even", "ams", 1) + inFlight("even", "ams", 2) === sent, `${sent} requests in flight`);
    }
    // Of two machines power of two choices looks at both, so the less loaded one is always found.
    assert.deepEqual([inFlight("even", "ams", 1), inFlight("even", "ams", 2)], [20, 20]);
    for (const machine of node.node.control.machines("even")) await askMachine(machine, "/release");
    await Promise.all(held);
  });
});
