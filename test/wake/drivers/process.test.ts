// The process driver: starting, the environment, and how ends are reported.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";

import { testDriverContract } from "../driver-contract.ts";
import { ProcessHarness } from "./process-harness.ts";

testDriverContract("process", async () => new ProcessHarness());

suite("starting a process", { timeout: 20_000 }, () => {
  test("its environment is the machine's, six variables of the host, and what the driver knows", async () => {
    await using harness = new ProcessHarness();
    const host = { PATH: "/usr/bin:/bin", HOME: "/home/a", LANG: "C", TZ: "UTC", USER: "a", TMPDIR: "/tmp", SECRET: "no", PORT: "1" };
    harness.driver = harness.open(host);
    const env = { FLY_MACHINE_ID: "m1", FLY_APP_NAME: "hello", LANG: "nl", PORT: "8080", TEXT: "two\tparts = 'quoted'" };
    const machine = harness.spec({
      id: "m1",
      command: `tr '\\0' '\\n' < /proc/$$/environ; exit 0`,
      env,
      internalPorts: [8080, 9090, 8080],
    });
    const { addresses } = await harness.driver.start(machine);
    await harness.events.exit("m1");
    const seen = harness.events.lines.map(({ line }) => line);
    assert.deepEqual(seen.filter((line) => !line.startsWith("KITTIWAKE_LAUNCH=")).toSorted(), [
      "FLY_APP_NAME=hello",
      "FLY_MACHINE_ID=m1",
      "HOME=/home/a",
      `KITTIWAKE_BUSY_FILE=${harness.dir}/machines/m1/busy`,
      `KITTIWAKE_NODE=${harness.nodeId}`,
      "LANG=nl",
      "PATH=/usr/bin:/bin",
      `PORT=${addresses[8080]?.port}`,
      `PORT_8080=${addresses[8080]?.port}`,
      `PORT_9090=${addresses[9090]?.port}`,
      "TEXT=two\tparts = 'quoted'",
      "TMPDIR=/tmp",
      "TZ=UTC",
      "USER=a",
    ]);
    assert.equal(seen.length, 15);
  });

  test("it has no descriptor that the node opened but its three streams, and stdin is empty", async () => {
    await using harness = new ProcessHarness();
    await harness.driver.start(harness.shell("ls -l /proc/$$/fd; cat; exit 0", { id: "m1" }));
    await harness.events.exit("m1");
    const directory = join(harness.dir, "machines/m1");
    const seen = harness.events.lines.flatMap(({ line }) => / (\d+ -> .*)$/.exec(line)?.[1] ?? []);
    const given = inheritedDescriptors();
    assert.deepEqual(
      seen.filter((line) => !given.has(Number.parseInt(line, 10))),
      ["0 -> /dev/null", `1 -> ${directory}/stdout.log`, `2 -> ${directory}/stderr.log`],
    );
    assert.equal(statSync(join(directory, "stdout.log")).mode & 0o777, 0o600);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
  });

  test("it leads a session and process group of its own, in the app's directory", async () => {
    await using harness = new ProcessHarness();
    const { pid } = await harness.driver.start(harness.shell("pwd; cut -d ' ' -f 5,6 /proc/$$/stat; exit 0", { id: "m1" }));
    await harness.events.exit("m1");
    assert.deepEqual(
      harness.events.lines.map(({ line }) => line),
      [harness.dir, `${pid} ${pid}`],
    );
  });

  test("two machines never get the same port, however they are started", async () => {
    await using harness = new ProcessHarness();
    const machines = Array.from({ length: 8 }, (_, index) => harness.spec({ id: `m${index}`, command: "exec sleep 60" }));
    const launched = await Promise.all(machines.map((machine) => harness.driver.start(machine)));
    const ports = launched.flatMap(({ addresses }) => Object.values(addresses).map(({ port }) => port));
    assert.equal(new Set(ports).size, 16);
    assert.ok(ports.every((port) => port >= 20_000 && port <= 32_767));
  });

  const failures: [what: string, overrides: object, reason: RegExp][] = [
    ["no command", { command: "" }, /process group "app" has no command/],
    ["a working directory that is not there", { directory: "/nowhere/at/all" }, /working directory "\/nowhere\/at\/all" does not exist/],
    ["a working directory that is a file", { directory: "/proc/self/stat" }, /does not exist/],
    ["an argument list too long for the kernel", { env: { LONG: "x".repeat(200_000) } }, /too long/],
    ["a null byte in its command", { command: "echo \0" }, /null bytes/],
    ["an id that is no directory name", { id: "../../m1" }, /cannot be a directory name/],
  ];
  for (const [what, overrides, reason] of failures) {
    test(`${what} is spawn_failed, and leaves no file open`, async () => {
      await using harness = new ProcessHarness();
      const machine = harness.spec({ id: "m1", ...overrides });
      await assert.rejects(harness.driver.start(machine), { name: "ProxyError", code: "spawn_failed", message: reason });
      await assert.rejects(harness.driver.start(machine), { code: "spawn_failed" });
      assert.deepEqual(openFilesIn(harness.dir), []);
      assert.deepEqual(harness.events.exits, []);
    });
  }
});

suite("the end of a process", { timeout: 20_000 }, () => {
  const ends: [what: string, command: string, exit: object][] = [
    ["an exit code", "exit 3", { exitCode: 3, signal: null }],
    ["a clean exit", "true", { exitCode: 0, signal: null }],
    ["a command that does not exist", "no-such-program-anywhere", { exitCode: 127, signal: null }],
    ["a signal", "kill -9 $$", { exitCode: null, signal: "SIGKILL" }],
  ];
  for (const [what, command, exit] of ends) {
    test(`${what} is reported as an exit`, async () => {
      await using harness = new ProcessHarness();
      await harness.driver.start(harness.shell(command, { id: "m1" }));
      assert.deepEqual(await harness.events.exit("m1"), exit);
    });
  }

  test("its last words come before it, an unfinished line too", async () => {
    await using harness = new ProcessHarness();
    await harness.driver.start(harness.shell("echo first; printf last; exit 1", { id: "m1" }));
    await harness.events.exit("m1");
    assert.deepEqual(harness.events.order, ["first", "last", "exit m1"]);
  });

  test("the machine can be started again from the report of its exit", async () => {
    await using harness = new ProcessHarness();
    const machine = harness.shell("exit 1", { id: "m1" });
    await harness.driver.start(machine);
    for (let run = 1; run <= 3; run++) {
      await harness.events.exit("m1");
      harness.events.clear();
      await harness.driver.start(machine);
    }
    await harness.events.exit("m1");
  });
});

/** Descriptors that this process was given by its parent, and so passes on; its own are closed on exec (proc_pid_fdinfo(5)). */
function inheritedDescriptors(): Set<number> {
  const closeOnExec = 0o2000000;
  const descriptors = new Set<number>();
  for (const name of readdirSync("/proc/self/fd")) {
    const flags = /^flags:\s*(\d+)$/m.exec(readIfOpen(`/proc/self/fdinfo/${name}`))?.[1];
    if (Number(name) > 2 && flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0) descriptors.add(Number(name));
  }
  return descriptors;
}

function openFilesIn(directory: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${name}`);
      return target.startsWith(directory) ? [target] : [];
    } catch {
      return [];
    }
  });
}

/** The descriptor of the directory listing itself is closed by the time it is looked at. */
function readIfOpen(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
