// Requests that find their app asleep: held, one start for all of them, answered as soon as the machine accepts; or a clear refusal when it
// cannot be had.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { APP_COMMAND, ask, identify, machineOf, median, processApp, startsIn, untilMachine } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { processState } from "../support/processes.ts";
import { RawClient } from "../support/raw-client.ts";

const CROWD = 500;
const BROKEN_IN_AMS = `[ "$FLY_REGION" = ams ] && exit 7; ${APP_COMMAND}`;
const DEAF_IN_AMS = `[ "$FLY_REGION" = ams ] && exec sleep 600; ${APP_COMMAND}`;

const APPS = {
  stopped: processApp("stopped", { env: { STARTS_FILE: "stopped.starts" } }),
  suspended: processApp("suspended", { env: { STARTS_FILE: "suspended.starts" } }),
  quick: processApp("quick"),
  told: processApp("told", { env: { BOOT_MS: "50" } }),
  joined: processApp("joined", { env: { BOOT_MS: "300" } }),
  broken: processApp("broken", { command: BROKEN_IN_AMS, regions: ["ams", "nrt"] }),
  deaf: processApp("deaf", { command: DEAF_IN_AMS, regions: ["ams", "nrt"], wakeTimeout: "4s" }),
  dead: processApp("dead", { command: "exit 7", regions: ["ams", "nrt"] }),
  crashing: processApp("crashing", { env: { STARTS_FILE: "crashing.starts" } }),
  manual: processApp("manual", { autoStart: false }),
  secure: processApp("secure", { service: "force_https = true" }),
  left: processApp("left", { env: { BOOT_MS: "100" } }),
};

let node: TestNode;
before(async () => {
  node = await startTestNode({ workers: 2, apps: APPS });
});
after(() => node[Symbol.asyncDispose]());

/** How many requests at once, a connection each, got which status. */
async function crowd(app: string): Promise<Record<string, number>> {
  const answers = await Promise.all(Array.from({ length: CROWD }, () => ask(node.httpPort, app)));
  const counts: Record<string, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

describe("a crowd of first requests (reference 6.2: several wait on the same start)", () => {
  test("to a stopped machine causes exactly one start, and all are answered", async () => {
    assert.deepEqual(await crowd("stopped"), { 200: CROWD });
    assert.deepEqual(startsIn(join(node.dir, "apps/stopped.starts")), [machineOf(node, "stopped").pid]);
    assert.equal(node.events.filter((event) => event.type === "woke" && event.app === "stopped").length, 1);
  });

  test("to a suspended machine resumes it, and all are answered by the same process", async () => {
    const { pid, machine } = await identify(node.httpPort, "suspended");
    await node.node.control.suspend("suspended", machine);
    assert.equal(processState(pid), "T");
    assert.deepEqual(await crowd("suspended"), { 200: CROWD });
    assert.equal((await identify(node.httpPort, "suspended")).pid, pid);
    assert.deepEqual(startsIn(join(node.dir, "apps/suspended.starts")), [pid]);
  });
});

describe("a wake (reference 6.2)", () => {
  test("from suspended adds little to a warm request, and from stopped little to the app's own start", async (t) => {
    const { control } = node.node;
    const { machine } = await identify(node.httpPort, "quick");
    const warm: number[] = [];
    const suspended: number[] = [];
    for (let round = 0; round < 20; round++) {
      await control.suspend("quick", machine);
      suspended.push((await ask(node.httpPort, "quick")).firstByteMs);
      warm.push((await ask(node.httpPort, "quick")).firstByteMs);
    }
    const added: number[] = [];
    for (let round = 0; round < 5; round++) {
      await control.stop("quick", machine);
      const { body, firstByteMs } = await ask(node.httpPort, "quick");
      added.push(firstByteMs - (JSON.parse(body) as { readonly bootMs: number }).bootMs);
    }
    const [warmMs, suspendedMs, addedMs] = [median(warm), median(suspended), median(added)];
    t.diagnostic(`first byte: warm ${warmMs.toFixed(1)} ms, from suspended ${suspendedMs.toFixed(1)} ms`);
    t.diagnostic(`from stopped: ${addedMs.toFixed(1)} ms more than the app takes from its start to listening`);
    // The sharp figures are the benchmark's to hold; where other tests run at the same time they cannot be.
    assert.ok(suspendedMs - warmMs < 500, `${suspendedMs} ms against ${warmMs} ms`);
    assert.ok(addedMs < 2000, `${addedMs} ms`);
  });

  test("is told with what it took, and the machine's part of it", async () => {
    await identify(node.httpPort, "told");
    const { name, region, totalMs, startMs } = await node.event("woke", ({ app }) => app === "told");
    assert.deepEqual({ name, region }, { name: "ams", region: "ams" });
    assert.ok(startMs >= 50, `${startMs}`);
    assert.ok(totalMs >= startMs, `${totalMs} < ${startMs}`);
  });

  test("that was under way already is told with the whole of it, though the request waited for the rest alone", async () => {
    const started = node.node.control.start("joined", machineOf(node, "joined").id);
    await untilMachine(node, "joined", ({ pid }) => pid !== null);
    await identify(node.httpPort, "joined");
    await started;
    const { totalMs, startMs } = await node.event("woke", ({ app }) => app === "joined");
    assert.ok(totalMs >= startMs, `${totalMs} < ${startMs}`);
  });

  test("that fails moves on to the next machine", async () => {
    assert.equal((await identify(node.httpPort, "broken")).region, "nrt");
    const failures = node.events.filter((event) => event.type === "machine_changed" && /exited with code 7/.test(event.record.reason));
    assert.ok(failures.some((event) => event.type === "machine_changed" && event.record.region === "ams"));
  });

  test("of a machine that never listens times out, and the next request goes elsewhere", async () => {
    const { status, headers } = await ask(node.httpPort, "deaf");
    assert.deepEqual([status, headers["kittiwake-error"], headers["retry-after"]], [503, "wake_timeout", "5"]);
    assert.equal((await identify(node.httpPort, "deaf")).region, "nrt");
  });

  test("that no machine survives is a 503 with retry-after, for everyone who waited", async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(node.httpPort, "dead")));
    for (const { status, headers } of answers) {
      assert.deepEqual([status, headers["kittiwake-error"], headers["retry-after"]], [503, "wake_failed", "5"]);
    }
  });
});

