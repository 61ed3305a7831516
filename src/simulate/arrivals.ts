// When requests come: a Poisson process whose rate follows the hours of a day, by thinning (Lewis and Shedler 1979).

import type { Chance } from "./random.ts";

export interface Traffic {
  /** Where the clients are, and the edge that takes them. */
  readonly region: string;
  readonly requestsPerDay: number;
  /** Hour of the day, UTC, with the most requests. */
  readonly peakHour: number;
  /** How much quieter the night is than the peak: by the factor e^(-4 swing). 0 is the same all day, 1 one request in fifty. */
  readonly swing: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** For the mean of the shape. */
const SAMPLES = 1440;

/** Requests a millisecond at a moment of the day. */
export class Rate {
  readonly #traffic: Traffic;
  readonly #mean: number;

  constructor(traffic: Traffic) {
    this.#traffic = traffic;
    let sum = 0;
    for (let i = 0; i < SAMPLES; i++) sum += this.#shape((i / SAMPLES) * DAY_MS);
    this.#mean = sum / SAMPLES;
  }

  get most(): number {
    return this.#perMs(this.#traffic.peakHour * HOUR_MS);
  }

  /** The moment of the next request after `nowMs`. */
  next(nowMs: number, chance: Chance): number {
    const { most } = this;
    for (let atMs = nowMs; ;) {
      atMs += chance.exponential(1 / most);
      if (chance.next() * most <= this.#perMs(atMs)) return atMs;
    }
  }

  #perMs(atMs: number): number {
    return (this.#traffic.requestsPerDay / DAY_MS) * (this.#shape(atMs) / this.#mean);
  }

  /** 1 at the peak. */
  #shape(atMs: number): number {
    const { peakHour, swing } = this.#traffic;
    const angle = (2 * Math.PI * (atMs - peakHour * HOUR_MS)) / DAY_MS;
    return Math.exp(2 * swing * (Math.cos(angle) - 1));
  }
}
