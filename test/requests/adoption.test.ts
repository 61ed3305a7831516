// A node that is killed leaves its machines running; the next one with its data finds all of them, starts none twice, and ends those that
// nobody wants any more.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ask, identify, processApp, startsIn } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { writeConfig } from "../support/node.ts";
import { assertNoneLeft, NodeProcess, processesOf, processState } from "../support/processes.ts";

/** A directory for nodes that follow each other. At its end none of their machines may be left. */
class Home implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), "kittiwake-adoption-"));
  readonly configPath: string;

  constructor(apps: Readonly<Record<string, string>>) {
    this.configPath = writeConfig(this.dir, { apps, workers: 2 });
  }

  get dataDir(): string {
    return join(this.dir, "data");
  }

  remove(app: string): void {
    rmSync(join(this.dir, "apps", `${app}.toml`));
  }

  /** Pids by start, over all nodes. */
  starts(app: string): number[] {
    return startsIn(join(this.dir, "apps", `${app}.starts`));
  }

  [Symbol.dispose](): void {
    assertNoneLeft(this.dataDir);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function recorded(name: string, options: Parameters<typeof processApp>[1] = {}): string {
  return processApp(name, { ...options, env: { STARTS_FILE: `${name}.starts`, ...options.env } });
}

/** Asks again and again until it is told to end; failures are the killed node's. Resolves with the number of answers. */
async function load(port: number, app: string, signal: AbortSignal): Promise<number> {
  let answers = 0;
  while (!signal.aborted) {
    const { status } = await ask(port, app).catch(() => ({ status: 0 }));
    if (status === 200) answers++;
    else await new Promise((resolve) => setImmediate(resolve));
  }
  return answers;
}

describe("after kill -9 of the node under load", () => {
  test("the same processes serve again, those asleep sleep on, and those of a removed app are ended", async () => {
    using home = new Home({
      busy: recorded("busy", { regions: ["ams", "nrt"], autoStop: "off" }),
      asleep: recorded("asleep"),
      stopped: recorded("stopped"),
      gone: recorded("gone", { autoStop: "off" }),
    });
    const [asleep, gone, busy] = await (async () => {
      await using first = await NodeProcess.start(home.configPath);
      const pids = {
        asleep: await identify(first.httpPort, "asleep"),
        gone: await identify(first.httpPort, "gone"),
        stopped: await identify(first.httpPort, "stopped"),
        busy: await identify(first.httpPort, "busy"),
      };
      await first.admin.act("suspend", "asleep", "ams");
      await first.admin.act("stop", "stopped", "ams");
      await eventually(async () => (await first.admin.machines("busy")).every(({ state }) => state === "started"), "both to run");
      const over = new AbortController();
      const clients = Promise.all(Array.from({ length: 8 }, () => load(first.httpPort, "busy", over.signal)));
      await eventually(async () => (await identify(first.httpPort, "busy")).served > 100, "load");
      await first.kill();
      over.abort();
      assert.ok((await clients).every((answers) => answers > 0));
      return [pids.asleep, pids.gone, pids.busy];
    })();
    assert.equal(processState(asleep.pid), "T");
    assert.equal(processesOf(home.dataDir).length, 4);

    home.remove("gone");
    await using second = await NodeProcess.start(home.configPath);
    assert.equal(processState(gone.pid), null);
    assert.equal(processState(asleep.pid), "T");
    assert.deepEqual(
      (await second.admin.machines("asleep")).map(({ state }) => state),
      ["suspended"],
    );
    assert.deepEqual(
      (await second.admin.machines("stopped")).map(({ state }) => state),
      ["stopped"],
    );

    const again = await identify(second.httpPort, "busy");
    assert.equal(again.pid, busy.pid);
    assert.ok(again.served > 100, "it has its memory");
    assert.equal((await identify(second.httpPort, "asleep")).pid, asleep.pid);
    assert.equal((await ask(second.httpPort, "gone")).status, 404);
    assert.equal(home.starts("busy").length, 2);
    assert.deepEqual(home.starts("asleep"), [asleep.pid]);
    assert.deepEqual(processesOf(home.dataDir).toSorted(), [...home.starts("busy"), asleep.pid].toSorted());
  });

  test("a machine that was just starting is not started twice, and is served as soon as it listens", async () => {
    using home = new Home({ slow: recorded("slow", { env: { BOOT_MS: "2000" } }) });
    const first = await NodeProcess.start(home.configPath);
    const lost = assert.rejects(ask(first.httpPort, "slow"));
    await eventually(() => processesOf(home.dataDir).length === 1, "the machine's process");
    await first.kill();
    await lost;
    await using second = await NodeProcess.start(home.configPath);
    const { pid } = await identify(second.httpPort, "slow");
    assert.deepEqual(home.starts("slow"), [pid]);
  });

  test("and again, a machine that changed meanwhile is started anew, one that ended as well, and one that did not change is kept", async () => {
    using home = new Home({ changed: recorded("changed"), ended: recorded("ended"), same: recorded("same") });
    const pids = new Map<string, number>();
    {
      await using first = await NodeProcess.start(home.configPath);
      for (const app of ["changed", "ended", "same"]) pids.set(app, (await identify(first.httpPort, app)).pid);
      await first.kill();
    }
    process.kill(pids.get("ended")!, "SIGKILL");
    writeConfig(home.dir, { workers: 2, apps: { changed: recorded("changed", { env: { COLOR: "red" } }) } });
    {
      await using second = await NodeProcess.start(home.configPath);
      const changed = await identify(second.httpPort, "changed");
      assert.equal(changed.color, "red");
      assert.equal(processState(pids.get("changed")!), null);
      assert.notEqual((await identify(second.httpPort, "ended")).pid, pids.get("ended"));
      assert.equal((await identify(second.httpPort, "same")).pid, pids.get("same"));
      assert.equal(processesOf(home.dataDir).length, 3);
      await second.kill();
    }
    await using third = await NodeProcess.start(home.configPath);
    assert.equal((await identify(third.httpPort, "same")).pid, pids.get("same"));
    assert.deepEqual(home.starts("same"), [pids.get("same")]);
  });
});
