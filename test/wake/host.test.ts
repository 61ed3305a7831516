import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";

import { StaticDriver } from "../../src/wake/drivers/static.ts";
import { HostRig, startedRig } from "./host-rig.ts";
import { sampleApp, sampleMachine, sampleService } from "./sample-app.ts";
import { ServerDriver } from "./server-driver.ts";

const AMS = "hello-ams";

describe("a machine of the host", () => {
  it("begins asleep, and is recorded before anything runs", async () => {
    await using rig = new HostRig();
    await rig.host.applyApps([sampleApp()]);
    assert.equal(rig.record().state, "created");
    assert.deepEqual(rig.driver.calls, []);
    assert.equal((await rig.stored())?.state, "created");
  });

  it("is started when its port accepts, with its slot open by then", async () => {
    await using rig = new HostRig();
    await rig.host.applyApps([sampleApp()]);
    const { record, startMs } = await rig.host.start("hello", AMS);
    assert.equal(record.state, "started");
    assert.equal(rig.load.isClosed(AMS), false);
    assert.ok(startMs > 0, `${startMs} ms`);
    assert.deepEqual(rig.states, [`${AMS} created`, `${AMS} starting`, `${AMS} started`]);
    const address = record.addresses[8080];
    assert.ok(address);
    const socket = connect(address);
    await once(socket, "connect");
    socket.destroy();
  });

  it("is not started while it runs but does not listen", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    await rig.host.applyApps([sampleApp()]);
    const start = rig.host.start("hello", AMS);
    await rig.until(() => rig.record().pid !== null);
    assert.equal(rig.record().state, "starting");
    await rig.driver.listen(AMS);
    assert.equal((await start).record.state, "started");
  });

  it("is started once however many ask", async () => {
    await using rig = new HostRig();
    await rig.host.applyApps([sampleApp()]);
    const started = await Promise.all(Array.from({ length: 50 }, () => rig.host.start("hello", AMS)));
    assert.equal(started.length, 50);
    assert.deepEqual(rig.driver.calls, [`start ${AMS}`]);
    assert.deepEqual(await rig.host.start("hello", AMS), { record: rig.record(), startMs: 0 });
  });

  it("is in the store as starting before it is launched", async () => {
    await using rig = new HostRig();
    let stateAtLaunch: string | undefined;
    rig.driver.onStart = async () => {
      stateAtLaunch = (await rig.stored())?.state;
    };
    await rig.host.applyApps([sampleApp()]);
    await rig.host.start("hello", AMS);
    assert.equal(stateAtLaunch, "starting");
  });

  it("without services is started as soon as it is launched", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    await rig.host.applyApps([sampleApp({ services: [] })]);
    assert.equal(rig.record().state, "started");
  });

  it("gets the environment that Fly gives, over its own", async () => {
    await using rig = new HostRig();
    await rig.host.applyApps([sampleApp({ env: { COLOUR: "red", PRIMARY_REGION: "nowhere" } })]);
    await rig.host.start("hello", AMS);
    assert.deepEqual(rig.driver.launched[0]?.env, {
      COLOUR: "red",
      PRIMARY_REGION: "ams",
      FLY_APP_NAME: "hello",
      FLY_MACHINE_ID: AMS,
      FLY_REGION: "ams",
      FLY_PRIVATE_IP: "127.0.0.1",
      FLY_PROCESS_GROUP: "app",
    });
  });

  it("that nobody knows is machine_not_found", async () => {
    await using rig = new HostRig();
    await rig.host.applyApps([sampleApp()]);
    await assert.rejects(rig.host.start("hello", "other"), { code: "machine_not_found" });
    await assert.rejects(rig.host.stop("other", AMS), { code: "machine_not_found" });
  });

  it("comes up all the same after the one who asked gave up waiting", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    await rig.host.applyApps([sampleApp()]);
    await assert.rejects(rig.host.start("hello", AMS, { timeoutMs: 20 }), { code: "wake_timeout" });
    const second = rig.host.start("hello", AMS);
    await rig.until(() => rig.record().pid !== null);
    await rig.driver.listen(AMS);
    await second;
    assert.deepEqual(rig.driver.calls, [`start ${AMS}`]);
  });

  it("that never listens is given up and ended", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    await rig.host.applyApps([sampleApp({ wakeTimeoutMs: 20, idleTimeoutMs: 30 })]);
    await assert.rejects(rig.host.start("hello", AMS, { timeoutMs: 5000 }), {
      code: "wake_failed",
      message: /gave up before it listened on port 8080/,
    });
    assert.equal(rig.record().state, "failed");
    assert.deepEqual(rig.driver.running, []);
  });
});

