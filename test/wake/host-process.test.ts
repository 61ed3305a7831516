// The host with the driver "process": real programs, real signals, and a second host that comes after the first.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import type { App } from "../../src/core/app.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import { ProcessDriver } from "../../src/wake/drivers/process.ts";
import { HostRig } from "./host-rig.ts";
import { sampleApp } from "./sample-app.ts";

const AMS = "hello-ams";
const SERVE = `require("http").createServer((q, s) => s.end(process.pid + " " + process.env.FLY_REGION)).listen(process.env.PORT, "127.0.0.1")`;
const dirs: string[] = [];

after(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

function programOf(script: string, policy: "never" | "on-failure" = "on-failure"): App {
  const command = `exec '${process.execPath}' -e '${script}'`;
  return sampleApp({ groups: [{ name: "app", command, restart: { policy, retries: 3 } }] });
}

/** `dir` and `store` are what a node finds again after a restart. */
function processRig(dir: string, store: MemoryStore): HostRig {
  const events: { host?: HostRig["host"] } = {};
  const driver = new ProcessDriver({
    dir,
    hostEnvironment: process.env,
    nodeId: `test-${process.pid}-${dirs.indexOf(dir)}`,
    events: {
      onExit: (id, exit) => events.host?.onExit(id, exit),
      onOutput: (id, stream, line) => events.host?.onOutput(id, stream, line),
    },
  });
  const rig = new HostRig({ store, drivers: new Map([["process", driver]]) });
  events.host = rig.host;
  return rig;
}

function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "kittiwake-host-"));
  dirs.push(dir);
  return dir;
}

function answerOf(rig: HostRig): Promise<string> {
  const { host, port } = rig.record().addresses[8080] ?? {};
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, agent: false }, (response) => {
      response.setEncoding("utf8").once("data", resolve);
    });
    outgoing.on("error", reject).end();
  });
}

/** The program is a child of this process, so for a moment it may still be there as a zombie. */
async function untilReaped(pid: number): Promise<void> {
  const boundMs = performance.now() + 5000;
  while (performance.now() < boundMs) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.fail(`process ${pid} still runs`);
}

describe("a host with processes", () => {
  it("starts, freezes and thaws a program, which answers with the same pid", async () => {
    await using rig = processRig(newDir(), new MemoryStore());
    await rig.host.applyApps([programOf(SERVE)]);
    const { record } = await rig.host.start("hello", AMS);
    assert.equal(await answerOf(rig), `${record.pid} ams`);
    await rig.host.suspend("hello", AMS);
    await rig.host.start("hello", AMS);
    assert.equal(await answerOf(rig), `${record.pid} ams`);
  });

  it("starts a program again that was killed", async () => {
    await using rig = processRig(newDir(), new MemoryStore());
    await rig.host.applyApps([programOf(SERVE)]);
    const { pid } = (await rig.host.start("hello", AMS)).record;
    assert.ok(pid);
    process.kill(pid, "SIGKILL");
    await rig.until(() => rig.record().state === "started" && rig.record().pid !== pid);
    assert.equal(await answerOf(rig), `${rig.record().pid} ams`);
  });

  it("says why a program ended before it listened", async () => {
    await using rig = processRig(newDir(), new MemoryStore());
    await rig.host.applyApps([programOf(`console.error("no database"); process.exit(3)`, "never")]);
    await assert.rejects(rig.host.start("hello", AMS), {
      code: "wake_failed",
      message: 'machine "hello/ams" exited with code 3 before it listened on port 8080: no database',
    });
  });

  it("finds its program after it went without a word, and ends it in the end", async () => {
    const [dir, store] = [newDir(), new MemoryStore()];
    const app = programOf(SERVE);
    const first = processRig(dir, store);
    await first.host.applyApps([app]);
    const { pid } = (await first.host.start("hello", AMS)).record;
    await first.host.close({ keepMachines: true });
    {
      await using second = processRig(dir, store);
      await second.host.adopt([app]);
      await second.host.applyApps([app]);
      await second.untilState("started");
      assert.equal(await answerOf(second), `${pid} ams`);
    }
    assert.ok(pid);
    await untilReaped(pid);
  });
});
