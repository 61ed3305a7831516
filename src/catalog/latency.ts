// How far regions are from each other in milliseconds: what the mesh measured, else what the operator's region file says, else an
// estimate from the coordinates. Routing asks it for every ranking, so answers come from a table that is filled as it is asked.

import { ProxyError } from "../core/errors.ts";
import { estimateRttMs, LOCAL_RTT_MS, type MeasuredRtt, type Region } from "../core/region.ts";

/** Plain values: the main thread builds its Latency and those of the workers from the same ones. */
export interface LatencyOptions {
  /** Later entries override earlier ones of the same code. */
  readonly regions: readonly Region[];
  /** From the region file. */
  readonly measured?: readonly MeasuredRtt[];
}

export interface RegionDistance extends Region {
  readonly rttMs: number;
  readonly source: "measured" | "estimated";
}

/** Where neither coordinates nor a measurement are known: further than any place on Earth, but a number that sorts and prints. */
export const UNKNOWN_RTT_MS = 1000;

/** Weight of a new measurement, as for a TCP connection's smoothed round trip (RFC 6298, section 2.3). */
const EWMA_WEIGHT = 1 / 8;

export class Latency {
  readonly #regions: ReadonlyMap<string, Region>;
  readonly #configured = new Map<string, Map<string, number>>();
  readonly #observed = new Map<string, Map<string, number>>();
  /** Answers by origin, then target; dropped when something new is observed. Holds known codes only, so it cannot grow. */
  readonly #answers = new Map<string, Map<string, number>>();

  constructor({ regions, measured = [] }: LatencyOptions) {
    this.#regions = new Map(regions.map((region) => [region.code, region]));
    for (const { from, to, ms } of measured) rowOf(this.#configured, from).set(to, ms);
  }

  /** The round trip between two region codes in milliseconds; UNKNOWN_RTT_MS if nothing is known. */
  rttMs(from: string, to: string): number {
    const answer = this.#answers.get(from)?.get(to);
    if (answer !== undefined) return answer;
    const rttMs = this.#measured(from, to) ?? this.#estimated(from, to);
    if (this.#regions.has(from) && this.#regions.has(to)) rowOf(this.#answers, from).set(to, rttMs);
    return rttMs;
  }

  /** For `codes.sort(latency.byDistance("ams"))`: nearest first. Regions that are equally far keep their order. */
  byDistance(from: string): (one: string, other: string) => number {
    return (one, other) => this.rttMs(from, one) - this.rttMs(from, other);
  }

  /**
   * Takes in a round trip that the mesh measured. The first one of a pair replaces what the table said, later ones move the
   * average by an eighth. What cannot be a duration is ignored, since it comes from another node.
   */
  observe(from: string, to: string, ms: number): void {
    if (!Number.isFinite(ms) || ms < 0) return;
    const row = rowOf(this.#observed, from);
    const average = row.get(to);
    row.set(to, average === undefined ? ms : average + (ms - average) * EWMA_WEIGHT);
    this.#answers.get(from)?.delete(to);
    this.#answers.get(to)?.delete(from);
  }

  /** Every known region as seen from `from`, nearest first, equally far ones by code. Throws `config_invalid` for an unknown code. */
  table(from: string): RegionDistance[] {
    if (!this.#regions.has(from)) {
      throw new ProxyError(
        "config_invalid",
        `there is no region "${from}"; the codes are those of the built-in table and of the region file`,
      );
    }
    return [...this.#regions.values()]
      .map((region): RegionDistance => {
        const source = this.#measured(from, region.code) === undefined ? "estimated" : "measured";
        return { ...region, rttMs: this.rttMs(from, region.code), source };
      })
      .sort((one, other) => one.rttMs - other.rttMs || (one.code < other.code ? -1 : 1));
  }

  #measured(from: string, to: string): number | undefined {
    return (
      this.#observed.get(from)?.get(to) ??
      this.#observed.get(to)?.get(from) ??
      this.#configured.get(from)?.get(to) ??
      this.#configured.get(to)?.get(from)
    );
  }

  #estimated(from: string, to: string): number {
    if (from === to) return LOCAL_RTT_MS;
    const origin = this.#regions.get(from);
    const target = this.#regions.get(to);
    return origin === undefined || target === undefined ? UNKNOWN_RTT_MS : estimateRttMs(origin, target);
  }
}

function rowOf(table: Map<string, Map<string, number>>, from: string): Map<string, number> {
  const known = table.get(from);
  if (known !== undefined) return known;
  const row = new Map<string, number>();
  table.set(from, row);
  return row;
}
