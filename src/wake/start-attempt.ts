// One attempt to get a machine running: sit out the back-off after crashes, resume or launch, wait for the port. Whatever comes in
// between (an exit, a stop, a new plan) breaks it off.

import { setTimeout as delay } from "node:timers/promises";

import type { MachineExit } from "./driver.ts";
import type { MachinePlan } from "./machine-plan.ts";
import type { PublishedRecord } from "./published-record.ts";
import { waitUntilListening } from "./readiness.ts";

/** Why an attempt was broken off. `again`: only to begin anew at once, so that those who wait for it do not notice. */
export type BreakOff =
  | { readonly kind: "exited"; readonly exit: MachineExit }
  | { readonly kind: "stopped" }
  | { readonly kind: "never_listened" }
  | { readonly kind: "again" }
  | { readonly kind: "closed" };

/** The record before a launch is worth this much waiting: it is how the next node finds the machine should this one die. */
const STORED_MS = 500;

export class StartAttempt {
  readonly #record: PublishedRecord;
  readonly #plan: MachinePlan;
  readonly #abort = new AbortController();
  /** Is it the machine of this attempt that runs, and not what an earlier one left? */
  #isOwn = false;
  #hasExited = false;

  constructor(record: PublishedRecord, plan: MachinePlan) {
    this.#record = record;
    this.#plan = plan;
  }

  get brokenOff(): BreakOff | null {
    return this.#abort.signal.aborted ? (this.#abort.signal.reason as BreakOff) : null;
  }

  breakOff(why: BreakOff): void {
    this.#abort.abort(why);
  }

  /** The machine ended by itself. Of remains that are being ended for this attempt that is no news. */
  exited(exit: MachineExit): void {
    if (!this.#isOwn) return;
    this.#hasExited = true;
    this.breakOff({ kind: "exited", exit });
  }

  /**
   * Rejects with the driver's error, or with anything when it was broken off. Then something of the machine may be left: its handle
   * is in the record.
   *
   * @param pauseMs wait this long before anything
   * @returns milliseconds from launch or resume until the port accepted
   */
  async run(pauseMs: number): Promise<number> {
    if (pauseMs > 0) await delay(pauseMs, undefined, { signal: this.#abort.signal });
    const begunAt = await this.#getGoing();
    await this.#listening();
    return performance.now() - begunAt;
  }

  async #getGoing(): Promise<number> {
    const { state, handle } = this.#record.value;
    const current = handle !== null && this.#record.launched.configHash === this.#plan.configHash;
    this.#isOwn = current;
    // Adopted: it runs, and only its port is still to be seen.
    if (current && state === "starting") return performance.now();
    if (current && state === "suspended") {
      const begunAt = performance.now();
      this.#record.change({ state: "starting", reason: "" });
      try {
        await this.#plan.driver.resume(this.#plan.launch, handle);
        return begunAt;
      } catch (error) {
        this.#record.log.warn({ err: error }, "machine cannot be resumed, starting it from cold");
      }
    }
    return await this.#launch();
  }

  async #launch(): Promise<number> {
    // Never two of one machine: what an outdated plan or a failed stop left behind ends first.
    this.#isOwn = false;
    await endRemains(this.#record);
    const { driver, launch, configHash } = this.#plan;
    this.#record.launched = this.#plan;
    this.#record.change({ state: "starting", handle: null, pid: null, configHash, reason: "" });
    if (driver.canStart) await this.#record.stored(STORED_MS);
    this.#abort.signal.throwIfAborted();
    const begunAt = performance.now();
    this.#isOwn = true;
    const launched = await driver.start(launch);
    if (!this.#hasExited) this.#record.change({ handle: launched.handle, pid: launched.pid, addresses: launched.addresses });
    return begunAt;
  }

  async #listening(): Promise<void> {
    const { readyPort, giveUpMs } = this.#plan;
    this.#abort.signal.throwIfAborted();
    if (readyPort === null) return;
    const address = this.#record.value.addresses[readyPort];
    if (address === undefined) throw new Error(`driver "${this.#plan.driver.name}" gave no address for port ${readyPort}`);
    const timer = giveUpMs === null ? undefined : setTimeout(() => this.breakOff({ kind: "never_listened" }), giveUpMs);
    try {
      await waitUntilListening(address, this.#abort.signal);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Ends whatever still runs of the machine, with the driver and the kill settings that it was launched with. */
export async function endRemains(record: PublishedRecord): Promise<void> {
  const { driver, launch } = record.launched;
  const { handle } = record.value;
  if (handle !== null && driver.canStart) await driver.stop(launch, handle);
}
