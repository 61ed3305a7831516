import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { StaticDriver } from "../../src/wake/drivers/static.ts";
import { HostRig, startedRig } from "./host-rig.ts";
import { sampleApp, sampleMachine, sampleService } from "./sample-app.ts";

const AMS = "hello-ams";
const RED = { env: { COLOUR: "red" } };

describe("a reload", () => {
  it("leaves a machine alone that has not changed", async () => {
    await using rig = await startedRig({}, RED);
    await rig.host.applyApps([sampleApp({ ...RED, idleTimeoutMs: 1000, hostnames: ["other.localhost"] })]);
    assert.deepEqual(rig.driver.calls, [`start ${AMS}`]);
    assert.equal(rig.record().state, "started");
  });

  it("starts a changed machine anew after its requests in flight; those that come meanwhile wait for the new one", async () => {
    await using rig = await startedRig();
    assert.ok(rig.load.claim(AMS));
    const reload = rig.host.applyApps([sampleApp(RED)]);
    await rig.untilState("stopping");
    const start = rig.host.start("hello", AMS);
    assert.deepEqual(rig.driver.running, [AMS]);
    rig.load.release(AMS);
    const { record } = await start;
    await reload;
    assert.equal(record.state, "started");
    assert.deepEqual(rig.driver.calls, [`start ${AMS}`, `stop ${AMS}`, `start ${AMS}`]);
    assert.equal(rig.driver.launched[1]?.env["COLOUR"], "red");
  });

  it("starts a changed machine again though nobody asks", async () => {
    await using rig = await startedRig();
    const { configHash } = rig.record();
    await rig.host.applyApps([sampleApp(RED)]);
    assert.equal(rig.record().state, "started");
    assert.notEqual(rig.record().configHash, configHash);
  });

  it("ends a changed machine that is suspended, as its memory is outdated, and lets it sleep on", async () => {
    await using rig = await startedRig();
    await rig.host.suspend("hello", AMS);
    await rig.host.applyApps([sampleApp(RED)]);
    assert.equal(rig.record().state, "stopped");
    assert.deepEqual(rig.driver.running, []);
    await rig.host.start("hello", AMS);
    assert.equal(rig.driver.launched[1]?.env["COLOUR"], "red");
  });

  it("runs nothing for a changed machine that is asleep", async () => {
    await using rig = new HostRig();
    await rig.host.applyApps([sampleApp()]);
    await rig.host.applyApps([sampleApp(RED)]);
    assert.deepEqual(rig.driver.calls, []);
    await rig.host.start("hello", AMS);
    assert.equal(rig.driver.launched[0]?.env["COLOUR"], "red");
  });

  it("repairs a start that would never end, and whoever waits for it does not notice", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    await rig.host.applyApps([sampleApp()]);
    const start = rig.host.start("hello", AMS);
    await rig.until(() => rig.record().pid !== null);
    rig.driver.listensLate = false;
    await rig.host.applyApps([sampleApp(RED)]);
    assert.equal((await start).record.state, "started");
    assert.deepEqual(rig.driver.calls, [`start ${AMS}`, `stop ${AMS}`, `start ${AMS}`]);
    assert.equal(rig.driver.launched[1]?.env["COLOUR"], "red");
  });

  it("does not take a machine for running that ended while it was to be started anew", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    await rig.host.applyApps([sampleApp()]);
    const start = rig.host.start("hello", AMS);
    await rig.until(() => rig.record().pid !== null);
    rig.driver.listensLate = false;
    const reloads = [rig.host.applyApps([sampleApp(RED)])];
    const crash = rig.driver.crash(AMS, 1);
    reloads.push(rig.host.applyApps([sampleApp()]));
    assert.equal((await start).record.state, "started");
    await Promise.all([...reloads, crash]);
    assert.deepEqual(rig.driver.calls, [`start ${AMS}`, `start ${AMS}`]);
  });

  it("gives a crashed machine a new chance when it changed", async () => {
    await using rig = await startedRig({ backoff: { minMs: 60_000, maxMs: 60_000 } });
    await rig.driver.crash(AMS, 1);
    await rig.host.applyApps([sampleApp(RED)]);
    await rig.host.start("hello", AMS);
    assert.equal(rig.driver.launched.length, 2);
  });

  it("ends what ran with the kill settings that it was started with", async () => {
    await using rig = await startedRig();
    const asked: string[] = [];
    const stop = rig.driver.stop.bind(rig.driver);
    rig.driver.stop = async (machine, handle) => {
      asked.push(machine.killSignal);
      await stop(machine, handle);
    };
    await rig.host.applyApps([sampleApp({ killSignal: "SIGTERM" })]);
    await rig.host.stop("hello", AMS);
    assert.deepEqual(asked, ["SIGINT", "SIGTERM"]);
  });
});

