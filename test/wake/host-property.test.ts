// Whatever is asked of a machine in whatever order, and whatever happens to it meanwhile: what the host says of it is true in the end,
// and nothing of it runs twice.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import fc from "fast-check";

import type { App } from "../../src/core/app.ts";
import { ProxyError } from "../../src/core/errors.ts";
import { HostRig } from "./host-rig.ts";
import { sampleApp, sampleService } from "./sample-app.ts";

const AMS = "hello-ams";
const SEED = Number(process.env["FC_SEED"] ?? Date.now() % 2 ** 31);

const APPS: Readonly<Record<string, App[]>> = {
  plain: [sampleApp()],
  red: [sampleApp({ env: { COLOUR: "red" } })],
  always: [sampleApp({ services: [sampleService({ autoStop: "off" })] })],
  none: [],
};

const step = fc.oneof(
  fc.constantFrom("start", "stop", "suspend", "sleep", "part", "crash", "exit", "claim", "release", "turn"),
  fc.constantFrom("reload plain", "reload red", "reload always", "reload none"),
  fc.constantFrom("resume fails", "resume works", "suspend fails", "suspend works", "launch fails", "launch works"),
  fc.constantFrom("listens late", "listens soon", "listen"),
);

class Player {
  readonly rig: HostRig;
  /** Failures that are not the host's own. */
  readonly surprises: unknown[] = [];
  readonly #asked: Promise<unknown>[] = [];
  #claims = 0;

  constructor(rig: HostRig) {
    this.rig = rig;
  }

  async play(steps: readonly string[]): Promise<void> {
    for (const name of steps) await this.#do(name);
    const { driver } = this.rig;
    driver.failStart = null;
    driver.listensLate = false;
    while (this.#claims > 0) this.#release();
    await this.settled();
  }

  /** Until what was asked is done, and no restart is pending. */
  async settled(): Promise<void> {
    const { host, driver } = this.rig;
    const over = new AbortController();
    void Promise.allSettled(this.#asked).then(() => over.abort());
    while (!over.signal.aborted) {
      await driver.listenAll();
      await new Promise((resolve) => setImmediate(resolve));
    }
    // A stop is queued behind whatever the machine still has to do by itself.
    if (host.machine("hello", AMS) !== undefined) await host.stop("hello", AMS).catch(() => {});
  }

  async #do(name: string): Promise<void> {
    const { host, load, driver } = this.rig;
    const [verb, what] = name.split(" ");
    if (verb === "reload") this.#ask(host.applyApps(APPS[what ?? ""] ?? []));
    if (verb === "start" || verb === "stop" || verb === "suspend") if (what === undefined) this.#ask(host[verb]("hello", AMS));
    if (name === "sleep") this.#ask(host.sleep("hello", AMS, "suspend", true));
    if (name === "part") this.#ask(host.sleep("hello", AMS, "suspend", false));
    if (name === "crash" && driver.running.includes(AMS)) this.#ask(driver.crash(AMS, 1));
    if (name === "exit" && driver.running.includes(AMS)) this.#ask(driver.crash(AMS, 0));
    if (name === "claim" && load.claim(AMS)) this.#claims += 1;
    if (name === "release" && this.#claims > 0) this.#release();
    if (name === "turn") await new Promise((resolve) => setImmediate(resolve));
    if (name === "listen") await driver.listenAll();
    if (verb === "listens") driver.listensLate = what === "late";
    if (verb === "resume") driver.failResume = what === "fails";
    if (verb === "suspend" && what !== undefined) driver.failSuspend = what === "fails";
    if (verb === "launch") driver.failStart = what === "fails" ? "no space left" : null;
  }

  #ask(work: Promise<unknown>): void {
    this.#asked.push(
      work.catch((error: unknown) => {
        if (!(error instanceof ProxyError)) this.surprises.push(error);
      }),
    );
  }

  #release(): void {
    this.#claims -= 1;
    this.rig.load.release(AMS);
  }
}

describe("a machine under any sequence of events", () => {
  it(`ends as the host says, and runs once at most (FC_SEED=${SEED})`, async () => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      await using rig = new HostRig({ drainMs: 30 });
      await rig.host.applyApps(APPS["plain"] ?? []);
      const player = new Player(rig);
      await player.play(steps);
      assert.ok(["created", "stopped", undefined].includes(rig.host.machine("hello", AMS)?.state), rig.states.join(", "));
      assert.deepEqual(rig.driver.running, []);
      assert.deepEqual(player.surprises, []);
      assert.deepEqual(rig.falseNews, []);

      await rig.host.applyApps(APPS["red"] ?? []);
      const { record } = await rig.host.start("hello", AMS, { fresh: true });
      assert.equal(record.state, "started");
      assert.deepEqual(rig.driver.running, [AMS]);
      assert.equal(rig.driver.launched.at(-1)?.env["COLOUR"], "red");
      assert.equal(rig.load.isClosed(AMS), false);
      assert.equal(rig.driver.startedTwice, 0);
      assert.equal((await rig.store.get(`machines/ams-1/hello/${AMS}`)) !== null, true);
    });
    await fc.assert(property, { seed: SEED, numRuns: 150 });
  });
});
