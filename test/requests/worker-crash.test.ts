// A worker that dies takes its own requests with it and nothing else: the others go on, it is replaced, and what it held is given back.

import assert from "node:assert/strict";
import { Agent } from "node:http";
import { after, before, describe, test } from "node:test";
import type { NodeStatus } from "../../src/admin/control.ts";
import { ask, askMachine, identify, machineOf, processApp, untilMachine } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

const WORKERS = 2;
const APPS = {
  loaded: processApp("loaded", { autoStop: "off" }),
  narrow: processApp("narrow", { softLimit: 4, hardLimit: 4 }),
  waking: processApp("waking", { env: { BOOT_MS: "400", STARTS_FILE: "waking.starts" } }),
};

let node: TestNode;
before(async () => {
  node = await startTestNode({ workers: WORKERS, apps: APPS });
});
after(() => node[Symbol.asyncDispose]());

function replacements(): number {
  return node.events.filter(({ type }) => type === "worker_replaced").length;
}

/** Resolves when a worker has died and its replacement accepts. */
async function crash(worker: number): Promise<void> {
  const before = replacements();
  node.node.crashWorker(worker);
  await node.until(() => replacements() > before);
  await eventually(() => node.node.control.isReady(), "the replacement to be ready");
}

function inFlight(app: string): number {
  return node.node.control.inFlight(machineOf(node, app).id);
}

/** The node's status with what its workers say now. */
async function freshStatus(): Promise<NodeStatus> {
  await node.node.control.metrics();
  return node.node.control.status();
}

function sumOf(workers: NodeStatus["workers"]): number {
  return workers.reduce((sum, { connections }) => sum + connections, 0);
}

/** The status of the answer; null when the request was lost. */
async function outcome(app: string, path = "/", agent?: Agent): Promise<number | null> {
  try {
    return (await ask(node.httpPort, app, path, agent === undefined ? {} : { agent })).status;
  } catch {
    return null;
  }
}

/** That many requests at once, a connection each. */
function crowd(size: number, app: string, path = "/"): Promise<(number | null)[]> {
  return Promise.all(Array.from({ length: size }, () => outcome(app, path)));
}

describe("a worker that dies", () => {
  test("under load costs its own requests alone, and all is well afterwards", async () => {
    await untilMachine(node, "loaded", ({ state }) => state === "started");
    for (let worker = 0; worker < WORKERS; worker++) {
      const requests = crowd(40, "loaded", "/hold");
      await eventually(() => inFlight("loaded") === 40, "40 requests in flight");
      await crash(worker);
      const left = inFlight("loaded");
      await askMachine(machineOf(node, "loaded"), "/release");
      const statuses = await requests;
      // What the dead worker held was given back at once; what the other one held was answered.
      assert.equal(statuses.filter((status) => status === 200).length, left);
      assert.equal(statuses.filter((status) => status === null).length, 40 - left);
      assert.ok(left > 0 && left < 40, `${left} of 40 left, so both workers had some`);
      await eventually(() => inFlight("loaded") === 0, "no request in flight");
      assert.deepEqual(new Set(await crowd(40, "loaded")), new Set([200]));
    }
    const { status } = await ask(Number(new URL(node.adminUrl).port), "admin", "/readyz");
    assert.equal(status, 200);
  });

  test("while clients keep asking loses no request of a client that tries again", async () => {
    let isOver = false;
    let answered = 0;
    let lost = 0;
    const client = async (): Promise<void> => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (!isOver) {
        const status = await outcome("loaded", "/", agent);
        if (status === 200) answered++;
        else if (status === null) lost++;
        else assert.fail(`${status}`);
      }
      agent.destroy();
    };
    const clients = Array.from({ length: 16 }, client);
    await eventually(() => answered > 200, "200 answers");
    await crash(0);
    const atReplacement = answered;
    await eventually(() => answered > atReplacement + 200, "200 more answers");
    isOver = true;
    await Promise.all(clients);
    // One for each connection that the worker had, and one for each that was on its way to it.
    assert.ok(lost <= 32, `${lost} requests lost`);
    assert.equal(inFlight("loaded"), 0);
  });

  test("gives the places that it held to those who wait in another", async () => {
    await identify(node.httpPort, "narrow");
    const held = crowd(4, "narrow", "/hold");
    await eventually(() => inFlight("narrow") === 4, "four requests in flight");
    await eventually(async () => sumOf((await freshStatus()).workers) === 4, "connections of earlier requests to end");
    const { workers } = await freshStatus();
    const fullest = workers.reduce((most, worker) => (worker.connections > most.connections ? worker : most));
    const waiting = crowd(40, "narrow");
    await eventually(async () => (await freshStatus()).waiting === 40, "40 requests that wait");
    await crash(fullest.index);
    // Nothing was released but what the dead worker held, and that suffices for all who wait in the other one.
    const statuses = await waiting;
    assert.deepEqual(new Set(statuses), new Set([200, null]));
    await askMachine(machineOf(node, "narrow"), "/release");
    assert.ok((await held).includes(null));
    assert.equal(inFlight("narrow"), 0);
  });

  test("while requests wait for a machine to wake loses its own, and the others are answered", async () => {
    const waiting = crowd(40, "waking");
    await untilMachine(node, "waking", ({ state }) => state === "starting");
    await crash(1);
    assert.deepEqual(new Set(await waiting), new Set([200, null]));
    const { pid } = await identify(node.httpPort, "waking");
    assert.equal(machineOf(node, "waking").pid, pid);
    assert.equal(inFlight("waking"), 0);
  });
});
