// `npm run bench`: time and cost of warm and of waking requests, results to bench/RESULTS.md and, one line a run, to bench/history.jsonl, so that
// p95 can be followed over time. `--rivals` measures beside other proxies instead, with `--scenarios a,b`, `--rounds N`, `--seconds N`; what it does not
// measure keeps its last figures. `--quick` for a look; its figures are not written down.

import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { measureRouting } from "./micro/routing.ts";
import { report, type RunResult } from "./report.ts";
import { benchRivals, lastResults } from "./rivals.ts";
import { rivalsReport } from "./rivals-report.ts";
import { allScenarios } from "./scenarios.ts";
import { warm } from "./scenarios/warm.ts";
import { wake } from "./scenarios/wake.ts";
import { wholeNumber } from "./whole-number.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rivals: { type: "boolean", default: false },
    scenarios: { type: "string", default: "" },
    rounds: { type: "string" },
    seconds: { type: "string" },
  },
});

if (values.rivals) {
  await benchRivals({
    scenarios: values.scenarios.split(",").filter((name) => name !== ""),
    rounds: count("rounds", values.quick ? 1 : 3),
    seconds: count("seconds", values.quick ? 1 : 2),
    isKept: !values.quick,
  });
} else await benchAlone();
if (!values.quick) writeFileSync(here("RESULTS.md"), allResults());

async function benchAlone(): Promise<void> {
  const options = { rounds: count("rounds", values.quick ? 1 : 5), seconds: count("seconds", values.quick ? 2 : 5), connections: 64 };
  const result: RunResult = {
    date: new Date().toISOString(),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown processor"}`,
    node: process.version,
    options,
    warm: await warm(options),
    wake: await wake(values.quick ? 5 : 20),
    routing: measureRouting(values.quick ? 5 : 15),
  };
  console.log(report(result, history()));
  if (!values.quick) appendFileSync(here("history.jsonl"), `${JSON.stringify(result)}\n`);
}

function allResults(): string {
  const runs = history();
  const last = runs.at(-1);
  const alone = last === undefined ? "# Benchmark results\n" : report(last, runs);
  return [alone, ...rivalsReport(allScenarios(), lastResults())].join("\n");
}

function count(name: "rounds" | "seconds", fallback: number): number {
  const given = values[name];
  return given === undefined ? fallback : wholeNumber(name, given);
}

function here(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

function history(): RunResult[] {
  try {
    const lines = readFileSync(here("history.jsonl"), "utf8").split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as RunResult);
  } catch {
    return [];
  }
}
