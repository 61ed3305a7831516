import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { pino } from "pino";

import type { App } from "../../src/core/app.ts";
import { Idler } from "../../src/wake/idler.ts";
import { HostRig } from "./host-rig.ts";
import { sampleApp, sampleMachine, sampleService } from "./sample-app.ts";

const IDLE_MS = 10_000;
const AMS = "hello-ams";

interface Clockwork {
  readonly idler: Idler;
  /** Looks at the machines `ms` later. */
  later(ms: number): Promise<unknown>;
  /** The machines say so. */
  setBusy(isBusy: boolean): void;
  readonly messages: string[];
}

/** All machines run; the idler has looked once, and its clock stands still. */
async function idlerOf(rig: HostRig, changes: Partial<App> = {}): Promise<Clockwork> {
  const app = sampleApp({ idleTimeoutMs: IDLE_MS, ...changes });
  await rig.host.applyApps([app]);
  for (const { id } of app.machines) await rig.host.start("hello", id);
  let nowMs = 0;
  let busy = false;
  const messages: string[] = [];
  const log = pino({}, { write: (line: string) => void messages.push(JSON.parse(line).msg) });
  const idler = new Idler({ host: rig.host, apps: () => [app], load: rig.load, isBusy: () => busy, log, now: () => nowMs });
  const later = (ms: number): Promise<unknown> => {
    nowMs += ms;
    return idler.pass();
  };
  const setBusy = (isBusy: boolean): void => void (busy = isBusy);
  await later(0);
  return { idler, later, setBusy, messages };
}

function machines(...names: string[]): App["machines"] {
  return names.map((name) => sampleMachine("hello", name.slice(0, 3), { name }));
}

function awake(rig: HostRig): string[] {
  return rig.host
    .machines()
    .filter((machine) => machine.state === "started")
    .map((machine) => machine.name);
}

describe("a machine without load (reference 6.1: exactly one machine, load is 0)", () => {
  it("sleeps after idle_timeout, not before, and one line says so", async () => {
    await using rig = new HostRig();
    const { later, messages } = await idlerOf(rig);
    await later(IDLE_MS - 1);
    assert.equal(rig.record().state, "started");
    await later(1);
    assert.equal(rig.record().state, "suspended");
    assert.equal(rig.load.claim(AMS), false);
    assert.deepEqual(messages, [
      `App hello has excess capacity, autosuspending machine ${AMS}. 0 out of 1 machines left running (region=ams, process group=app)`,
    ]);
  });

  it("is stopped when that is what the app wants", async () => {
    await using rig = new HostRig();
    const { later, messages } = await idlerOf(rig, { services: [sampleService({ autoStop: "stop" })] });
    await later(IDLE_MS);
    assert.equal(rig.record().state, "stopped");
    assert.match(messages[0] ?? "", /autostopping/);
  });

  it("sleeps as the least aggressive of its services wants", async () => {
    await using rig = new HostRig();
    const services = [sampleService(), sampleService({ key: "tcp-9090", internalPort: 9090, autoStop: "stop" })];
    const { later } = await idlerOf(rig, { services });
    await later(IDLE_MS);
    assert.equal(rig.record().state, "stopped");
  });

  it("stays awake with auto_stop off, but sleeps without auto_start", async () => {
    await using off = new HostRig();
    await (await idlerOf(off, { services: [sampleService({ autoStop: "off" })] })).later(IDLE_MS);
    assert.equal(off.record().state, "started");
    await using rig = new HostRig();
    await (await idlerOf(rig, { services: [sampleService({ autoStart: false })] })).later(IDLE_MS);
    assert.equal(rig.record().state, "suspended");
  });

  it("stays awake while it says that it is busy", async () => {
    await using rig = new HostRig();
    const { later, setBusy } = await idlerOf(rig);
    setBusy(true);
    for (let look = 0; look < 3; look++) await later(IDLE_MS);
    assert.equal(rig.record().state, "started");
    setBusy(false);
    await later(1);
    assert.equal(rig.record().state, "suspended");
  });

  it("counts anew after it was woken", async () => {
    await using rig = new HostRig();
    const { later } = await idlerOf(rig);
    await later(IDLE_MS);
    await rig.host.start("hello", AMS);
    await later(IDLE_MS);
    assert.equal(rig.record().state, "started");
    await later(IDLE_MS);
    assert.equal(rig.record().state, "suspended");
  });
});

