// `npm run bench`: every scenario in turn, results to bench/RESULTS.md and, one line a run, to bench/history.jsonl, so that p95 can be
// followed over time. `--quick` for a look; its figures are not written down.

import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { report } from "./report.ts";
import { warm } from "./scenarios/warm.ts";
import { wake } from "./scenarios/wake.ts";

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const options = values.quick ? { rounds: 1, seconds: 2, connections: 64 } : { rounds: 5, seconds: 5, connections: 64 };

const result = {
  date: new Date().toISOString(),
  machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown processor"}`,
  node: process.version,
  options,
  warm: await warm(options),
  wake: await wake(values.quick ? 5 : 20),
};

const markdown = report(result, history());
console.log(markdown);
if (!values.quick) {
  appendFileSync(here("history.jsonl"), `${JSON.stringify(result)}\n`);
  writeFileSync(here("RESULTS.md"), report(result, history()));
}

function here(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

function history(): (typeof result)[] {
  try {
    const lines = readFileSync(here("history.jsonl"), "utf8").split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as typeof result);
  } catch {
    return [];
  }
}
