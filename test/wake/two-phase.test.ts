// No request is lost by the two-phase stop, and none is on a machine that sleeps, under any interleaving: what happens next is drawn by a seeded
// scheduler, one thing a turn of the event loop. Reference section 6.1.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import fc from "fast-check";
import { pino } from "pino";

import { Waker } from "../../src/wake/waker.ts";
import { HostRig } from "./host-rig.ts";
import { sampleApp, sampleMachine } from "./sample-app.ts";

const SEED = Number(process.env["FC_SEED"] ?? Date.now());
const IDS = ["hello-ams", "hello-ams-2"];
const STEPS = ["arrive", "arrive", "finish", "finish", "part 0", "part 1", "sleep 0", "sleep 1", "turn", "turn"] as const;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Requests that look for a machine as a worker does, have one woken where there is none, and stay until they are told to finish. */
class Requests {
  readonly #rig: HostRig;
  readonly #waker: Waker;
  readonly #finish: (() => void)[] = [];
  readonly all: Promise<void>[] = [];
  readonly held = new Map<number, string>();
  hasEnded = false;

  constructor(rig: HostRig, waker: Waker) {
    this.#rig = rig;
    this.#waker = waker;
  }

  arrive(): void {
    this.all.push(this.#request(this.all.length));
  }

  finish(): void {
    this.#finish.shift()?.();
  }

  /** Nobody is on a machine that is not up. */
  check(): void {
    for (const id of this.held.values()) assert.equal(this.#rig.record(id).state, "started", this.#rig.states.join(", "));
  }

  async #request(number: number): Promise<void> {
    const id = await this.#claim();
    this.held.set(number, id);
    if (!this.hasEnded) await new Promise<void>((resolve) => this.#finish.push(resolve));
    this.held.delete(number);
    this.#rig.load.release(id);
  }

  async #claim(): Promise<string> {
    for (;;) {
      const free = IDS.find((id) => this.#rig.record(id).state === "started" && this.#rig.load.claim(id));
      if (free !== undefined) return free;
      await this.#waker.wake("hello", "tcp-8080");
    }
  }
}

describe("the two-phase stop (reference section 6.1)", () => {
  it(`loses no request, and takes no machine away from one (FC_SEED=${SEED})`, async () => {
    let parted = 0;
    const property = fc.asyncProperty(fc.array(fc.constantFrom(...STEPS), { minLength: 5, maxLength: 60 }), async (steps) => {
      await using rig = new HostRig({ drainMs: 40 });
      const app = sampleApp({ machines: ["ams", "ams-2"].map((name) => sampleMachine("hello", "ams", { name })) });
      await rig.host.applyApps([app]);
      const waker = new Waker({
        region: "ams",
        host: rig.host,
        app: () => app,
        rttMs: () => 1,
        inFlight: (id) => rig.load.inFlight(id),
        onWoke: () => {},
        onFailed: () => {},
        log: pino({ enabled: false }),
        now: Date.now,
      });
      const requests = new Requests(rig, waker);
      const asleep: Promise<boolean>[] = [];
      for (const step of steps) {
        const [verb, index] = step.split(" ");
        if (verb === "arrive") requests.arrive();
        if (verb === "finish") requests.finish();
        if (verb === "part" || verb === "sleep") {
          asleep.push(rig.host.sleep("hello", IDS[Number(index)]!, "suspend", verb === "sleep"));
        }
        if (verb === "turn") await turn();
        requests.check();
      }
      requests.hasEnded = true;
      let areDone = false;
      void Promise.all(requests.all).then(() => (areDone = true));
      const untilMs = performance.now() + 5000;
      while (!areDone && performance.now() < untilMs) {
        requests.finish();
        await turn();
        requests.check();
      }
      assert.ok(areDone, `a request is lost: ${rig.states.join(", ")}`);
      await Promise.all(asleep);
      parted += rig.leaving.length;
      assert.deepEqual(rig.falseNews, []);
      assert.deepEqual(
        IDS.map((id) => rig.load.inFlight(id)),
        [0, 0],
      );
    });
    await fc.assert(property, { seed: SEED, numRuns: 60 });
    assert.ok(parted > 0, "no machine took leave of anybody");
  });
});
