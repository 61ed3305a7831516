import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { App } from "../../src/core/app.ts";
import { ProxyError } from "../../src/core/errors.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import type { RecordStore } from "../../src/wake/record-journal.ts";
import { HostRig, type RigOptions } from "./host-rig.ts";
import { sampleApp, sampleMachine } from "./sample-app.ts";
import { ServerDriver } from "./server-driver.ts";

const AMS = "hello-ams";

/** A host that starts its machine and then goes, leaving it; `prepare` sees it before. */
async function earlierNode(
  store: MemoryStore,
  driver: ServerDriver,
  prepare: (rig: HostRig) => Promise<unknown> = async () => {},
): Promise<void> {
  const rig = new HostRig({ store, driver });
  await rig.host.applyApps([sampleApp()]);
  await rig.host.start("hello", AMS);
  await prepare(rig);
  await rig.host.close({ keepMachines: true });
  driver.calls.length = 0;
}

async function nextNode(options: RigOptions, apps: App[] = [sampleApp()]): Promise<HostRig> {
  const rig = new HostRig(options);
  await rig.host.adopt(apps);
  await rig.host.applyApps(apps);
  return rig;
}

describe("a node that comes back", () => {
  it("serves a running machine again, the same one, and starts nothing", async () => {
    const [store, driver] = [new MemoryStore(), new ServerDriver()];
    await earlierNode(store, driver);
    await using rig = await nextNode({ store, driver });
    await rig.untilState("started");
    assert.equal(rig.record().pid, 1);
    assert.ok(rig.load.claim(AMS));
    rig.load.release(AMS);
    assert.deepEqual(driver.calls, [`adopt ${AMS}`]);
    assert.deepEqual(rig.states, [`${AMS} starting`, `${AMS} started`]);
  });

  it("holds requests for an adopted machine until its port accepts", async () => {
    const [store, driver] = [new MemoryStore(), new ServerDriver()];
    driver.listensLate = true;
    const rig = new HostRig({ store, driver });
    await rig.host.applyApps([sampleApp()]);
    const lost = rig.host.start("hello", AMS).catch(() => {});
    await rig.until(() => rig.record().pid !== null);
    await rig.host.close({ keepMachines: true });
    await lost;
    await using next = await nextNode({ store, driver });
    assert.equal(next.record().state, "starting");
    const start = next.host.start("hello", AMS);
    await driver.listen(AMS);
    assert.equal((await start).record.pid, 1);
    assert.equal(driver.launched.length, 1);
  });

  it("leaves a suspended machine suspended", async () => {
    const [store, driver] = [new MemoryStore(), new ServerDriver()];
    await earlierNode(store, driver, (rig) => rig.host.suspend("hello", AMS));
    await using rig = await nextNode({ store, driver });
    assert.equal(rig.record().state, "suspended");
    await rig.host.start("hello", AMS);
    assert.deepEqual(driver.calls, [`adopt ${AMS}`, `resume ${AMS}`]);
  });

  it("finds a machine that was launched when nothing but starting was stored", async () => {
    const [store, driver] = [new MemoryStore(), new ServerDriver()];
    await earlierNode(store, driver);
    const entry = await store.get(`machines/ams-1/hello/${AMS}`);
    assert.ok(entry);
    await store.put(entry.key, JSON.stringify({ ...JSON.parse(entry.value), state: "starting", handle: null, pid: null, addresses: {} }));
    await using rig = await nextNode({ store, driver });
    await rig.untilState("started");
    assert.equal(driver.launched.length, 1);
  });

  it("finds a machine whose record was lost, and starts it anew, since nobody knows what it was started with", async () => {
    const driver = new ServerDriver();
    await earlierNode(new MemoryStore(), driver);
    await using rig = await nextNode({ driver });
    await rig.untilState("started");
    assert.deepEqual(driver.calls, [`adopt ${AMS}`, `stop ${AMS}`, `start ${AMS}`]);
  });

  it("knows that a machine ended meanwhile", async () => {
    const [store, driver] = [new MemoryStore(), new ServerDriver()];
    await earlierNode(store, driver);
    await driver.vanish(AMS);
    await using rig = await nextNode({ store, driver });
    assert.equal(rig.record().state, "stopped");
    assert.equal(rig.record().handle, null);
    assert.equal(rig.record().reason, "ended while its node was away");
  });

  it("starts an adopted machine anew when its config changed meanwhile", async () => {
    const [store, driver] = [new MemoryStore(), new ServerDriver()];
    await earlierNode(store, driver);
    await using rig = await nextNode({ store, driver }, [sampleApp({ env: { COLOUR: "red" } })]);
    await rig.untilState("started");
    assert.equal(driver.launched.length, 2);
    assert.equal(driver.launched[1]?.env["COLOUR"], "red");
  });

  it("ends a machine whose app is gone, and forgets it", async () => {
    const [store, driver] = [new MemoryStore(), new ServerDriver()];
    await earlierNode(store, driver);
    await using rig = await nextNode({ store, driver }, []);
    assert.deepEqual(driver.running, []);
    assert.deepEqual(driver.calls, [`adopt ${AMS}`, `stop ${AMS}`]);
    await rig.host.close({ keepMachines: true });
    assert.deepEqual(await store.list("machines/"), []);
  });

  it("ends a machine whose app went to another driver", async () => {
    const [store, before, after] = [new MemoryStore(), new ServerDriver(), new ServerDriver({ name: "command" })];
    await earlierNode(store, before);
    const app = sampleApp({ driver: "command" });
    await using rig = await nextNode(
      {
        store,
        drivers: new Map([
          ["process", before],
          ["command", after],
        ]),
        driver: after,
      },
      [app],
    );
    assert.deepEqual(before.running, []);
    assert.equal(rig.record().state, "created");
  });

  it("leaves the machines of other nodes alone", async () => {
    const store = new MemoryStore();
    const driver = new ServerDriver();
    await earlierNode(store, driver);
    const [entry] = await store.list("machines/");
    assert.ok(entry);
    // Of the same app, with the same id: nodes that share a store may well have both.
    const other = entry.value.replaceAll("ams-1", "nrt-1");
    await store.put(`machines/nrt-1/hello/${AMS}`, other);
    await using rig = await nextNode({ store, driver }, []);
    await rig.host.close({ keepMachines: true });
    assert.deepEqual(
      (await store.list("machines/")).map(({ key, value }) => [key, value]),
      [[`machines/nrt-1/hello/${AMS}`, other]],
    );
    await driver.endAll();
  });

  it("goes on when a stored machine cannot be read", async () => {
    const store = new MemoryStore();
    await store.put(`machines/ams-1/hello/${AMS}`, '{"state":"dancing"}');
    await using rig = await nextNode({ store });
    assert.equal(rig.record().state, "created");
    assert.equal(rig.lines[0]?.["key"], `machines/ams-1/hello/${AMS}`);
  });

  it("keeps cordons and failures", async () => {
    const [store, driver] = [new MemoryStore(), new ServerDriver()];
    await earlierNode(store, driver, async (rig) => rig.host.setCordoned("hello", AMS, true));
    await using rig = await nextNode({ store, driver });
    assert.equal(rig.record().cordoned, true);
  });
});

