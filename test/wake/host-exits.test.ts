import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { RestartPolicy } from "../../src/core/app.ts";
import { HostRig, startedRig } from "./host-rig.ts";
import { sampleApp } from "./sample-app.ts";

const AMS = "hello-ams";

function groups(policy: RestartPolicy, retries = 10): Parameters<typeof sampleApp>[0] {
  return { groups: [{ name: "app", command: "serve", restart: { policy, retries } }] };
}

/** How often the machine was launched. */
function launches(rig: HostRig): number {
  return rig.driver.launched.length;
}

describe("a machine that ends by itself", () => {
  it("gets no request from that moment on", async () => {
    await using rig = await startedRig({}, groups("never"));
    await rig.driver.crash(AMS, 1, "Error: out of luck");
    assert.equal(rig.load.claim(AMS), false);
    assert.equal(rig.record().state, "stopped");
    assert.equal(rig.record().pid, null);
    assert.equal(rig.record().reason, "exited with code 1: Error: out of luck");
  });

  it("is started again after a failure", async () => {
    await using rig = await startedRig({}, groups("on-failure"));
    await rig.driver.crash(AMS, 1);
    await rig.untilState("started");
    assert.equal(launches(rig), 2);
    assert.deepEqual(rig.states.slice(-4), [`${AMS} started`, `${AMS} stopped`, `${AMS} starting`, `${AMS} started`]);
    assert.ok(rig.load.claim(AMS));
    rig.load.release(AMS);
  });

  it("is started again when nobody saw its exit code", async () => {
    await using rig = await startedRig({}, groups("on-failure"));
    await rig.driver.crash(AMS, null);
    await rig.untilState("started");
  });

  it("stays down after exit 0, so that an app can stop itself (reference 6.4)", async () => {
    await using rig = await startedRig({}, groups("on-failure"));
    await rig.driver.crash(AMS, 0, "a warning at the end");
    assert.equal(rig.record().state, "stopped");
    assert.equal(rig.record().reason, "exited with code 0");
    assert.equal(rig.host.startableInMs("hello", AMS), 0);
    await rig.host.start("hello", AMS);
    assert.equal(launches(rig), 2);
  });

  it("is started again after exit 0 under always", async () => {
    await using rig = await startedRig({}, groups("always"));
    await rig.driver.crash(AMS, 0);
    await rig.untilState("started");
    assert.equal(launches(rig), 2);
  });

  it("fails for good when its retries are used up, and a wake tries once more", async () => {
    await using rig = await startedRig({}, groups("on-failure", 2));
    for (let launch = 1; launch <= 3; launch++) {
      await rig.until(() => rig.record().state === "started" && launches(rig) === launch);
      await rig.driver.crash(AMS, 1);
    }
    assert.equal(rig.record().state, "failed");
    assert.ok(rig.lines.some((line) => line["msg"] === "machine reached its max restart count"));
    await rig.host.start("hello", AMS);
    assert.equal(launches(rig), 4);
    await rig.driver.crash(AMS, 1);
    assert.equal(rig.record().state, "failed");
  });

  it("has a new chance when its failures are more than five minutes old", async () => {
    let nowMs = 1_000_000;
    await using rig = await startedRig({ now: () => nowMs }, groups("on-failure", 1));
    for (const launch of [2, 3]) {
      await rig.driver.crash(AMS, 1);
      nowMs += 300_001;
      await rig.until(() => rig.record().state === "started" && launches(rig) === launch);
    }
  });

  it("while suspended is asleep all the same, and starts from cold", async () => {
    await using rig = await startedRig();
    await rig.host.suspend("hello", AMS);
    await rig.driver.crash(AMS, null);
    assert.equal(rig.record().state, "stopped");
    assert.equal(rig.record().reason, "ended while it was suspended");
    await rig.host.start("hello", AMS);
    assert.equal(launches(rig), 2);
  });

  it("while it drains for a stop is stopped, not started again", async () => {
    await using rig = await startedRig();
    assert.ok(rig.load.claim(AMS));
    const stop = rig.host.stop("hello", AMS);
    await rig.untilState("stopping");
    await rig.driver.crash(AMS, 1);
    rig.load.release(AMS);
    assert.equal((await stop).state, "stopped");
    assert.equal(launches(rig), 1);
  });
});

describe("a machine that ends before it listens", () => {
  it("fails the wake at once, with its exit code and last words", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    await rig.host.applyApps([sampleApp(groups("never"))]);
    const start = assert.rejects(rig.host.start("hello", AMS), {
      code: "wake_failed",
      message: 'machine "hello/ams" exited with code 3 before it listened on port 8080: Error: no database',
    });
    await rig.until(() => rig.record().pid !== null);
    await rig.driver.crash(AMS, 3, "Error: no database");
    await start;
    assert.equal(rig.record().state, "stopped");
  });

  it("is tried again by its policy, and the next wake joins that", async () => {
    await using rig = new HostRig();
    rig.driver.listensLate = true;
    await rig.host.applyApps([sampleApp(groups("on-failure"))]);
    const start = assert.rejects(rig.host.start("hello", AMS), { code: "wake_failed" });
    await rig.until(() => rig.record().pid !== null);
    rig.driver.listensLate = false;
    await rig.driver.crash(AMS, 1);
    await start;
    assert.equal((await rig.host.start("hello", AMS)).record.state, "started");
    assert.equal(launches(rig), 2);
  });

  it("is not launched before its back-off ends, whoever asks; but for someone who asks by hand", async () => {
    await using rig = await startedRig({ backoff: { minMs: 60_000, maxMs: 60_000 } }, groups("never"));
    await rig.driver.crash(AMS, 1);
    assert.ok(rig.host.startableInMs("hello", AMS) > 40_000);
    await assert.rejects(rig.host.start("hello", AMS, { timeoutMs: 20 }), { code: "wake_timeout" });
    assert.equal(launches(rig), 1);
    const { record } = await rig.host.start("hello", AMS, { fresh: true });
    assert.equal(record.state, "started");
    assert.equal(launches(rig), 2);
  });

  it("because it cannot be launched at all fails the wake with the driver's reason", async () => {
    await using rig = new HostRig();
    rig.driver.failStart = 'directory "/nowhere" does not exist';
    await rig.host.applyApps([sampleApp(groups("never"))]);
    await assert.rejects(rig.host.start("hello", AMS), {
      code: "wake_failed",
      message: 'machine "hello/ams" could not be started: directory "/nowhere" does not exist',
    });
    assert.equal(rig.record().state, "stopped");
  });
});