describe("stopping and suspending", () => {
  it("a stop ends the machine, closes its slot and says so", async () => {
    await using rig = await startedRig();
    const record = await rig.host.stop("hello", AMS);
    assert.equal(record.state, "stopped");
    assert.equal(record.handle, null);
    assert.equal(rig.load.claim(AMS), false);
    assert.deepEqual(rig.driver.running, []);
    assert.equal((await rig.host.stop("hello", AMS)).state, "stopped");
  });

  it("a stop waits for requests in flight, and lets no new one in", async () => {
    await using rig = await startedRig();
    assert.ok(rig.load.claim(AMS));
    const stop = rig.host.stop("hello", AMS);
    await rig.untilState("stopping");
    assert.equal(rig.load.claim(AMS), false);
    assert.deepEqual(rig.driver.running, [AMS]);
    rig.load.release(AMS);
    await stop;
    assert.deepEqual(rig.driver.running, []);
  });

  it("a stop does not wait longer than its bound", async () => {
    await using rig = await startedRig({ drainMs: 30 });
    assert.ok(rig.load.claim(AMS));
    assert.equal((await rig.host.stop("hello", AMS)).state, "stopped");
  });

  it("a start during a stop waits for its end and then starts anew", async () => {
    await using rig = await startedRig();
    const ending = Promise.withResolvers<void>();
    rig.driver.stopping = ending.promise;
    const stop = rig.host.stop("hello", AMS);
    const start = rig.host.start("hello", AMS);
    await rig.until(() => rig.driver.calls.includes(`stop ${AMS}`));
    assert.equal(rig.record().state, "stopping");
    ending.resolve();
    await stop;
    assert.equal((await start).record.state, "started");
    assert.deepEqual(rig.driver.calls, [`start ${AMS}`, `stop ${AMS}`, `start ${AMS}`]);
  });

  it("a stop breaks off a start, and nothing is left running", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    await rig.host.applyApps([sampleApp()]);
    const start = assert.rejects(rig.host.start("hello", AMS), { code: "machine_state", message: /stopped while it was starting/ });
    await rig.until(() => rig.record().pid !== null);
    assert.equal((await rig.host.stop("hello", AMS)).state, "stopped");
    await start;
    assert.deepEqual(rig.driver.running, []);
  });

  it("a suspended machine resumes as the same one (reference 6.3: start is for both)", async () => {
    await using rig = await startedRig();
    const { pid } = rig.record();
    assert.equal((await rig.host.suspend("hello", AMS)).state, "suspended");
    assert.equal(rig.load.claim(AMS), false);
    const { record } = await rig.host.start("hello", AMS);
    assert.equal(record.pid, pid);
    assert.ok(rig.load.claim(AMS));
    rig.load.release(AMS);
    assert.deepEqual(rig.driver.calls, [`start ${AMS}`, `suspend ${AMS}`, `resume ${AMS}`]);
  });

  it("a suspend becomes a stop where the driver cannot freeze (reference 6.1)", async () => {
    await using rig = await startedRig({ driver: new ServerDriver({ canSuspend: false }) });
    assert.equal((await rig.host.suspend("hello", AMS)).state, "stopped");
  });

  it("a suspend becomes a stop when freezing fails (reference 6.1)", async () => {
    await using rig = await startedRig();
    rig.driver.failSuspend = true;
    assert.equal((await rig.host.suspend("hello", AMS)).state, "stopped");
    assert.deepEqual(rig.driver.running, []);
  });

  it("a machine that cannot be resumed is started from cold, and the old one is gone", async () => {
    await using rig = await startedRig();
    await rig.host.suspend("hello", AMS);
    rig.driver.failResume = true;
    const { record } = await rig.host.start("hello", AMS);
    assert.equal(record.state, "started");
    assert.deepEqual(rig.driver.calls.slice(2), [`resume ${AMS}`, `stop ${AMS}`, `start ${AMS}`]);
  });

  it("only a started machine can be suspended", async () => {
    await using rig = new HostRig();
    await rig.host.applyApps([sampleApp()]);
    await assert.rejects(rig.host.suspend("hello", AMS), { code: "machine_state", message: /"hello\/ams" is created/ });
  });

  it("sleep refuses a machine with a request in flight, and leaves it open", async () => {
    await using rig = await startedRig();
    assert.ok(rig.load.claim(AMS));
    assert.equal(await rig.host.sleep("hello", AMS, "suspend", true), false);
    assert.ok(rig.load.claim(AMS));
    rig.load.release(AMS);
    rig.load.release(AMS);
    assert.equal(await rig.host.sleep("hello", AMS, "suspend", true), true);
    assert.equal(rig.record().state, "suspended");
  });

  it("sleep closes the slot in the same turn, and a start meanwhile wakes the machine again", async () => {
    await using rig = await startedRig();
    const sleep = rig.host.sleep("hello", AMS, "suspend", true);
    assert.equal(rig.load.claim(AMS), false);
    const start = rig.host.start("hello", AMS);
    assert.equal(await sleep, true);
    assert.equal((await start).record.state, "started");
    assert.deepEqual(rig.driver.calls, [`start ${AMS}`, `suspend ${AMS}`, `resume ${AMS}`]);
  });
});

