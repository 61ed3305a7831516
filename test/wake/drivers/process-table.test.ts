// Reading /proc: names that look like fields, and pids that must never be signalled.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";

import {
  isAlive,
  listProcesses,
  readEnvironment,
  readProcess,
  signalGroup,
  signalProcess,
} from "../../../src/wake/drivers/process-table.ts";

suite("the process table", { timeout: 10_000 }, () => {
  test("reads the fields of a program whose name holds spaces, parentheses and line breaks", async () => {
    const directory = mkdtempSync(join(tmpdir(), "kittiwake-table-"));
    const program = join(directory, "a) S 1 (\n2)");
    copyFileSync("/bin/sleep", program);
    const child = spawn(program, ["60"], { detached: true, env: { NAME: "value=with=equals", EMPTY: "" }, stdio: "ignore" });
    try {
      await once(child, "spawn");
      const info = readProcess(child.pid ?? 0);
      assert.ok(info !== null);
      assert.deepEqual(
        { pid: info.pid, parent: info.parent, group: info.group, session: info.session },
        { pid: child.pid, parent: process.pid, group: child.pid, session: child.pid },
      );
      assert.ok(info.startTime > (readProcess(process.pid)?.startTime ?? Infinity) - 1);
      assert.deepEqual([...readEnvironment(info.pid)].toSorted(), [
        ["EMPTY", ""],
        ["NAME", "value=with=equals"],
      ]);
    } finally {
      child.kill("SIGKILL");
      rmSync(directory, { recursive: true });
    }
  });

  test("reads the environment of a program that takes the place of another one at that moment", async () => {
    const directory = mkdtempSync(join(tmpdir(), "kittiwake-table-"));
    const script = join(directory, "again.sh");
    writeFileSync(script, `exec /bin/sh "${script}"\n`);
    const child = spawn("/bin/sh", [script], { detached: true, env: { NAME: "value" }, stdio: "ignore" });
    try {
      await once(child, "spawn");
      // One look in sixty meets that moment.
      for (let i = 0; i < 3000; i++) assert.equal(readEnvironment(child.pid ?? 0).get("NAME"), "value");
    } finally {
      child.kill("SIGKILL");
      rmSync(directory, { recursive: true });
    }
  });

  test("lists this process and no thread of the kernel", () => {
    const processes = listProcesses();
    assert.ok(processes.some(({ pid }) => pid === process.pid));
    assert.ok(!processes.some(({ pid, parent }) => pid === 2 || parent === 2));
  });

  test("a process that is gone is not there", () => {
    assert.equal(readProcess(2 ** 30), null);
    assert.equal(readEnvironment(2 ** 30).size, 0);
    assert.equal(isAlive({ pid: 2 ** 30, startTime: 1 }), false);
  });

  test("a signal for another start time reaches nobody", async () => {
    const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
    const exited = once(child, "exit");
    const info = readProcess(child.pid ?? 0);
    assert.ok(info !== null);
    signalProcess({ pid: info.pid, startTime: info.startTime + 1 }, "SIGTERM");
    signalGroup({ pid: info.pid, startTime: info.startTime + 1 }, "SIGTERM");
    signalProcess(info, "SIGKILL");
    assert.deepEqual(await exited, [null, "SIGKILL"]);
  });
});
