// Which machines say that they are busy with something that the edge cannot see, such as a job: they are left alone until then. They say so
// in a response (`kittiwake-busy: 600`), or those of the process driver in a file that their environment names.

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** A day: whoever is longer at it says so again. */
const MOST_MS = 86_400_000;
/** What a file without a number says. */
const USUAL_S = 60;

export interface BusyMachinesOptions {
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
  /** Milliseconds since the epoch, as files have them. */
  readonly wallClock: () => number;
  /** The node's data directory. */
  readonly dir: string;
}

/** Where a machine of the process driver says so: `KITTIWAKE_BUSY_FILE`. It holds a number of seconds that counts from when it was written. */
export function busyFile(dir: string, machineId: string): string {
  return join(dir, "machines", machineId, "busy");
}

export class BusyMachines {
  readonly #options: BusyMachinesOptions;
  readonly #untilMs = new Map<string, number>();

  constructor(options: BusyMachinesOptions) {
    this.#options = options;
  }

  /** The newest word holds: 0 takes back what was said before. */
  note(machineId: string, seconds: number): void {
    const ms = Math.min(MOST_MS, seconds * 1000);
    if (ms > 0) this.#untilMs.set(machineId, this.#options.now() + ms);
    else this.#untilMs.delete(machineId);
  }

  isBusy(machineId: string): boolean {
    const untilMs = this.#untilMs.get(machineId);
    if (untilMs !== undefined) {
      if (this.#options.now() < untilMs) return true;
      this.#untilMs.delete(machineId);
    }
    return this.#saysFile(machineId);
  }

  forget(machineId: string): void {
    this.#untilMs.delete(machineId);
  }

  #saysFile(machineId: string): boolean {
    const { dir, wallClock } = this.#options;
    const path = busyFile(dir, machineId);
    const file = statSync(path, { throwIfNoEntry: false });
    if (file === undefined || !file.isFile()) return false;
    return file.mtimeMs + Math.min(MOST_MS, secondsIn(path, file.size) * 1000) > wallClock();
  }
}

/** What is no number, too long for one, or gone by now counts as the usual time: somebody did write it. */
function secondsIn(path: string, size: number): number {
  if (size === 0 || size > 16) return USUAL_S;
  try {
    const text = readFileSync(path, "utf8").trim();
    return /^\d{1,6}$/.test(text) ? Number(text) : USUAL_S;
  } catch {
    return USUAL_S;
  }
}