describe("a machine with load that is to sleep (reference section 6.1)", () => {
  const parting = async (options: { readonly drainMs?: number } = {}): Promise<{ rig: HostRig; sleep: Promise<boolean> }> => {
    const rig = await startedRig(options);
    assert.ok(rig.load.claim(AMS));
    return { rig, sleep: rig.host.sleep("hello", AMS, "suspend", false) };
  };

  it("takes no more requests, and sleeps when what is in flight has ended; whoever holds a tunnel to it is told", async () => {
    const { rig, sleep } = await parting();
    await using _ = rig;
    assert.equal(rig.load.claim(AMS), false);
    assert.deepEqual(rig.leaving, [AMS]);
    assert.equal(rig.record().state, "started");
    rig.load.release(AMS);
    assert.equal(await sleep, true);
    assert.equal(rig.record().state, "suspended");
  });

  it("stays awake, open at once, when it is started meanwhile", async () => {
    const { rig, sleep } = await parting();
    await using _ = rig;
    const { startMs } = await rig.host.start("hello", AMS);
    assert.equal(startMs, 0);
    assert.ok(rig.load.claim(AMS));
    assert.equal(await sleep, false);
    rig.load.release(AMS);
    rig.load.release(AMS);
    assert.deepEqual([rig.record().state, rig.driver.calls], ["started", [`start ${AMS}`]]);
  });

  it("stays awake, open, when what is in flight takes longer than a drain may", async () => {
    const { rig, sleep } = await parting({ drainMs: 30 });
    await using _ = rig;
    assert.equal(await sleep, false);
    assert.ok(rig.load.claim(AMS));
    rig.load.release(AMS);
    rig.load.release(AMS);
  });

  it("that is stopped by hand meanwhile stops, and stays shut", async () => {
    const { rig, sleep } = await parting();
    await using _ = rig;
    const stopped = rig.host.stop("hello", AMS);
    rig.load.release(AMS);
    assert.equal((await stopped).state, "stopped");
    assert.equal(await sleep, false);
    assert.equal(rig.load.claim(AMS), false);
  });
});

