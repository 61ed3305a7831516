// Stopping processes: all of a machine ends, wherever its processes went, and nothing else does.

import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { ProcessHarness, runs } from "./process-harness.ts";

/** Prints its pid under a name and sleeps. Ends by itself should a test be unable to end it. */
const SLEEPER = (name: string): string => `sh -c 'echo ${name} $$; exec sleep 60'`;

suite("stopping a process", { timeout: 20_000 }, () => {
  test("the kill signal reaches the process group, and a program that heeds it ends in its own way", async () => {
    await using harness = new ProcessHarness();
    const machine = harness.shell("trap 'echo bye; exit 0' USR1; echo ready; while :; do sleep 60 & wait $!; done", {
      killSignal: "SIGUSR1",
    });
    const { handle } = await harness.driver.start(machine);
    await harness.events.line(/^ready$/);
    await harness.driver.stop(machine, handle);
    // The shell tells of its child, whom the signal ended, on stderr.
    assert.deepEqual(harness.events.of("stdout"), ["ready", "bye"]);
  });

  test("a program that ignores the signal is killed after the timeout, and its children with it", async () => {
    await using harness = new ProcessHarness();
    const command = `trap '' TERM; ${SLEEPER("child")} & echo leader $$; while :; do sleep 60; done`;
    const machine = harness.shell(command, { killSignal: "SIGTERM", killTimeoutMs: 200 });
    const { handle } = await harness.driver.start(machine);
    const pids = [await harness.pid("leader"), await harness.pid("child")];
    const began = performance.now();
    await harness.driver.stop(machine, handle);
    const tookMs = performance.now() - began;
    assert.ok(tookMs >= 199 && tookMs < 10_000, `took ${tookMs} ms`);
    assert.deepEqual(pids.filter(runs), []);
    assert.deepEqual(harness.events.exits, []);
  });

  const escapes: [how: string, command: string][] = [
    ["a child in the group", `${SLEEPER("escapee")} & wait`],
    ["setsid", `setsid ${SLEEPER("escapee")} & wait`],
    ["setsid and a second fork", `(setsid ${SLEEPER("escapee")} &) ; exec sleep 60`],
    ["setsid and a cleaned environment", `env -i setsid ${SLEEPER("escapee")} & wait`],
    ["a cleaned environment and a second fork", `(env -i ${SLEEPER("escapee")} &) ; exec sleep 60`],
  ];
  for (const [how, command] of escapes) {
    test(`nobody escapes by ${how}`, async () => {
      await using harness = new ProcessHarness();
      const machine = harness.shell(command);
      const { handle } = await harness.driver.start(machine);
      const escapee = await harness.pid("escapee");
      await harness.driver.stop(machine, handle);
      assert.equal(runs(escapee), false);
    });
  }

  test("what outlives a main process that ended by itself is ended before the exit is reported", async () => {
    await using harness = new ProcessHarness();
    const machine = harness.shell(`(setsid ${SLEEPER("escapee")} &); ${SLEEPER("child")} & sleep 0.2; exit 4`, { id: "m1" });
    await harness.driver.start(machine);
    assert.deepEqual(await harness.events.exit("m1"), { exitCode: 4, signal: null });
    assert.deepEqual([await harness.pid("escapee"), await harness.pid("child")].filter(runs), []);
  });

  test("another machine of the same node is left alone", async () => {
    await using harness = new ProcessHarness();
    const [one, two] = [harness.shell("exec sleep 60", { id: "m1" }), harness.shell("exec sleep 60", { id: "m2" })];
    const [first, second] = [await harness.driver.start(one), await harness.driver.start(two)];
    await harness.driver.stop(one, first.handle);
    assert.equal(runs(second.pid ?? 0), true);
  });

  test("a machine that ends while it is being stopped is stopped, not failed", async () => {
    await using harness = new ProcessHarness();
    for (let run = 0; run < 10; run++) {
      const machine = harness.shell("exit 1");
      const { handle } = await harness.driver.start(machine);
      await harness.driver.stop(machine, handle);
    }
    assert.deepEqual(harness.events.exits, []);
  });
});
