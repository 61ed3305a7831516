// A node that stops: takes no more connections, lets what is under way finish for as long as it may, and ends its machines or leaves them.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ask, askMachine, identify, machineOf, processApp, untilMachine } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { assertNoneLeft, isRunning, processState } from "../support/processes.ts";
import { RawClient } from "../support/raw-client.ts";

const GET = "GET / HTTP/1.1\r\nhost: hello.localhost\r\n\r\n";
const HOLD = "GET /hold HTTP/1.1\r\nhost: hello.localhost\r\n\r\n";

describe("a node that stops", () => {
  test("answers what is under way, closes what rests, and takes nothing new", async () => {
    await using node = await startTestNode({ workers: 2, apps: { hello: processApp("hello") } });
    const { pid } = await identify(node.httpPort, "hello");
    const machine = machineOf(node, "hello");
    using resting = await RawClient.connect(node.httpPort);
    await resting.send(GET).response();
    using fresh = await RawClient.connect(node.httpPort);
    using held = await RawClient.connect(node.httpPort);
    held.send(HOLD);
    await eventually(() => node.node.control.inFlight(machine.id) === 1, "a request in flight");

    const stopped = node.node.stop();
    assert.equal(node.node.control.isReady(), false);
    for (const client of [resting, fresh]) {
      await client.untilEnd();
      client.end();
    }
    const isRefused = (error: NodeJS.ErrnoException): boolean => error.code === "ECONNREFUSED";
    await eventually(() => ask(node.httpPort, "hello").then(() => false, isRefused), "all workers to refuse connections");
    const { status } = await ask(Number(new URL(node.adminUrl).port), "admin", "/readyz");
    assert.equal(status, 503);
    assert.ok(isRunning(pid));

    await askMachine(machine, "/release");
    const received = await held.untilEnd();
    held.end();
    assert.match(received, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(received, /\r\nconnection: close\r\n/i);
    await stopped;
    assert.equal(processState(pid), null);
  });

  test("still wakes the machine for a request that waits for it", async () => {
    await using node = await startTestNode({ apps: { hello: processApp("hello", { env: { BOOT_MS: "300" } }) } });
    const waiting = identify(node.httpPort, "hello");
    await untilMachine(node, "hello", ({ state }) => state === "starting");
    await node.node.stop();
    assert.equal((await waiting).region, "ams");
  });

  test("cuts what is not finished when the time is up", async () => {
    await using node = await startTestNode({ workers: 2, apps: { hello: processApp("hello") }, tables: '[timeouts]\ndrain = "300ms"' });
    await identify(node.httpPort, "hello");
    using held = await RawClient.connect(node.httpPort);
    held.send(HOLD);
    using tunnel = await RawClient.connect(node.httpPort);
    tunnel.send("GET / HTTP/1.1\r\nhost: hello.localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n");
    tunnel.send("sec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n");
    await tunnel.response({ toHead: true });
    await eventually(() => node.node.control.inFlight(machineOf(node, "hello").id) === 2, "both in flight");
    const beganMs = performance.now();
    await node.node.stop();
    const tookMs = performance.now() - beganMs;
    assert.equal(await held.untilEnd(), "");
    assert.equal(held.wasReset, true);
    // It was told, but it did not answer.
    await tunnel.untilEnd();
    assert.equal(tunnel.rest, "\x88\x02\x03\xe9");
    assert.ok(tookMs > 290 && tookMs < 20_000, `${tookMs} ms`);
  });

  test("leaves its machines running when asked to, for the next one", async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "kittiwake-draining-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const apps = { hello: processApp("hello"), asleep: processApp("asleep") };
    const first = await startTestNode({ dir, apps });
    const { pid } = await identify(first.httpPort, "hello");
    const asleep = await identify(first.httpPort, "asleep");
    await first.node.control.suspend("asleep", asleep.machine);
    await first.node.stop({ keepMachines: true });
    assert.deepEqual([isRunning(pid), processState(asleep.pid)], [true, "T"]);
    {
      await using second = await startTestNode({ dir, apps });
      assert.equal((await identify(second.httpPort, "hello")).pid, pid);
      assert.equal((await identify(second.httpPort, "asleep")).pid, asleep.pid);
      await second.node.control.suspend("asleep", asleep.machine);
    }
    assert.deepEqual([processState(pid), processState(asleep.pid)], [null, null]);
    assertNoneLeft(join(dir, "data"));
  });

  test("and is stopped a second time meanwhile ends once", async () => {
    await using node = await startTestNode({ apps: { hello: processApp("hello") } });
    await identify(node.httpPort, "hello");
    await Promise.all([node.node.stop(), node.node.stop()]);
  });
});
