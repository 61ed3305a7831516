// Suspending processes: every process of the machine is stopped, and all go on after the resume.

import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { isFrozen, readProcess, signalProcess } from "../../../src/wake/drivers/process-table.ts";
import { ProcessHarness, runs, until } from "./process-harness.ts";

function isFrozenNow(pid: number): boolean {
  const info = readProcess(pid);
  return info !== null && isFrozen(info);
}

suite("suspending a process", { timeout: 20_000 }, () => {
  test("all processes of the machine stop, escapees too, and all go on", async () => {
    await using harness = new ProcessHarness();
    const busy = (name: string): string => `sh -c 'echo ${name} $$; while :; do :; done'`;
    const machine = harness.shell(`echo leader $$; ${busy("child")} & (setsid ${busy("escapee")} &) ; wait`);
    const { handle } = await harness.driver.start(machine);
    const pids = [await harness.pid("leader"), await harness.pid("child"), await harness.pid("escapee")];
    for (let round = 0; round < 3; round++) {
      await harness.driver.suspend(machine, handle);
      assert.deepEqual(pids.map(isFrozenNow), [true, true, true]);
      await harness.driver.resume(machine, handle);
      await until(() => !pids.some(isFrozenNow));
    }
    await harness.driver.suspend(machine, handle);
    await harness.driver.stop(machine, handle);
    assert.deepEqual(pids.filter(runs), []);
  });

  test("a machine that forks all the time is frozen completely", async () => {
    await using harness = new ProcessHarness();
    const forking = "while :; do setsid true; (true &); done";
    const machine = harness.shell(`echo leader $$; setsid sh -c '${forking}' & ${forking}`);
    const { handle } = await harness.driver.start(machine);
    const leader = await harness.pid("leader");
    for (let round = 0; round < 10; round++) {
      await harness.driver.suspend(machine, handle);
      assert.equal(isFrozenNow(leader), true);
      await harness.driver.resume(machine, handle);
    }
    await harness.driver.stop(machine, handle);
    assert.equal(runs(leader), false);
  });

  test("a suspended program sees its kill signal, and may still clean up", async () => {
    await using harness = new ProcessHarness();
    const machine = harness.shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 60 & wait $!; done", {
      killSignal: "SIGTERM",
    });
    const { handle } = await harness.driver.start(machine);
    await harness.events.line(/^ready$/);
    await harness.driver.suspend(machine, handle);
    await harness.driver.stop(machine, handle);
    assert.deepEqual(harness.events.of("stdout"), ["ready", "bye"]);
  });

  test("a suspended machine that is killed from outside is reported as an exit", async () => {
    await using harness = new ProcessHarness();
    const machine = harness.shell("exec sleep 60", { id: "m1" });
    const { handle, pid } = await harness.driver.start(machine);
    await harness.driver.suspend(machine, handle);
    const info = readProcess(pid ?? 0);
    assert.ok(info !== null);
    signalProcess(info, "SIGKILL");
    assert.deepEqual(await harness.events.exit("m1"), { exitCode: null, signal: "SIGKILL" });
    await assert.rejects(harness.driver.resume(machine, handle), { code: "machine_state" });
  });

  test("a half frozen machine is frozen completely when it is adopted", async () => {
    await using harness = new ProcessHarness();
    const machine = harness.shell(`echo leader $$; (setsid sh -c 'echo escapee $$; exec sleep 60' &) ; exec sleep 60`);
    const { handle } = await harness.driver.start(machine);
    const pids = [await harness.pid("leader"), await harness.pid("escapee")];
    const next = await harness.reopen();
    const leader = readProcess(pids[0] ?? 0);
    assert.ok(leader !== null);
    signalProcess(leader, "SIGSTOP");
    await until(() => isFrozenNow(leader.pid));
    assert.equal((await next.adopt(machine, handle))?.state, "suspended");
    assert.deepEqual(pids.map(isFrozenNow), [true, true]);
    await next.resume(machine, handle);
    await until(() => !pids.some(isFrozenNow));
  });
});
