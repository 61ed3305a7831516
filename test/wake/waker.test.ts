import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { pino } from "pino";

import type { App } from "../../src/core/app.ts";
import { Waker, type WokeEvent } from "../../src/wake/waker.ts";
import { HostRig } from "./host-rig.ts";
import { sampleApp, sampleMachine, sampleService } from "./sample-app.ts";

const RTT_MS: Readonly<Record<string, number>> = { ams: 1, fra: 8, nrt: 220 };
const THREE = ["nrt", "fra", "ams"].map((region) => sampleMachine("hello", region));
const NEVER = [{ name: "app", command: "serve", restart: { policy: "never", retries: 0 } }] as const;

async function wakerOf(rig: HostRig, app: App): Promise<{ waker: Waker; woke: WokeEvent[] }> {
  await rig.host.applyApps([app]);
  const woke: WokeEvent[] = [];
  const waker = new Waker({
    region: "ams",
    host: rig.host,
    app: (name) => (name === app.name ? app : undefined),
    rttMs: (region) => RTT_MS[region] ?? 999,
    inFlight: (id) => rig.load.inFlight(id),
    onWoke: (event) => woke.push(event),
    onFailed: () => {},
    log: pino({ enabled: false }),
    now: Date.now,
  });
  return { waker, woke };
}

describe("a wake (reference 6.2)", () => {
  it("of 500 waiting requests starts the nearest machine, once, and says so", async () => {
    await using rig = new HostRig();
    const { waker, woke } = await wakerOf(rig, sampleApp({ machines: THREE }));
    const woken = await Promise.all(Array.from({ length: 500 }, () => waker.wake("hello", "tcp-8080")));
    assert.ok(woken.every(({ record }) => record.id === "hello-ams" && record.state === "started"));
    assert.deepEqual(rig.driver.calls, ["start hello-ams"]);
    assert.equal(woke.length, 1);
    const [event] = woke;
    assert.ok(event);
    assert.deepEqual([event.app, event.name, event.region], ["hello", "ams", "ams"]);
    assert.ok(event.startMs > 0 && event.totalMs >= event.startMs);
    assert.equal(waker.times.expectedMs("hello", "stopped"), Math.round(event.startMs));
  });

  it("that comes after the news starts no second machine", async () => {
    await using rig = new HostRig();
    const { waker, woke } = await wakerOf(rig, sampleApp({ machines: THREE }));
    await waker.wake("hello", "tcp-8080");
    const late = await waker.wake("hello", "tcp-8080");
    assert.equal(late.record.id, "hello-ams");
    assert.equal(late.startMs, 0);
    assert.deepEqual(rig.driver.running, ["hello-ams"]);
    assert.equal(woke.length, 1);
  });

  it("joins a start that somebody else asked for", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    const { waker } = await wakerOf(rig, sampleApp());
    const start = rig.host.start("hello", "hello-ams");
    await rig.until(() => rig.record().pid !== null);
    const wake = waker.wake("hello", "tcp-8080");
    await rig.driver.listen("hello-ams");
    assert.equal((await wake).record, (await start).record);
    assert.deepEqual(rig.driver.calls, ["start hello-ams"]);
  });

  it("resumes a suspended machine", async () => {
    await using rig = new HostRig();
    const { waker, woke } = await wakerOf(rig, sampleApp());
    await waker.wake("hello", "tcp-8080");
    await rig.host.suspend("hello", "hello-ams");
    await waker.wake("hello", "tcp-8080");
    assert.equal(rig.driver.calls.at(-1), "resume hello-ams");
    assert.equal(woke.length, 2);
  });

  it("goes to the next machine when the nearest fails", async () => {
    await using rig = new HostRig();
    const { waker, woke } = await wakerOf(rig, sampleApp({ machines: THREE, groups: NEVER }));
    rig.driver.onStart = (machine) => {
      rig.driver.failStart = machine.region === "ams" ? "no space left" : null;
    };
    const { record } = await waker.wake("hello", "tcp-8080");
    assert.equal(record.id, "hello-fra");
    assert.deepEqual(rig.driver.calls, ["start hello-ams", "start hello-fra"]);
    assert.deepEqual(
      woke.map((event) => event.name),
      ["fra"],
    );
  });

  it("fails with the last reason when all machines fail", async () => {
    await using rig = new HostRig();
    const { waker } = await wakerOf(rig, sampleApp({ machines: THREE, groups: NEVER }));
    rig.driver.failStart = "no space left";
    await assert.rejects(waker.wake("hello", "tcp-8080"), {
      code: "wake_failed",
      message: /"hello\/nrt" could not be started: no space left/,
    });
    assert.equal(rig.driver.calls.length, 3);
  });

  it("waits no longer than wake_timeout", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    const { waker } = await wakerOf(rig, sampleApp({ wakeTimeoutMs: 30 }));
    await assert.rejects(waker.wake("hello", "tcp-8080"), { code: "wake_timeout" });
  });

  it("for a busy service starts one more, and none when there is none left", async () => {
    await using rig = new HostRig();
    const service = sampleService({ concurrency: { type: "requests", softLimit: 1, hardLimit: null } });
    const { waker } = await wakerOf(rig, sampleApp({ machines: THREE.slice(1), services: [service] }));
    await waker.wake("hello", "tcp-8080");
    assert.ok(rig.load.claim("hello-ams"));
    assert.equal((await waker.wake("hello", "tcp-8080", "busy")).record.id, "hello-fra");
    assert.equal((await waker.wake("hello", "tcp-8080", "busy")).startMs, 0);
    assert.ok(rig.load.claim("hello-fra"));
    await assert.rejects(waker.wake("hello", "tcp-8080", "busy"), { code: "no_machine", message: /runs already/ });
    for (const id of rig.driver.running) rig.load.release(id);
  });

  it("of an app without machines, or without auto_start, is no_machine", async () => {
    await using rig = new HostRig();
    const { waker } = await wakerOf(rig, sampleApp({ machines: [] }));
    await assert.rejects(waker.wake("hello", "tcp-8080"), { code: "no_machine" });
    await using other = new HostRig();
    const { waker: off } = await wakerOf(other, sampleApp({ services: [sampleService({ autoStart: false })] }));
    await other.host.stop("hello", "hello-ams");
    await assert.rejects(off.wake("hello", "tcp-8080"), { code: "no_machine", message: /auto_start_machines is off/ });
  });

  it("of what nobody knows is app_not_found", async () => {
    await using rig = new HostRig();
    const { waker } = await wakerOf(rig, sampleApp());
    await assert.rejects(waker.wake("other", "tcp-8080"), { code: "app_not_found" });
    await assert.rejects(waker.wake("hello", "tcp-1"), { code: "app_not_found" });
  });
});
