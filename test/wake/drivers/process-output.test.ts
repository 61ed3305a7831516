// Output of processes: complete, in order, bounded, and harmless to the node however much there is.
// @own-process: the memory that it measures is to be its own.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { suite, test } from "node:test";

import { BACKLOG_BYTES, TRUNCATE_BYTES } from "../../../src/wake/drivers/output-tail.ts";
import { ProcessDriver } from "../../../src/wake/drivers/process.ts";
import { ProcessHarness, runs, until } from "./process-harness.ts";

function logBytes(harness: ProcessHarness, stream: "stdout" | "stderr"): number {
  return statSync(join(harness.dir, "machines/m1", `${stream}.log`)).size;
}

suite("the output of a process", { timeout: 20_000 }, () => {
  test("comes line by line while the machine runs, each stream under its name", async () => {
    await using harness = new ProcessHarness();
    await harness.driver.start(
      harness.shell("echo to stdout; echo to stderr >&2; printf 'with return\\r\\n\\n'; exec sleep 60", { id: "m1" }),
    );
    await harness.events.line(/^$/);
    await harness.events.line(/^to stderr$/);
    assert.deepEqual(harness.events.of("stdout"), ["to stdout", "with return", ""]);
    assert.deepEqual(harness.events.of("stderr"), ["to stderr"]);
  });

  test("a new launch does not repeat the output of the one before", async () => {
    await using harness = new ProcessHarness();
    const machine = harness.shell("echo once; exit 0", { id: "m1" });
    await harness.driver.start(machine);
    await harness.events.exit("m1");
    harness.events.clear();
    await harness.driver.start(machine);
    await harness.events.exit("m1");
    assert.deepEqual(harness.events.order, ["once", "exit m1"]);
  });

  test("a file that was read to its end is emptied beyond 8 MB, and what follows is read on", async () => {
    await using harness = new ProcessHarness();
    const fill = `head -c ${TRUNCATE_BYTES + 1_000_000} /dev/zero | tr '\\0' x | fold -w 999`;
    const command = `trap 'echo again' USR1; ${fill}; echo; echo filled; while :; do sleep 60 & wait $!; done`;
    const { pid } = await harness.driver.start(harness.shell(command, { id: "m1" }));
    await harness.events.line(/^filled$/);
    await until(() => logBytes(harness, "stdout") === 0);
    const filled = harness.events.lines.filter(({ line }) => line.startsWith("x")).reduce((sum, { line }) => sum + line.length, 0);
    assert.equal(filled, TRUNCATE_BYTES + 1_000_000);
    process.kill(pid ?? 0, "SIGUSR1");
    await harness.events.line(/^again$/);
    assert.equal(logBytes(harness, "stdout"), "again\n".length);
  });

  test("a flood neither stalls the node nor grows its memory or the disk", async () => {
    await using harness = new ProcessHarness();
    const dropped = Promise.withResolvers<void>();
    let lines = 0;
    let quiet = 0;
    const driver = new ProcessDriver({
      dir: harness.dir,
      nodeId: harness.nodeId,
      hostEnvironment: process.env,
      events: {
        onExit: () => {},
        onOutput: (machineId, _stream, line) => {
          if (machineId === "quiet") quiet++;
          lines++;
          if (line.includes("bytes of output dropped")) dropped.resolve();
        },
      },
    });
    harness.driver = driver;
    const memoryBefore = process.memoryUsage().rss;
    const delays = monitorEventLoopDelay({ resolution: 5 });
    delays.enable();
    const flood = harness.shell("exec yes 'a line of a flood'", { id: "m1" });
    const { handle } = await driver.start(flood);
    await driver.start(harness.shell("while :; do echo tick; sleep 0.02; done", { id: "quiet" }));
    await dropped.promise;
    const seen = quiet;
    await until(() => quiet > seen + 3);
    await driver.stop(flood, handle);
    delays.disable();
    const grownBytes = process.memoryUsage().rss - memoryBefore;
    assert.ok(lines > 1000, `${lines} lines`);
    assert.ok(delays.max / 1e6 < 250, `the event loop stood still for ${delays.max / 1e6} ms`);
    assert.ok(grownBytes < 100 * 1024 * 1024, `memory grew by ${grownBytes} bytes`);
    assert.ok(logBytes(harness, "stdout") < BACKLOG_BYTES * 4, `the file has ${logBytes(harness, "stdout")} bytes`);
  });

  test("a flood without line breaks comes in pieces of 16 KB", async () => {
    await using harness = new ProcessHarness();
    await harness.driver.start(harness.shell("head -c 100000 /dev/zero | tr '\\0' x; echo; exit 0", { id: "m1" }));
    await harness.events.exit("m1");
    assert.deepEqual(
      harness.events.lines.map(({ line }) => line.length),
      [16384, 16384, 16384, 16384, 16384, 16384, 1696],
    );
  });

  test("after close nothing is reported any more", async () => {
    await using harness = new ProcessHarness();
    const { pid } = await harness.driver.start(harness.shell("trap 'exit 0' USR1; while :; do echo more; sleep 0.01; done", { id: "m1" }));
    await harness.events.line(/^more$/);
    await harness.driver.close();
    harness.events.clear();
    process.kill(pid ?? 0, "SIGUSR1");
    await until(() => !runs(pid ?? 0));
    assert.deepEqual(harness.events.order, []);
  });
});