describe("machines that must not sleep", () => {
  const isUp = async (changes: Parameters<typeof sampleApp>[0]): Promise<string[]> => {
    await using rig = new HostRig();
    await rig.host.applyApps([sampleApp(changes)]);
    return rig.driver.running;
  };

  it("are started: auto_stop off, auto_start off, no service", async () => {
    assert.deepEqual(await isUp({ services: [sampleService({ autoStop: "off" })] }), [AMS]);
    assert.deepEqual(await isUp({ services: [sampleService({ autoStart: false })] }), [AMS]);
    assert.deepEqual(await isUp({ services: [] }), [AMS]);
    assert.deepEqual(await isUp({}), []);
  });

  it("are the first min_machines_running of the primary region, and no others", async () => {
    const machines = ["nrt", "ams", "ams-2", "ams-3"].map((name) => sampleMachine("hello", name.slice(0, 3), { name }));
    assert.deepEqual(await isUp({ machines, services: [sampleService({ minMachinesRunning: 2 })] }), ["hello-ams", "hello-ams-2"]);
  });

  it("stay as they are on a reload once they were stopped by hand", async () => {
    await using rig = new HostRig();
    const app = sampleApp({ services: [sampleService({ autoStop: "off" })] });
    await rig.host.applyApps([app]);
    await rig.host.stop("hello", AMS);
    await rig.host.applyApps([app]);
    assert.equal(rig.record().state, "stopped");
  });

  it("are started when a reload makes them so", async () => {
    await using rig = new HostRig();
    await rig.host.applyApps([sampleApp()]);
    await rig.host.applyApps([sampleApp({ services: [sampleService({ minMachinesRunning: 1 })] })]);
    assert.equal(rig.record().state, "started");
  });
});

describe("machines at given addresses", () => {
  it("are started at once and cannot be stopped from here", async () => {
    await using rig = new HostRig({ drivers: new Map([["static", new StaticDriver()]]) });
    const machine = sampleMachine("hello", "ams", { address: { host: "127.0.0.1", port: 9000 } });
    await rig.host.applyApps([sampleApp({ driver: "static", machines: [machine] })]);
    assert.equal(rig.record().state, "started");
    assert.deepEqual(rig.record().addresses, { 8080: { host: "127.0.0.1", port: 9000 } });
    await assert.rejects(rig.host.stop("hello", AMS), { code: "not_supported", message: /driver "static" cannot be stopped/ });
    assert.equal(await rig.host.sleep("hello", AMS, "stop", true), false);
  });

  it("of a driver that the node does not have are left alone, and the log says so", async () => {
    await using rig = new HostRig();
    await rig.host.applyApps([sampleApp({ driver: "docker" })]);
    assert.deepEqual(rig.host.machines(), []);
    assert.equal(rig.lines.at(-1)?.["driver"], "docker");
  });
});

describe("what others tell the host", () => {
  it("health is published with the record, and void when the machine sleeps", async () => {
    const check = { name: "servicecheck-00-tcp-8080", type: "tcp", intervalMs: 1000, timeoutMs: 1000, gracePeriodMs: 0 } as const;
    await using rig = new HostRig();
    await rig.host.applyApps([sampleApp({ services: [sampleService({ checks: [check] })] })]);
    await rig.host.start("hello", AMS);
    assert.equal(rig.record().health, "unknown");
    const { changedAtMs } = rig.record();
    const result = { name: check.name, kind: "service", status: "critical", output: "refused", updatedAtMs: 1 } as const;
    rig.host.setHealth(AMS, "critical", [result]);
    assert.deepEqual(rig.record().checks, [result]);
    assert.equal(rig.record().health, "critical");
    assert.equal(rig.record().changedAtMs, changedAtMs);
    await rig.host.suspend("hello", AMS);
    assert.equal(rig.record().health, "unknown");
    rig.host.setHealth(AMS, "passing", []);
    assert.equal(rig.record().health, "unknown");
  });

  it("a machine without checks passes", async () => {
    await using rig = await startedRig();
    assert.equal(rig.record().health, "passing");
  });

  it("cordoned is published and survives a restart of the machine", async () => {
    await using rig = await startedRig();
    rig.host.setCordoned("hello", AMS, true);
    await rig.host.stop("hello", AMS);
    assert.equal((await rig.host.start("hello", AMS)).record.cordoned, true);
  });

  it("its output is logged with machine and stream", async () => {
    await using rig = await startedRig();
    rig.host.onOutput(AMS, "stdout", "listening");
    const { level: _, time: __, ...line } = rig.lines.at(-1) ?? {};
    assert.deepEqual(line, { app: "hello", machine: AMS, region: "ams", stream: "stdout", msg: "listening" });
  });
});
