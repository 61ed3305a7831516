// `npm run bench -- --rivals`: Kittiwake and what others would use in its place, in the same scenarios on the same core. Results are kept a line a
// scenario in rivals.jsonl; the last line of each is what the report shows.

import { execFileSync } from "node:child_process";
import { appendFileSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { makeCertificate } from "./certificate.ts";
import { contest, type ContestOptions } from "./contest.ts";
import { findProgram, type Contestant } from "./contestant.ts";
import { kittiwake } from "./kittiwake.ts";
import { scenarioTable } from "./rivals-report.ts";
import { caddy } from "./rivals/caddy.ts";
import { haproxy } from "./rivals/haproxy.ts";
import { httpProxy3 } from "./rivals/http-proxy-3.ts";
import { nginx } from "./rivals/nginx.ts";
import { replyFrom } from "./rivals/reply-from.ts";
import { allScenarios } from "./scenarios.ts";
import type { Scenario, ScenarioResult } from "./scenario.ts";

export interface RivalsOptions extends ContestOptions {
  /** Names; empty: all. */
  readonly scenarios: readonly string[];
  /** Write the results down. */
  readonly isKept: boolean;
}

export const CONTESTANTS: readonly Contestant[] = [haproxy, nginx, caddy, httpProxy3, replyFrom, kittiwake];
const RESULTS = fileURLToPath(new URL("rivals.jsonl", import.meta.url));

/** Prints each scenario's table when it is over. */
export async function benchRivals({ scenarios: names, isKept, rounds: asked, seconds }: RivalsOptions): Promise<void> {
  const scenarios = pickScenarios(names);
  for (const program of ["taskset", "wrk", "h2load"]) {
    if (findProgram(program) === null)
      throw new Error(`"${program}" is missing; it is in the Debian packages util-linux, wrk and nghttp2-client`);
  }
  const contestants = CONTESTANTS.filter((contestant) => {
    const missing = contestant.missing();
    if (missing !== null) console.log(`${contestant.name} is left out: it needs ${missing}`);
    return missing === null;
  });
  const versions = versionsOf(contestants);
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown processor"}`;
  using certificate = await makeCertificate();
  for (const scenario of scenarios) {
    const rounds = scenario.isSingle === true ? 1 : asked;
    const rows = await contest(scenario, contestants, certificate, { rounds, seconds });
    const date = new Date().toISOString();
    const result: ScenarioResult = { scenario: scenario.name, date, machine, node: process.version, versions, rounds, seconds, rows };
    console.log(`${scenarioTable(scenario, result).join("\n")}\n`);
    if (isKept) appendFileSync(RESULTS, `${JSON.stringify(result)}\n`);
  }
}

/** The last result of each scenario. */
export function lastResults(): ReadonlyMap<string, ScenarioResult> {
  const lines = readLines().map((line) => JSON.parse(line) as ScenarioResult);
  return new Map(lines.map((result) => [result.scenario, result]));
}

export function pickScenarios(names: readonly string[]): readonly Scenario[] {
  const all = allScenarios();
  const unknown = names.filter((name) => !all.some((scenario) => scenario.name === name));
  if (unknown.length > 0) {
    throw new Error(`no scenario is called "${unknown.join('", "')}"; there are ${all.map(({ name }) => name).join(", ")}`);
  }
  return names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
}

function versionsOf(contestants: readonly Contestant[]): Record<string, string> {
  const asked: Readonly<Record<string, () => string>> = {
    HAProxy: () => ask("haproxy", "-v"),
    nginx: () => ask("nginx", "-v"),
    Caddy: () => ask("caddy", "version"),
    "http-proxy-3": () => versionOfPackage("http-proxy-3"),
    "@fastify/reply-from": () => versionOfPackage("@fastify/reply-from"),
  };
  return Object.fromEntries(contestants.flatMap(({ name }) => (asked[name] === undefined ? [] : [[name, asked[name]()]])));
}

function ask(program: string, flag: string): string {
  // nginx says it on stderr.
  const text = execFileSync("/bin/sh", ["-c", `"$0" ${flag} 2>&1`, findProgram(program)!], { encoding: "utf8" });
  return /\d+\.\d+[\w.+-]*/.exec(text)?.[0] ?? "unknown";
}

function versionOfPackage(name: string): string {
  const require = createRequire(import.meta.url);
  // Not every package lets its manifest be imported.
  const path = require.resolve.paths(name)!.map((directory) => `${directory}/${name}/package.json`);
  for (const each of path) {
    try {
      return (JSON.parse(readFileSync(each, "utf8")) as { readonly version: string }).version;
    } catch {
      continue;
    }
  }
  return "unknown";
}

function readLines(): string[] {
  try {
    return readFileSync(RESULTS, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
}