describe("load (reference 6.1: what the proxy sees)", () => {
  it("in flight keeps a machine awake, however long: a WebSocket", async () => {
    await using rig = new HostRig();
    const { later } = await idlerOf(rig);
    assert.ok(rig.load.claim(AMS));
    for (let look = 0; look < 5; look++) await later(IDLE_MS);
    assert.equal(rig.record().state, "started");
    rig.load.release(AMS);
    await later(IDLE_MS - 1);
    assert.equal(rig.record().state, "started");
    await later(IDLE_MS);
    assert.equal(rig.record().state, "suspended");
  });

  it("that came and went between two looks is seen", async () => {
    await using rig = new HostRig();
    const { later } = await idlerOf(rig);
    for (let look = 0; look < 5; look++) {
      assert.ok(rig.load.claim(AMS));
      rig.load.release(AMS);
      await later(IDLE_MS);
      assert.equal(rig.record().state, "started");
    }
  });

  it("that comes at the last moment cancels the sleep", async () => {
    await using rig = new HostRig();
    const app = sampleApp({ idleTimeoutMs: IDLE_MS });
    await rig.host.applyApps([app]);
    await rig.host.start("hello", AMS);
    let nowMs = 0;
    const host = {
      machines: () => rig.host.machines(),
      sleep: (name: string, id: string, how: "stop" | "suspend", isIdle: boolean) => {
        assert.ok(rig.load.claim(AMS));
        return rig.host.sleep(name, id, how, isIdle);
      },
    };
    const idler = new Idler({
      host,
      apps: () => [app],
      load: rig.load,
      isBusy: () => false,
      log: pino({ enabled: false }),
      now: () => nowMs,
    });
    await idler.pass();
    nowMs += IDLE_MS;
    await idler.pass();
    assert.equal(rig.record().state, "started");
    assert.ok(rig.load.claim(AMS));
    rig.load.release(AMS);
    rig.load.release(AMS);
  });
});

