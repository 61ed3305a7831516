// What a scenario is: a load for a contestant, what must be had of it, and by which figure it is judged.

import type { LoadResult } from "./load/result.ts";
import type { RunningContestant } from "./contestant.ts";

/** What a contestant must be able to do to take part. */
export type Ability = "http" | "h2" | "websocket";

/** By which figure contestants are compared: CPU time for each unit, resident memory for each, or the 99th percentile of latency. */
export type Judged = "cpuUs" | "kbEach" | "p99Ms";

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** One sentence: the load. */
  readonly load: string;
  readonly needs: Ability;
  /** What is counted. */
  readonly unit: "request" | "connection" | "message";
  readonly judged: Judged;
  readonly goals: readonly Goal[];
  /** One round without a warm-up: memory that a process once had it does not give back, and it varies little. */
  readonly isSingle?: boolean;
  /** The backend takes part too, without a proxy. */
  readonly hasBare?: boolean;
  /** Called after the warm-up, before the first round. */
  prepare?(contestants: readonly NamedContestant[]): Promise<void>;
  measure(contestant: NamedContestant, seconds: number): Promise<LoadResult & { readonly kbEach?: number; readonly rate?: number }>;
}

export interface NamedContestant extends RunningContestant {
  readonly name: string;
}

/** What Kittiwake must reach: at most so many times a rival's figure, at most so much above it, or at most so much. */
export type Goal =
  | { readonly kind: "times"; readonly rival: string; readonly most: number }
  | { readonly kind: "above"; readonly rival: string; readonly most: number }
  | { readonly kind: "absolute"; readonly most: number };

/** Medians over the rounds; null where there is no such figure. */
export interface Figures {
  readonly cpuUs: number | null;
  readonly perSecond: number;
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
  readonly residentMb: number | null;
  readonly kbEach: number | null;
  /** Requests a second that were asked for. */
  readonly rate: number | null;
}

/** What became of a contestant in a scenario. */
export type Row =
  | { readonly name: string; readonly outcome: "measured"; readonly figures: Figures }
  /** It does not do this at all, or not without errors. */
  | { readonly name: string; readonly outcome: "unable" | "failed"; readonly reason: string };

export interface ScenarioResult {
  readonly scenario: string;
  readonly date: string;
  readonly machine: string;
  readonly node: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly rounds: number;
  readonly seconds: number;
  readonly rows: readonly Row[];
}

export const BARE_BACKEND = "bare backend";

export function timesHaproxy(most: number): Goal {
  return { kind: "times", rival: "HAProxy", most };
}
