// Which machines say that they are busy with something that the edge cannot see, such as a job: they are left alone until then. They say so
// in a response (`kittiwake-busy: 600`), or in a file.

/** A day: whoever is longer at it says so again. */
const MOST_MS = 86_400_000;

export class BusyMachines {
  readonly #now: () => number;
  readonly #untilMs = new Map<string, number>();

  /** @param now milliseconds of a clock that never jumps */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The newest word holds: 0 takes back what was said before. */
  note(machineId: string, seconds: number): void {
    const ms = Math.min(MOST_MS, seconds * 1000);
    if (ms > 0) this.#untilMs.set(machineId, this.#now() + ms);
    else this.#untilMs.delete(machineId);
  }

  isBusy(machineId: string): boolean {
    const untilMs = this.#untilMs.get(machineId);
    if (untilMs === undefined) return false;
    if (this.#now() < untilMs) return true;
    this.#untilMs.delete(machineId);
    return false;
  }

  forget(machineId: string): void {
    this.#untilMs.delete(machineId);
  }
}
