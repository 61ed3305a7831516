// What a reload makes of apps: those that are new appear, those that are gone end, those that changed start anew without failing a request,
// and those that stayed the same notice nothing.

import assert from "node:assert/strict";
import { Agent } from "node:http";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, askMachine, identify, INTERNAL_PORT, machineOf, processApp, startsIn, untilMachine } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { isRunning, processState } from "../support/processes.ts";

function steady(name: string, env: Readonly<Record<string, string>> = {}, internalPort = INTERNAL_PORT): string {
  return processApp(name, { autoStop: "off", internalPort, env: { STARTS_FILE: `${name}.starts`, ...env } });
}

const APPS = {
  same: steady("same"),
  leaving: steady("leaving"),
  returning: steady("returning"),
  changing: steady("changing", { COLOR: "red" }),
  moving: steady("moving", { COLOR: "red" }),
  sleeping: processApp("sleeping", { env: { COLOR: "red" } }),
};

let node: TestNode;
before(async () => {
  node = await startTestNode({ workers: 2, apps: APPS });
});
after(() => node[Symbol.asyncDispose]());

function removeApp(name: string): void {
  rmSync(join(node.dir, "apps", `${name}.toml`));
}

function starts(name: string): number[] {
  return startsIn(join(node.dir, "apps", `${name}.starts`));
}

function inFlight(app: string): number {
  return node.node.control.inFlight(machineOf(node, app).id);
}

/** From red to another color while clients keep asking, each over one connection. All they are told is a color. */
async function changeUnderLoad(app: string, env: { readonly COLOR: string }, internalPort: number): Promise<void> {
  let isOver = false;
  const colors = new Set<string>();
  const client = async (): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!isOver) colors.add((await identify(node.httpPort, app, "/slow?ms=2", { agent })).color);
    agent.destroy();
  };
  const clients = Promise.all(Array.from({ length: 16 }, client));
  try {
    await eventually(() => colors.has("red"), "answers of the machine as it was");
    node.writeApp(app, steady(app, env, internalPort));
    assert.deepEqual((await node.node.control.reload()).changed, [app]);
    await Promise.race([eventually(() => colors.has(env.COLOR), "answers of the machine as it is"), clients]);
  } finally {
    isOver = true;
  }
  await clients;
}

describe("a reload", () => {
  test("brings a new app into force, and leaves the others as they are", async () => {
    const { pid } = await identify(node.httpPort, "same");
    assert.equal((await ask(node.httpPort, "added")).status, 404);
    node.writeApp("added", steady("added"));
    const result = await node.node.control.reload();
    assert.deepEqual(result, { applied: true, messages: [], added: ["added"], changed: [], removed: [] });
    assert.equal((await identify(node.httpPort, "added")).app, "added");
    assert.equal((await identify(node.httpPort, "same")).pid, pid);
    assert.deepEqual(starts("same"), [pid]);
  });

  test("ends an app that is gone: no new request reaches it, and those under way are answered first", async () => {
    const { pid } = await identify(node.httpPort, "leaving");
    const machine = machineOf(node, "leaving");
    const held = identify(node.httpPort, "leaving", "/hold");
    await eventually(() => inFlight("leaving") === 1, "a request in flight");
    removeApp("leaving");
    assert.deepEqual((await node.node.control.reload()).removed, ["leaving"]);
    assert.equal((await ask(node.httpPort, "leaving")).status, 404);
    assert.ok(isRunning(pid));
    await askMachine(machine, "/release");
    assert.equal((await held).pid, pid);
    await eventually(() => processState(pid) === null, "the machine to end");
    assert.throws(() => node.node.control.machines("leaving"), { code: "app_not_found" });
  });

  test("keeps an app that comes back while its last requests are still being answered", async () => {
    await identify(node.httpPort, "returning");
    const machine = machineOf(node, "returning");
    const held = identify(node.httpPort, "returning", "/hold");
    await eventually(() => inFlight("returning") === 1, "a request in flight");
    removeApp("returning");
    assert.deepEqual((await node.node.control.reload()).removed, ["returning"]);
    node.writeApp("returning", APPS.returning);
    assert.deepEqual((await node.node.control.reload()).added, ["returning"]);
    await askMachine(machine, "/release");
    await held;
    for (let times = 0; times < 3; times++) {
      assert.equal((await identify(node.httpPort, "returning")).app, "returning");
      await node.node.control.reload();
    }
    assert.equal(node.node.control.machines("returning").length, 1);
  });

  test("that changes an app starts its machine anew, and no request fails meanwhile", async () => {
    const { pid } = await identify(node.httpPort, "changing");
    await changeUnderLoad("changing", { COLOR: "blue" }, INTERNAL_PORT);
    assert.deepEqual(starts("changing"), [pid, machineOf(node, "changing").pid]);
    assert.equal(processState(pid), null);
  });

  test("that moves an app to another internal port fails no request either", async () => {
    await changeUnderLoad("moving", { COLOR: "blue" }, 9090);
    assert.deepEqual(Object.keys(machineOf(node, "moving").addresses), ["9090"]);
  });

  test("that moves an app to another internal port keeps those who wait for it", async () => {
    const slow = (internalPort: number): string => processApp("slow", { internalPort, env: { BOOT_MS: "300" } });
    node.writeApp("slow", slow(INTERNAL_PORT));
    await node.node.control.reload();
    const waiting = Array.from({ length: 10 }, () => identify(node.httpPort, "slow"));
    await untilMachine(node, "slow", ({ pid }) => pid !== null);
    node.writeApp("slow", slow(9090));
    await node.node.control.reload();
    for (const { app } of await Promise.all(waiting)) assert.equal(app, "slow");
  });

  test("that changes an app which sleeps wakes nothing; the next request starts the machine as it is now", async () => {
    const { pid, machine } = await identify(node.httpPort, "sleeping");
    await node.node.control.suspend("sleeping", machine);
    node.writeApp("sleeping", processApp("sleeping", { env: { COLOR: "blue" } }));
    await node.node.control.reload();
    const again = await identify(node.httpPort, "sleeping");
    assert.deepEqual([again.color, again.pid === pid], ["blue", false]);
    assert.equal(processState(pid), null);
  });

  test("that is asked for while another is under way sees what changed since that one read its files", async () => {
    node.writeApp("first", steady("first"));
    const one = node.node.control.reload();
    node.writeApp("second", steady("second"));
    const other = node.node.control.reload();
    await Promise.all([one, other]);
    assert.equal((await identify(node.httpPort, "first")).app, "first");
    assert.equal((await identify(node.httpPort, "second")).app, "second");
  });
});