describe("a request to an app whose machine has crashed", () => {
  test("waits for its restart, and causes no second one", async () => {
    await identify(node.httpPort, "crashing", "/exit?code=1");
    await untilMachine(node, "crashing", ({ state }) => state !== "started");
    const answers = await Promise.all(Array.from({ length: 20 }, () => identify(node.httpPort, "crashing")));
    const pids = startsIn(join(node.dir, "apps/crashing.starts"));
    assert.equal(pids.length, 2);
    assert.deepEqual(new Set(answers.map(({ pid }) => pid)), new Set([pids[1]]));
  });

  test("in its sleep starts it anew", async () => {
    const { pid, machine } = await identify(node.httpPort, "crashing");
    await node.node.control.suspend("crashing", machine);
    process.kill(pid, "SIGKILL");
    await untilMachine(node, "crashing", ({ state }) => state === "stopped");
    assert.notEqual((await identify(node.httpPort, "crashing")).pid, pid);
  });
});

describe("a request to an app that sleeps (reference 6.2)", () => {
  test("is refused when as many wait as may, over all workers", async () => {
    const apps = { crowded: processApp("crowded", { env: { BOOT_MS: "600" } }) };
    await using small = await startTestNode({ workers: 2, apps, tables: "[limits]\nwaiting_per_app = 3" });
    const waiting = Array.from({ length: 3 }, () => ask(small.httpPort, "crowded"));
    await eventually(async () => {
      await small.node.control.metrics();
      return small.node.control.status().waiting === 3;
    }, "three requests that wait");
    for (const { status, headers } of await Promise.all(Array.from({ length: 8 }, () => ask(small.httpPort, "crowded")))) {
      assert.deepEqual([status, headers["kittiwake-error"], headers["retry-after"]], [503, "queue_full", "1"]);
    }
    for (const { status } of await Promise.all(waiting)) assert.equal(status, 200);
  });

  test("wakes nothing where auto_start_machines is off", async () => {
    const { id } = await untilMachine(node, "manual", ({ state }) => state === "started");
    await node.node.control.stop("manual", id);
    const { status, headers } = await ask(node.httpPort, "manual");
    assert.deepEqual([status, headers["kittiwake-error"]], [503, "no_machine"]);
    assert.equal(machineOf(node, "manual").state, "stopped");
    await node.node.control.start("manual", id);
    assert.equal((await identify(node.httpPort, "manual")).machine, id);
  });

  test("wakes nothing when its host is unknown or it must come over HTTPS", async () => {
    assert.equal((await ask(node.httpPort, "nobody")).status, 404);
    assert.equal((await ask(node.httpPort, "secure")).status, 301);
    assert.equal(machineOf(node, "secure").state, "created");
  });

  test("that leaves while it waits is forgotten, and the machine wakes all the same", async () => {
    using client = await RawClient.connect(node.httpPort);
    client.send("GET / HTTP/1.1\r\nhost: left.localhost\r\n\r\n");
    await untilMachine(node, "left", ({ state }) => state === "starting");
    client.socket.resetAndDestroy();
    await untilMachine(node, "left", ({ state }) => state === "started");
    assert.equal((await identify(node.httpPort, "left")).served, 1);
  });
});
