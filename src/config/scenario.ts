// A scenario for `kittiwake simulate`: an app's fly.toml, how its machines behave, who asks for it from where, and what goes wrong.
//
//     app = "shop.toml"              [[traffic]]                  [[failure]]
//     seed = 1                       region = "ams"               machine = "ams"
//     duration = "24h"               requests_per_day = 20_000    at = "3h"
//     [machine]                      peak_hour = 13               lasts = "10m"
//     starts_in = "2s"               swing = 1

import { dirname, resolve } from "node:path";

import { z } from "zod";

import type { App } from "../core/app.ts";
import { REGIONS } from "../core/region-table.ts";
import { Findings } from "./findings.ts";
import { defineDocument } from "./key-schema.ts";
import { loadApp } from "./load.ts";
import type { Problem } from "./problems.ts";
import { readDocument } from "./read-document.ts";
import { isRegionFile, readRegionFile, type RegionFile } from "./region-file.ts";
import { duration, path, regionCode } from "./scalars.ts";
import { readTomlFile, TomlFile } from "./toml-file.ts";

const positive = { minMs: 1 };

const machine = z
  .strictObject({
    starts_in: duration(positive).prefault("2s").describe("From stopped until it accepts, on average."),
    resumes_in: duration(positive).prefault("300ms").describe("The same from suspended."),
    stops_in: duration(positive).prefault("500ms").describe("How long it takes to stop, or to be suspended."),
    answers_in: duration(positive).prefault("30ms").describe("Mean time of its own for a request, exponentially distributed."),
    spread: z.number().min(0).max(1).default(0.2).describe("How much starts and stops vary: 0.2 is by a fifth."),
  })
  .prefault({})
  .describe("How a machine behaves.");

const traffic = z.strictObject({
  region: regionCode().describe("Where the clients are, and the edge that takes them."),
  requests_per_day: z.number().positive().max(1e8).meta({ description: "On average.", kind: "a number above 0", standIn: 1 }),
  peak_hour: z.number().min(0).max(24).default(12).describe("Hour of the day, UTC, with the most requests."),
  swing: z.number().min(0).max(5).default(1).describe("How much quieter the night is than the peak: by the factor e^(-4 swing)."),
});

const failure = z.strictObject({
  machine: z.string().min(1).meta({ description: "Name of a machine, such as `ams` or `ams-2`.", kind: "a name" }),
  at: duration().describe("Since the beginning."),
  lasts: duration(positive).prefault("10m").describe("So long it cannot be started."),
});

const partition = z.strictObject({
  region: regionCode().describe("Region that cannot reach the others, nor they it."),
  at: duration().describe("Since the beginning."),
  lasts: duration(positive).prefault("10m").describe("How long."),
});

const SCENARIO = defineDocument(
  z.strictObject({
    app: path().meta({ description: "The app's fly.toml, relative to this file.", standIn: "fly.toml" }),
    seed: z.int().min(0).max(4_294_967_295).default(1).describe("The same seed is the same day again."),
    duration: duration(positive).prefault("24h").describe("How much time is simulated."),
    regions: path().optional().meta({ description: "A region file, relative to this file.", fallback: "the built-in table" }),
    machine,
    traffic: z.array(traffic).min(1).meta({ description: "Who asks from where.", kind: "at least one [[traffic]]" }),
    failure: z.array(failure).default([]).describe("Machines that crash."),
    partition: z.array(partition).default([]).describe("Regions that are cut off."),
  }),
);

export interface Scenario {
  readonly app: App;
  readonly seed: number;
  readonly durationMs: number;
  readonly regions: RegionFile;
  readonly machine: z.output<typeof machine>;
  readonly traffic: readonly z.output<typeof traffic>[];
  readonly failures: readonly z.output<typeof failure>[];
  readonly partitions: readonly z.output<typeof partition>[];
}

/** Reads a scenario and its app. @returns it, or all that is wrong with it */
export function readScenario(at: string, name: string = at): Scenario | readonly Problem[] {
  const file = readTomlFile(at, name);
  if (!(file instanceof TomlFile)) return [file];
  const findings = new Findings(file);
  const document = readDocument(SCENARIO, file.tree, findings);
  if (document === null || findings.hasErrors) return findings.toProblems();
  const directory = dirname(at);
  const regions = document.regions === undefined ? NO_REGIONS : readRegionFile(resolve(directory, document.regions));
  if (!isRegionFile(regions)) return regions;
  const codes = new Set([...REGIONS, ...regions.regions].map(({ code }) => code));
  const app = loadApp(resolve(directory, document.app), codes);
  if (!("name" in app)) return app;
  const names = new Set(app.machines.map((one) => one.name));
  const located = [...document.traffic.entries()].map(([index, { region }]) => ({ path: ["traffic", index, "region"], region }));
  for (const { path: key, region } of located) if (!codes.has(region)) findings.error(key, `there is no region "${region}"`);
  for (const [index, { machine: hit }] of document.failure.entries()) {
    if (!names.has(hit)) findings.error(["failure", index, "machine"], `the app has no machine "${hit}"; it has ${[...names].join(", ")}`);
  }
  if (!app.services.some(({ protocol }) => protocol === "tcp")) findings.error(["app"], "the app has no service that could be asked");
  if (findings.hasErrors) return findings.toProblems();
  const { seed, duration: durationMs, failure: failures, partition: partitions } = document;
  return { app, seed, durationMs, regions, machine: document.machine, traffic: document.traffic, failures, partitions };
}

/** Did `readScenario` find a usable one? */
export function isScenario(result: Scenario | readonly Problem[]): result is Scenario {
  return !Array.isArray(result);
}

const NO_REGIONS: RegionFile = { regions: [], measured: [] };
