// Hot path. Which machines have just woken: their caches are cold, so beside warm ones they get less at first.

import { MAX_SLOTS } from "../catalog/load-table.ts";
import type { MachineState } from "../core/machine.ts";

const WARM_UP_MS = 10_000;
/** Enough to begin with that there is something to warm up by. */
const LEAST_SHARE = 0.1;

export class WarmUp {
  /** Slots whose machine was seen not running. */
  readonly #wasDown = new Uint8Array(MAX_SLOTS);
  readonly #wokeAtMs = new Float64Array(MAX_SLOTS).fill(-Infinity);

  /** The machine's state as it is now known. One that ran when it was first heard of counts as warm. */
  learn(slot: number, state: MachineState, nowMs: number): void {
    if (state !== "started") this.#wasDown[slot] = 1;
    else if (this.#wasDown[slot] === 1) {
      this.#wasDown[slot] = 0;
      this.#wokeAtMs[slot] = nowMs;
    }
  }

  /** How much it should get of what a warm machine does: above 0, and 1 when it is warm itself. */
  share(slot: number, nowMs: number): number {
    const ageMs = nowMs - this.#wokeAtMs[slot]!;
    return ageMs >= WARM_UP_MS ? 1 : Math.max(LEAST_SHARE, ageMs / WARM_UP_MS);
  }
}
