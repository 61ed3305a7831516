// `kittiwake simulate`: what a scenario would come to, with the decisions of the real edge under a virtual clock. Needs no running node.

import { writeFileSync } from "node:fs";
import { resolve } from "node:path";

import { Latency } from "../../catalog/latency.ts";
import { formatProblem } from "../../config/problems.ts";
import { isScenario, readScenario, type Scenario } from "../../config/scenario.ts";
import { ProxyError } from "../../core/errors.ts";
import { REGIONS } from "../../core/region-table.ts";
import { drawChart } from "../../simulate/chart.ts";
import { simulate as run } from "../../simulate/simulate.ts";
import type { Summary } from "../../simulate/tally.ts";
import type { GlobalOptions } from "../config-source.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatMs, formatTable } from "../table.ts";
import { printJson, type Terminal } from "../terminal.ts";

export interface SimulateCommandOptions extends GlobalOptions {
  /** Instead of that of the scenario; digits. */
  readonly seed?: string;
  /** Path of an SVG file to write. */
  readonly chart?: string;
}

export function simulate(path: string, options: SimulateCommandOptions, terminal: Terminal): ExitCode {
  const scenario = readScenario(resolve(terminal.cwd, path), path);
  if (!isScenario(scenario)) throw new ProxyError("config_invalid", scenario.map(formatProblem).join("\n"));
  const seed = options.seed === undefined ? scenario.seed : Number(options.seed);
  if (!Number.isInteger(seed) || seed < 0)
    throw new ProxyError("bad_request", `expected a whole number as the seed, got "${options.seed}"`);
  const summary = simulated(scenario, seed);
  if (options.chart !== undefined) {
    const title = `${scenario.app.name}: ${summary.requests} requests, seed ${seed}`;
    writeFileSync(resolve(terminal.cwd, options.chart), drawChart(title, summary));
  }
  if (options.json === true) printJson(terminal, asJson(seed, summary));
  else terminal.print(describe(seed, summary));
  return EXIT.ok;
}

function simulated({ app, durationMs, regions, machine, traffic, failures, partitions }: Scenario, seed: number): Summary {
  const latency = new Latency({ regions: [...REGIONS, ...regions.regions], measured: regions.measured });
  return run({
    app,
    seed,
    durationMs,
    traffic: traffic.map((one) => ({
      region: one.region,
      requestsPerDay: one.requests_per_day,
      peakHour: one.peak_hour,
      swing: one.swing,
    })),
    troubles: [
      ...failures.map((one) => ({ kind: "failure" as const, target: one.machine, atMs: one.at, lastsMs: one.lasts })),
      ...partitions.map((one) => ({ kind: "partition" as const, target: one.region, atMs: one.at, lastsMs: one.lasts })),
    ],
    behaviour: {
      startMs: machine.starts_in,
      resumeMs: machine.resumes_in,
      stopMs: machine.stops_in,
      answerMs: machine.answers_in,
      spread: machine.spread,
    },
    rttMs: (from, to) => latency.rttMs(from, to),
  });
}

function describe(seed: number, summary: Summary): string {
  const rows = summary.regions.map((one) => [
    one.region,
    one.requests,
    one.lost,
    percent(one.local),
    percent(one.waited),
    formatMs(one.p50Ms),
    formatMs(one.p95Ms),
    formatMs(one.p99Ms),
  ]);
  const { requests, lost, waited, p50Ms, p95Ms, p99Ms, machineHours, alwaysOnHours, wakes } = summary;
  rows.push(["all", requests, lost, "", percent(waited), formatMs(p50Ms), formatMs(p95Ms), formatMs(p99Ms)]);
  const saved = percent(1 - machineHours / alwaysOnHours);
  return [
    formatTable(["REGION", "REQUESTS", "LOST", "LOCAL", "WAITED", "P50", "P95", "P99"], rows),
    "",
    `machine hours  ${machineHours.toFixed(1)}, always on ${alwaysOnHours.toFixed(1)}: ${saved} less`,
    `wakes          ${wakes}`,
    `seed           ${seed}`,
  ].join("\n");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

function asJson(seed: number, summary: Summary): object {
  const times = (one: { p50Ms: number; p95Ms: number; p99Ms: number }): object => ({
    p50_ms: one.p50Ms,
    p95_ms: one.p95Ms,
    p99_ms: one.p99Ms,
  });
  const { requests, lost, waited, wakes, machineHours, alwaysOnHours, regions, course } = summary;
  return {
    seed,
    requests,
    lost,
    waited,
    wakes,
    machine_hours: machineHours,
    always_on_hours: alwaysOnHours,
    ...times(summary),
    regions: regions.map((one) => {
      const { region, local } = one;
      return { region, requests: one.requests, lost: one.lost, local, waited: one.waited, ...times(one) };
    }),
    course: course.map(({ fromMs, requests: count, awake }) => ({ from_ms: fromMs, requests: count, awake })),
  };
}
