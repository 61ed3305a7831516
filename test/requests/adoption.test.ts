// A node that is killed leaves its machines running; the next one with its data finds all of them, starts none twice, and ends those that
// nobody wants any more. The tests are one story in this order.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, identify, processApp, startsIn, type ProcessAppOptions } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { writeConfig } from "../support/node.ts";
import { assertNoneLeft, isRunning, NodeProcess, processesOf, processState } from "../support/processes.ts";

const dir = mkdtempSync(join(tmpdir(), "kittiwake-adoption-"));
const dataDir = join(dir, "data");
const configPath = join(dir, "kittiwake.toml");

const APPS = {
  busy: recorded("busy", { autoStop: "off" }),
  asleep: recorded("asleep"),
  stopped: recorded("stopped"),
  gone: recorded("gone", { autoStop: "off" }),
  changed: recorded("changed"),
  ended: recorded("ended"),
  slow: recorded("slow", { env: { BOOT_MS: "2500" } }),
};

/** What ran before the first node was killed. */
const pids = new Map<string, number>();
let node: NodeProcess;

before(async () => {
  writeConfig(dir, { apps: APPS, workers: 2 });
  node = await NodeProcess.start(configPath);
  for (const app of ["busy", "asleep", "stopped", "gone", "changed", "ended"]) {
    pids.set(app, (await identify(node.httpPort, app)).pid);
  }
  await node.admin.act("suspend", "asleep", "ams");
  await node.admin.act("stop", "stopped", "ams");
  await killUnderLoad();
  process.kill(pids.get("ended")!, "SIGKILL");
  await eventually(() => processState(pids.get("ended")!) === null, "a machine to end");
  rmSync(join(dir, "apps/gone.toml"));
  writeConfig(dir, { workers: 2, apps: { changed: recorded("changed", { env: { COLOR: "red" } }) } });
});

after(async () => {
  await node[Symbol.asyncDispose]();
  assertNoneLeft(dataDir);
  rmSync(dir, { recursive: true, force: true });
});

/** An app that writes down its starts, over all nodes. */
function recorded(name: string, options: ProcessAppOptions = {}): string {
  return processApp(name, { ...options, env: { STARTS_FILE: `${name}.starts`, ...options.env } });
}

function starts(app: string): number[] {
  return startsIn(join(dir, "apps", `${app}.starts`));
}

/** Ends the node as a crash would, with requests under way and a machine that is just starting. */
async function killUnderLoad(): Promise<void> {
  let answers = 0;
  let isOver = false;
  const client = async (): Promise<void> => {
    while (!isOver) {
      const { status } = await ask(node.httpPort, "busy").catch(() => ({ status: 0 }));
      if (status === 200) answers++;
      else await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const clients = Array.from({ length: 8 }, client);
  await eventually(() => answers > 100, "load");
  const lost = assert.rejects(ask(node.httpPort, "slow"));
  await eventually(() => processesOf(dataDir).length === 6, "the process of the slow machine");
  await node.kill();
  isOver = true;
  await Promise.all([lost, ...clients]);
}

describe("when a node was killed under load", () => {
  test("its machines stay as they are", () => {
    assert.equal(processState(pids.get("asleep")!), "T");
    assert.ok(isRunning(pids.get("busy")!));
    assert.equal(processState(pids.get("stopped")!), null);
    assert.equal(processesOf(dataDir).length, 5);
  });

  test("the next one serves with the same processes", async () => {
    node = await NodeProcess.start(configPath);
    const { pid, served } = await identify(node.httpPort, "busy");
    assert.equal(pid, pids.get("busy"));
    assert.ok(served > 100, "with what they have in memory");
    assert.deepEqual(starts("busy"), [pid]);
  });

  test("a machine that was asleep sleeps on until somebody asks for it", async () => {
    assert.equal(processState(pids.get("asleep")!), "T");
    const [asleep, stopped] = await Promise.all([node.admin.machines("asleep"), node.admin.machines("stopped")]);
    assert.deepEqual([asleep[0]?.state, stopped[0]?.state], ["suspended", "stopped"]);
    assert.equal((await identify(node.httpPort, "asleep")).pid, pids.get("asleep"));
    assert.deepEqual(starts("asleep"), [pids.get("asleep")]);
  });

  test("a machine that was just starting is served when it listens, and is not started twice", async () => {
    const { pid } = await identify(node.httpPort, "slow");
    assert.deepEqual(starts("slow"), [pid]);
  });

  test("a machine whose app is gone meanwhile is ended, and one whose app changed or that ended itself is started anew", async () => {
    assert.equal(processState(pids.get("gone")!), null);
    assert.equal((await ask(node.httpPort, "gone")).status, 404);
    assert.equal((await identify(node.httpPort, "changed")).color, "red");
    assert.equal(processState(pids.get("changed")!), null);
    assert.notEqual((await identify(node.httpPort, "ended")).pid, pids.get("ended"));
    assert.deepEqual([starts("gone").length, starts("changed").length, starts("ended").length], [1, 2, 2]);
  });

  test("nothing else runs, after a second time neither", async () => {
    const expected = [pids.get("busy"), pids.get("asleep"), starts("slow")[0], starts("changed")[1], starts("ended")[1]].toSorted();
    assert.deepEqual(processesOf(dataDir).toSorted(), expected);
    await node.kill();
    node = await NodeProcess.start(configPath);
    assert.equal((await identify(node.httpPort, "busy")).pid, pids.get("busy"));
    assert.equal((await identify(node.httpPort, "changed")).pid, starts("changed")[1]);
    assert.deepEqual(processesOf(dataDir).toSorted(), expected);
  });
});
