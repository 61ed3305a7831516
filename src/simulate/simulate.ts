// Runs a scenario: a fleet's day in seconds, the same one for the same seed.

import type { App } from "../core/app.ts";
import type { Traffic } from "./arrivals.ts";
import { Chance } from "./random.ts";
import { type Summary, Tally } from "./tally.ts";
import { Timeline } from "./timeline.ts";
import { type Behaviour, type Trouble, World } from "./world.ts";

export interface SimulateOptions {
  readonly app: App;
  readonly seed: number;
  readonly durationMs: number;
  readonly traffic: readonly Traffic[];
  readonly troubles: readonly Trouble[];
  readonly behaviour: Behaviour;
  readonly rttMs: (from: string, to: string) => number;
}

/** Points of the course, over the whole time. */
const PARTS = 144;

export function simulate(options: SimulateOptions): Summary {
  const { seed, durationMs } = options;
  const timeline = new Timeline();
  const tally = new Tally(durationMs / PARTS);
  const world = new World({ ...options, timeline, tally, chance: new Chance(seed) });
  world.begin();
  timeline.runUntil(durationMs);
  return tally.summary(durationMs, world.machines);
}
