// What a node finds again after its predecessor was killed: machines, duplicates, strays; and what it must not touch.

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { suite, test } from "node:test";

import type { DriverHandle } from "../../../src/core/machine.ts";
import type { LaunchSpec } from "../../../src/wake/driver.ts";
import { readProcess } from "../../../src/wake/drivers/process-table.ts";
import { ask } from "../driver-contract.ts";
import { ProcessHarness, runs, until } from "./process-harness.ts";

const NODE_PROCESS = join(import.meta.dirname, "fixtures/node-process.ts");

/** Another node over the harness's data, in a process of its own, with one machine started. */
class OtherNode {
  readonly lines: string[] = [];
  readonly #process: ChildProcess;
  #handle = Promise.withResolvers<DriverHandle>();
  #onLine: () => void = () => {};

  constructor({ dir, nodeId }: ProcessHarness, machine: LaunchSpec) {
    this.#process = spawn(process.execPath, [NODE_PROCESS, JSON.stringify({ dir, nodeId, machine })], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    createInterface({ input: this.#process.stdout as NodeJS.ReadableStream }).on("line", (text) => {
      if (text.startsWith("launched ")) this.#handle.resolve(JSON.parse(text.slice(9)) as DriverHandle);
      if (text.startsWith("line ")) this.lines.push(text.slice(5));
      this.#onLine();
    });
  }

  get handle(): Promise<DriverHandle> {
    return this.#handle.promise;
  }

  async hasLines(count: number): Promise<void> {
    while (this.lines.length < count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onLine = resolve;
      await promise;
    }
  }

  /** `kill -9`; resolves when it is gone and all it said was read. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const closed = once(this.#process, "close");
    this.#process.kill("SIGKILL");
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

suite("after kill -9 of the node", { timeout: 20_000 }, () => {
  test("the next node adopts the machine by its handle: same process, same address, same memory", async () => {
    await using harness = new ProcessHarness();
    await using node = new OtherNode(harness, harness.machine);
    const handle = await node.handle;
    await node.hasLines(1);
    const address = { host: "127.0.0.1", port: handle["port_8080"] as number };
    assert.equal(await ask(address), "1");
    await node.kill();
    assert.equal(await ask(address), "2");

    const adopted = await harness.driver.adopt(harness.machine, handle);
    assert.deepEqual(adopted?.handle, handle);
    assert.deepEqual(adopted.addresses[8080], address);
    assert.equal(adopted.state, "started");
    assert.equal(await ask(address), "3");

    await harness.driver.suspend(harness.machine, handle);
    await harness.driver.resume(harness.machine, handle);
    assert.equal(await ask(address), "4");
    await harness.driver.stop(harness.machine, handle);
    assert.equal(runs(adopted.pid ?? 0), false);
    assert.deepEqual(harness.events.exits, []);
  });

  test("without a handle, the machine is found by its environment, and its ports too", async () => {
    await using harness = new ProcessHarness();
    await using node = new OtherNode(harness, harness.machine);
    const handle = await node.handle;
    await node.kill();
    const adopted = await harness.driver.adopt(harness.machine, null);
    assert.deepEqual(adopted?.handle, handle);
    assert.equal(adopted.pid, handle["pid"]);
  });

  test("lines are neither lost nor repeated, those written while no node ran included", async () => {
    await using harness = new ProcessHarness();
    const machine = harness.shell("n=0; while :; do n=$((n+1)); echo $n; sleep 0.005; done");
    await using node = new OtherNode(harness, machine);
    await node.hasLines(20);
    await node.kill();
    await harness.driver.adopt(machine, await node.handle);
    await harness.events.line(/^150$/);
    const before = node.lines.map(Number);
    const after = harness.events.lines.map(({ line }) => Number(line));
    assert.deepEqual(
      before,
      before.map((_, index) => index + 1),
    );
    const [first = 0] = after;
    // The kill may fall between a few lines and the note that they were handed on.
    assert.ok(first <= before.length + 1 && first > before.length - 10, `${before.length} lines before, then ${first}`);
    assert.deepEqual(
      after,
      after.map((_, index) => first + index),
    );
  });

  test("the end of an adopted machine is seen, with nothing left of it", async () => {
    await using harness = new ProcessHarness();
    const command =
      "setsid sh -c 'echo escapee $$; exec sleep 60' & trap 'echo going; exit 5' USR1; echo leader $$; while :; do sleep 60 & wait $!; done";
    const machine = harness.shell(command, { id: "m1" });
    await using node = new OtherNode(harness, machine);
    await node.hasLines(2);
    await node.kill();
    const adopted = await harness.driver.adopt(machine, await node.handle);
    process.kill(adopted?.pid ?? 0, "SIGUSR1");
    assert.deepEqual(await harness.events.exit("m1"), { exitCode: null, signal: null });
    assert.deepEqual(harness.events.order.slice(-2), ["going", "exit m1"]);
    const escapee = node.lines.find((line) => line.startsWith("escapee "))?.slice(8);
    assert.equal(runs(Number(escapee)), false);
  });

  test("a machine that ended meanwhile is not adopted; its leftovers are ended and its last words told", async () => {
    await using harness = new ProcessHarness();
    const command =
      "(setsid sh -c 'echo escapee $$; exec sleep 60' &); trap 'echo last words; exit 5' USR1; echo up; while :; do sleep 60 & wait $!; done";
    const machine = harness.shell(command);
    await using node = new OtherNode(harness, machine);
    await node.hasLines(2);
    await node.kill();
    const handle = await node.handle;
    const pid = handle["pid"] as number;
    process.kill(pid, "SIGUSR1");
    await until(() => !runs(pid));
    assert.equal(await harness.driver.adopt(machine, handle), null);
    assert.equal(harness.events.order.at(-1), "last words");
    const escapee = node.lines.find((line) => line.startsWith("escapee "))?.slice(8);
    assert.equal(runs(Number(escapee)), false);
  });
});

suite("finding processes again", { timeout: 20_000 }, () => {
  for (const known of ["oldest", "youngest"] as const) {
    test(`of two copies of a machine, the one in the handle (here the ${known}) is kept and the other ended`, async () => {
      await using harness = new ProcessHarness();
      const machine = harness.shell("exec sleep 60");
      const first = await harness.driver.start(machine);
      const second = await (await harness.reopen()).start(machine);
      const [kept, ended] = known === "oldest" ? [first, second] : [second, first];
      const adopted = await (await harness.reopen()).adopt(machine, kept.handle);
      assert.equal(adopted?.pid, kept.pid);
      assert.equal(runs(kept.pid ?? 0), true);
      assert.equal(runs(ended.pid ?? 0), false);
    });
  }

  test("of two copies without a handle, the oldest is kept", async () => {
    await using harness = new ProcessHarness();
    const machine = harness.shell("exec sleep 60");
    const first = await harness.driver.start(machine);
    // Start times are in ticks, hundredths of a second.
    const firstStart = readProcess(first.pid ?? 0)?.startTime ?? Infinity;
    await until(() => Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]) * 100 > firstStart + 1);
    const second = await (await harness.reopen()).start(machine);
    const adopted = await (await harness.reopen()).adopt(machine, null);
    assert.equal(adopted?.pid, first.pid);
    assert.equal(runs(second.pid ?? 0), false);
  });

  test("a machine of another node of this computer is not ours", async () => {
    await using harness = new ProcessHarness();
    await using other = new ProcessHarness();
    const machine = harness.shell("exec sleep 60");
    const { pid } = await other.driver.start(machine);
    assert.equal(await harness.driver.adopt(machine, null), null);
    assert.deepEqual(await harness.driver.endStrays(new Set()), []);
    assert.equal(runs(pid ?? 0), true);
  });

  test("a pid that became another process's is neither adopted, nor frozen, nor ended", async () => {
    await using harness = new ProcessHarness();
    const machine = harness.shell("exec sleep 60");
    const { handle } = await harness.driver.start(machine);
    await harness.driver.stop(machine, handle);
    const bystander = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
    try {
      const info = readProcess(bystander.pid ?? 0);
      assert.ok(info !== null);
      const stale = [
        { ...handle, pid: info.pid, startTime: info.startTime - 1 },
        { ...handle, pid: info.pid, startTime: info.startTime, bootId: "another boot" },
      ];
      for (const fake of stale) {
        assert.equal(await harness.driver.adopt(machine, fake), null);
        await assert.rejects(harness.driver.suspend(machine, fake), { code: "machine_state" });
        await harness.driver.stop(machine, fake);
        assert.match(readProcess(info.pid)?.state ?? "gone", /[SR]/);
      }
    } finally {
      bystander.kill("SIGKILL");
    }
  });

  test("a handle of another shape is no handle", async () => {
    await using harness = new ProcessHarness();
    const machine = harness.shell("exec sleep 60");
    const shapes: DriverHandle[] = [
      {},
      { pid: 0, startTime: 0, token: "", bootId: "" },
      { pid: -1, startTime: 1, token: "a", bootId: "b" },
      { container: "c" },
    ];
    for (const handle of shapes) {
      assert.equal(await harness.driver.adopt(machine, handle), null);
      await harness.driver.stop(machine, handle);
    }
  });

  test("strays are ended, known and followed machines are not", async () => {
    await using harness = new ProcessHarness();
    const stray = await harness.driver.start(
      harness.shell("trap 'exit 0' INT; (setsid sh -c 'echo escapee $$; exec sleep 60' &); while :; do sleep 0.05; done", { id: "stray" }),
    );
    const known = await harness.driver.start(harness.shell("exec sleep 60", { id: "known" }));
    const escapee = await harness.pid("escapee");
    const next = await harness.reopen();
    const followed = await next.start(harness.shell("exec sleep 60", { id: "followed" }));
    assert.deepEqual(await next.endStrays(new Set(["known"])), ["stray"]);
    assert.deepEqual(
      [stray.pid, escapee, known.pid, followed.pid].map((pid) => runs(pid ?? 0)),
      [false, false, true, true],
    );
    assert.deepEqual(await next.endStrays(new Set(["known"])), []);
  });
});