describe("a store that fails", () => {
  /** A disk that is full until `repaired`. */
  class FullDisk implements RecordStore {
    readonly inner = new MemoryStore();
    repaired = false;
    failures = 0;
    list(prefix: string): Promise<{ key: string; value: string }[]> {
      return this.inner.list(prefix);
    }
    async put(key: string, value: string): Promise<unknown> {
      this.#check();
      return await this.inner.put(key, value);
    }
    async delete(key: string): Promise<void> {
      this.#check();
      await this.inner.delete(key);
    }
    #check(): void {
      if (this.repaired) return;
      this.failures += 1;
      throw new ProxyError("store_unavailable", "the disk is full");
    }
  }

  it("keeps no machine from starting", async () => {
    const store = new FullDisk();
    await using rig = new HostRig({ store });
    const machines = ["ams", "nrt"].map((region) => sampleMachine("hello", region));
    await rig.host.applyApps([sampleApp({ machines })]);
    const begunAt = performance.now();
    await rig.host.start("hello", AMS);
    await rig.host.start("hello", "hello-nrt");
    assert.ok(performance.now() - begunAt < 400, "the launch waited for the store");
    assert.ok(store.failures > 0);
    assert.equal(rig.lines.filter((line) => line["level"] === 50).length, 1);
  });
});