describe("a machine taken out of the config", () => {
  it("drains, ends, and is forgotten", async () => {
    await using rig = await startedRig();
    assert.ok(rig.load.claim(AMS));
    const reload = rig.host.applyApps([]);
    await rig.untilState("stopping");
    await assert.rejects(rig.host.start("hello", AMS), { code: "machine_not_found" });
    assert.deepEqual(rig.driver.running, [AMS]);
    rig.load.release(AMS);
    await reload;
    assert.deepEqual(rig.driver.running, []);
    assert.deepEqual(rig.host.machines(), []);
    assert.deepEqual(rig.removed, [AMS]);
    await rig.host.close({ keepMachines: false });
    assert.equal(await rig.stored(), null);
  });

  it("and put back while it drains stays, and can be woken", async () => {
    await using rig = await startedRig();
    assert.ok(rig.load.claim(AMS));
    const out = rig.host.applyApps([]);
    await rig.untilState("stopping");
    const back = rig.host.applyApps([sampleApp()]);
    rig.load.release(AMS);
    await Promise.all([out, back]);
    assert.deepEqual(rig.removed, []);
    assert.equal((await rig.host.start("hello", AMS)).record.state, "started");
    assert.deepEqual(rig.driver.running, [AMS]);
  });

  it("breaks off its start", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    await rig.host.applyApps([sampleApp()]);
    const start = assert.rejects(rig.host.start("hello", AMS), { code: "machine_state" });
    await rig.until(() => rig.record().pid !== null);
    await rig.host.applyApps([]);
    await start;
    assert.deepEqual(rig.driver.running, []);
  });
});

describe("an id", () => {
  const given = sampleMachine("", "ams", { id: "m1", address: { host: "127.0.0.1", port: 9000 } });
  const app = (name: string): ReturnType<typeof sampleApp> => sampleApp({ name, driver: "static", machines: [given] });

  it("can move from one app to another in one reload", async () => {
    await using rig = new HostRig({ drivers: new Map([["static", new StaticDriver()]]) });
    await rig.host.applyApps([app("one")]);
    await rig.host.applyApps([app("two")]);
    assert.deepEqual(
      rig.host.machines().map((machine) => [machine.app, machine.state]),
      [["two", "started"]],
    );
  });

  it("that two apps use belongs to the first, and the log says so", async () => {
    await using rig = new HostRig({ drivers: new Map([["static", new StaticDriver()]]) });
    await rig.host.applyApps([app("one"), app("two")]);
    assert.deepEqual(
      rig.host.machines().map((machine) => machine.app),
      ["one"],
    );
    assert.ok(rig.lines.some((line) => line["other"] === "one"));
  });
});

describe("closing the host", () => {
  it("ends all machines at once, suspended ones too", async () => {
    await using rig = new HostRig();
    const machines = ["ams", "nrt", "ord"].map((region) => sampleMachine("hello", region));
    await rig.host.applyApps([sampleApp({ machines })]);
    await rig.host.start("hello", "hello-ams");
    await rig.host.start("hello", "hello-nrt");
    await rig.host.suspend("hello", "hello-nrt");
    await rig.host.close({ keepMachines: false });
    assert.deepEqual(rig.driver.running, []);
    assert.equal((await rig.stored("hello-nrt"))?.state, "stopped");
  });

  it("refuses starts from then on, and breaks off those under way", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    await rig.host.applyApps([sampleApp({ services: [sampleService()] })]);
    const start = assert.rejects(rig.host.start("hello", AMS), { code: "draining" });
    await rig.until(() => rig.record().pid !== null);
    await rig.host.close({ keepMachines: false });
    await start;
    assert.deepEqual(rig.driver.running, []);
    await assert.rejects(rig.host.start("hello", AMS), { code: "draining" });
  });
});
