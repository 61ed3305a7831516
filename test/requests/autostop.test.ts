// Machines that nobody uses go to sleep, and nobody notices: never under a request or a WebSocket, and never so that a request is lost.

import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { ask, askMachine, identify, machineOf, processApp, untilMachine } from "../support/apps.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { processState } from "../support/processes.ts";

const IDLE = "300ms";
const CHECK = `
[[http_service.checks]]
path = "/health"
interval = "1s"
grace_period = "0s"
`;

const APPS = {
  suspends: processApp("suspends", { idleTimeout: IDLE, more: CHECK }),
  stops: processApp("stops", { idleTimeout: IDLE, autoStop: "stop" }),
  held: processApp("held", { idleTimeout: IDLE }),
  socket: processApp("socket", { idleTimeout: IDLE }),
  other: processApp("other", { idleTimeout: IDLE }),
  kept: processApp("kept", { idleTimeout: IDLE, regions: ["ams", "ams", "nrt"], minRunning: 1 }),
  slow: processApp("slow", { idleTimeout: IDLE, autoStop: "stop", env: { STOP_MS: "400" } }),
  busy: processApp("busy", { idleTimeout: IDLE }),
  pair: processApp("pair", { idleTimeout: IDLE, regions: ["ams", "ams"] }),
  restless: processApp("restless", { idleTimeout: "20ms" }),
};

let node: TestNode;
before(async () => {
  node = await startTestNode({ workers: 2, apps: APPS });
});
after(() => node[Symbol.asyncDispose]());

/** Resolves when an app without load has gone to sleep that was awake when this was called. */
async function longerThanIdleTimeout(): Promise<void> {
  await identify(node.httpPort, "other");
  await untilMachine(node, "other", ({ state }) => state === "suspended");
}

describe("a machine without load for idle_timeout (reference 6.1)", () => {
  test("is suspended, whatever its checks ask of it, and resumed by the next request", async () => {
    const { pid } = await identify(node.httpPort, "suspends");
    await untilMachine(node, "suspends", ({ health }) => health === "passing");
    await untilMachine(node, "suspends", ({ state }) => state === "suspended");
    assert.equal(processState(pid), "T");
    assert.equal((await identify(node.httpPort, "suspends")).pid, pid);
  });

  test("is stopped where auto_stop_machines says so, and started anew", async () => {
    const { pid } = await identify(node.httpPort, "stops");
    await untilMachine(node, "stops", ({ state }) => state === "stopped");
    assert.equal(processState(pid), null);
    assert.notEqual((await identify(node.httpPort, "stops")).pid, pid);
  });

  test("stays awake in the primary region as min_machines_running says, and nowhere else", async () => {
    const inAms = (): string[] =>
      node.node.control
        .machines("kept")
        .filter(({ region }) => region === "ams")
        .map(({ state }) => state);
    await untilMachine(node, "kept", ({ state }) => state === "started");
    const machines = node.node.control.machines("kept");
    await Promise.all(machines.map(({ id }) => node.node.control.start("kept", id)));
    await untilMachine(node, "kept", ({ state }) => state === "suspended", "nrt");
    await node.until(() => inAms().includes("suspended"));
    await longerThanIdleTimeout();
    assert.deepEqual(inAms().toSorted(), ["started", "suspended"]);
  });

  test("that is being stopped when a request comes is started anew for it (6.2: no PM08, 3.5: no PM11)", async () => {
    const { pid } = await identify(node.httpPort, "slow");
    await untilMachine(node, "slow", ({ state }) => state === "stopping");
    assert.notEqual((await identify(node.httpPort, "slow")).pid, pid);
  });
});

describe("a machine with load (reference 6.1)", () => {
  test("stays awake while a request is under way, and goes to sleep after it", async () => {
    const held = identify(node.httpPort, "held", "/hold");
    await untilMachine(node, "held", ({ state }) => state === "started");
    await longerThanIdleTimeout();
    const machine = machineOf(node, "held");
    assert.equal(machine.state, "started");
    await askMachine(machine, "/release");
    assert.equal((await held).machine, machine.id);
    await untilMachine(node, "held", ({ state }) => state === "suspended");
  });

  test("stays awake while a WebSocket is open, and goes to sleep after it", async () => {
    const client = new WebSocket(`ws://127.0.0.1:${node.httpPort}/`, { headers: { host: "socket.localhost" } });
    await once(client, "open");
    const { pid } = machineOf(node, "socket");
    await longerThanIdleTimeout();
    client.send("hello");
    const [data] = (await once(client, "message")) as [Buffer];
    assert.equal(data.toString(), `${pid} hello`);
    assert.equal(machineOf(node, "socket").state, "started");
    client.close();
    await untilMachine(node, "socket", ({ state }) => state === "suspended");
  });

  test("that it tells of in a response or a file stays awake until it takes that back, and clients hear nothing of it", async () => {
    const { headers } = await ask(node.httpPort, "busy", "/busy?s=3600");
    assert.equal(headers["kittiwake-busy"], undefined);
    await longerThanIdleTimeout();
    assert.equal(machineOf(node, "busy").state, "started");
    await ask(node.httpPort, "busy", "/busy-file?s=3600");
    await ask(node.httpPort, "busy", "/busy?s=0");
    await longerThanIdleTimeout();
    assert.equal(machineOf(node, "busy").state, "started");
    await ask(node.httpPort, "busy", "/busy-file?s=0");
    await untilMachine(node, "busy", ({ state }) => state === "suspended");
  });

  test("of a WebSocket goes to sleep where another one runs: both ends are told, and new ones go there (6.1, 2.5)", async () => {
    const [one, other] = node.node.control.machines("pair");
    const open = async (more: Record<string, string> = {}): Promise<WebSocket> => {
      const client = new WebSocket(`ws://127.0.0.1:${node.httpPort}/`, { headers: { host: "pair.localhost", ...more } });
      await once(client, "open");
      return client;
    };
    const clients = [await open({ "fly-force-instance-id": one!.id }), await open({ "fly-force-instance-id": other!.id })];
    const codes = clients.map(async (client) => (await once(client, "close"))[0] as number);
    assert.equal(await Promise.race(codes), 1001);
    await untilMachine(node, "pair", ({ state }) => state === "suspended");
    const awake = node.node.control.machines("pair").filter(({ state }) => state === "started");
    assert.equal(awake.length, 1);
    const left = clients.filter(({ readyState }) => readyState === WebSocket.OPEN);
    left.push(await open());
    left.at(-1)!.send("hello");
    const [data] = (await once(left.at(-1)!, "message")) as [Buffer];
    assert.equal(data.toString(), `${awake[0]!.pid} hello`);
    for (const client of left) client.close();
  });

  test("loses no request, however close to its falling asleep they come", async () => {
    const { pid } = await identify(node.httpPort, "restless");
    for (let round = 0; round < 30; round++) {
      // From well below the time-out to well above it.
      await delay((round * 11) % 60);
      const answers = await Promise.all([1, 2, 3].map(() => identify(node.httpPort, "restless")));
      assert.deepEqual(new Set(answers.map((answer) => answer.pid)), new Set([pid]));
    }
    const changes = node.events.flatMap((event) => (event.type === "machine_changed" ? [event.record] : []));
    assert.ok(
      changes.some(({ app, state }) => app === "restless" && state === "suspended"),
      "it never fell asleep meanwhile",
    );
  });
});