describe("several machines (reference 6.1: one of a region and process group a pass)", () => {
  it("go to sleep one a look in each region, longest idle first", async () => {
    await using rig = new HostRig();
    const { later, messages } = await idlerOf(rig, { machines: machines("ams", "ams-2", "ams-3", "nrt") });
    await later(1);
    assert.ok(rig.load.claim("hello-ams"));
    rig.load.release("hello-ams");
    await later(IDLE_MS);
    assert.deepEqual(awake(rig), ["ams", "ams-3"]);
    assert.match(messages[0] ?? "", /2 out of 3 machines left running \(region=ams/);
    assert.match(messages[1] ?? "", /0 out of 1 machines left running \(region=nrt/);
    await later(1);
    assert.deepEqual(awake(rig), ["ams"]);
    await later(IDLE_MS);
    assert.deepEqual(awake(rig), []);
  });

  it("of two process groups in one region go to sleep by themselves, one of each a look", async () => {
    await using rig = new HostRig();
    const groups = ["app", "worker"].map((name) => ({ name, command: "serve", restart: { policy: "on-failure", retries: 10 } as const }));
    const fleet = ["one", "two"].flatMap((name) => [
      sampleMachine("hello", "ams", { name }),
      sampleMachine("hello", "ams", { name: `worker-${name}`, group: "worker" }),
    ]);
    const services = [sampleService(), sampleService({ key: "tcp-9090", internalPort: 9090, groups: ["worker"], autoStop: "stop" })];
    const { later, messages } = await idlerOf(rig, { groups, services, machines: fleet });
    await later(IDLE_MS);
    assert.equal(awake(rig).length, 2);
    assert.match(messages[0] ?? "", /autosuspending .* 1 out of 2 machines left running \(region=ams, process group=app\)/);
    assert.match(messages[1] ?? "", /autostopping .* 1 out of 2 machines left running \(region=ams, process group=worker\)/);
    await later(1);
    assert.deepEqual(awake(rig), []);
  });

  it("keep min_machines_running awake in the primary region, and nowhere else", async () => {
    await using rig = new HostRig();
    const services = [sampleService({ minMachinesRunning: 1 })];
    const { later } = await idlerOf(rig, { services, machines: machines("ams", "ams-2", "nrt", "nrt-2") });
    for (let look = 0; look < 4; look++) await later(IDLE_MS);
    assert.equal(awake(rig).length, 1);
    assert.match(awake(rig)[0] ?? "", /^ams/);
  });

  it("keep what [kittiwake] min_machines_running says for each region", async () => {
    await using rig = new HostRig();
    const changes = { minMachinesRunning: { nrt: 1 }, services: [sampleService({ minMachinesRunning: 1 })] };
    const { later } = await idlerOf(rig, { ...changes, machines: machines("ams", "ams-2", "nrt", "nrt-2") });
    for (let look = 0; look < 4; look++) await later(IDLE_MS);
    assert.deepEqual(
      awake(rig).map((name) => name.slice(0, 3)),
      ["ams", "nrt"],
    );
  });

  it("with load between them: one that is not needed takes leave, and the rest stays", async () => {
    await using rig = new HostRig();
    const { later, messages } = await idlerOf(rig, { machines: machines("ams", "ams-2", "ams-3") });
    for (const id of [AMS, "hello-ams-2", "hello-ams-2", "hello-ams-3"]) assert.ok(rig.load.claim(id));
    await later(IDLE_MS - 1);
    assert.deepEqual(rig.leaving, []);
    const asleep = later(1);
    assert.deepEqual(rig.leaving, [AMS]);
    assert.equal(rig.load.claim(AMS), false);
    // Nobody else is sent away while it is on its way.
    void later(IDLE_MS - 1);
    assert.deepEqual(rig.leaving, [AMS]);
    rig.load.release(AMS);
    await asleep;
    assert.deepEqual(awake(rig), ["ams-2", "ams-3"]);
    assert.match(messages[0] ?? "", /2 out of 3 machines left running/);
    for (const id of ["hello-ams-2", "hello-ams-2", "hello-ams-3"]) rig.load.release(id);
  });
});

describe("the idler as a component", () => {
  it("looks a quarter of the shortest idle_timeout apart, a second at most", async () => {
    await using rig = new HostRig();
    assert.equal((await idlerOf(rig, { idleTimeoutMs: 300_000 })).idler.pauseMs(), 1000);
    await using other = new HostRig();
    assert.equal((await idlerOf(other, { idleTimeoutMs: 800 })).idler.pauseMs(), 200);
  });

  it("runs until it is told to stop", async () => {
    await using rig = new HostRig();
    const app = sampleApp({ idleTimeoutMs: 40 });
    await rig.host.applyApps([app]);
    await rig.host.start("hello", AMS);
    const idler = new Idler({ host: rig.host, apps: () => [app], load: rig.load, isBusy: () => false, log: pino({ enabled: false }) });
    const stop = new AbortController();
    const run = idler.run(stop.signal);
    await rig.untilState("suspended");
    stop.abort();
    await run;
  });

  it("goes on when a machine cannot be put to sleep", async () => {
    await using rig = new HostRig();
    const { later, messages } = await idlerOf(rig, { services: [sampleService({ autoStop: "stop" })] });
    rig.driver.stopping = Promise.reject(new Error("no permission"));
    await later(IDLE_MS);
    assert.deepEqual(messages, ["machine cannot be put to sleep"]);
    assert.equal(rig.record().state, "failed");
    rig.driver.stopping = Promise.resolve();
  });
});
