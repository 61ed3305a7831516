// What the report of a contest says: whether the goals are met, and why somebody has no figures.

import assert from "node:assert/strict";
import { test } from "node:test";
import { rivalsReport } from "../../bench/rivals-report.ts";
import type { Figures, Goal, Row, Scenario, ScenarioResult } from "../../bench/scenario.ts";

const FIGURES: Figures = { cpuUs: 20, perSecond: 1000, p50Ms: 1, p95Ms: 2, p99Ms: 3, residentMb: 40, kbEach: null, rate: null };

const BASE: Scenario = {
  name: "plain",
  title: "plain requests",
  load: "Some load.",
  needs: "http",
  unit: "request",
  judged: "cpuUs",
  goals: [],
  measure: () => Promise.reject(new Error("nothing is measured here")),
};

function measured(name: string, figures: Partial<Figures>): Row {
  return { name, outcome: "measured", figures: { ...FIGURES, ...figures } };
}

function resultOf(rows: readonly Row[], more: Partial<ScenarioResult> = {}): ScenarioResult {
  const when = { date: "2026-01-01T00:00:00.000Z", machine: "a machine", node: "v26", versions: { HAProxy: "2.6" } };
  return { scenario: "plain", ...when, rounds: 3, seconds: 2, rows, ...more };
}

function reportOf(scenario: Partial<Scenario>, rows: readonly Row[]): string {
  return rivalsReport([{ ...BASE, ...scenario }], new Map([["plain", resultOf(rows)]])).join("\n");
}

test("a goal is met up to its limit and missed above it", () => {
  const goals: Goal[] = [{ kind: "times", rival: "HAProxy", most: 1.3 }];
  const rows = (cpuUs: number): Row[] => [measured("HAProxy", { cpuUs: 20 }), measured("Kittiwake", { cpuUs })];
  assert.match(reportOf({ goals }, rows(26)), /\| plain requests \| ≤ 1\.3 × HAProxy \| 1\.30 × \| met \|/);
  assert.match(reportOf({ goals }, rows(26.5)), /\| plain requests \| ≤ 1\.3 × HAProxy \| 1\.3[23] × \| \*\*missed\*\* \|/);
});

test("a goal is judged by the figure of its scenario", () => {
  const rows = [measured("HAProxy", { p99Ms: 2 }), measured("Kittiwake", { p99Ms: 2.9, kbEach: 31 })];
  const above = reportOf({ judged: "p99Ms", goals: [{ kind: "above", rival: "HAProxy", most: 1 }] }, rows);
  assert.match(above, /≤ 1 ms over HAProxy \| 0\.90 ms \| met/);
  assert.match(reportOf({ judged: "kbEach", goals: [{ kind: "absolute", most: 32 }] }, rows), /≤ 32 kB \| 31\.00 kB \| met/);
});

test("where Kittiwake or the rival has no figures, the goal is open", () => {
  const goals: Goal[] = [{ kind: "times", rival: "HAProxy", most: 1.3 }];
  const unable: Row = { name: "Kittiwake", outcome: "unable", reason: "speaks no HTTP/2" };
  assert.match(reportOf({ goals }, [measured("HAProxy", {}), unable]), /≤ 1\.3 × HAProxy \| — \| {2}\|/);
  assert.match(reportOf({ goals }, [measured("Kittiwake", {})]), /≤ 1\.3 × HAProxy \| — \| {2}\|/);
});

test("who could not take part, and who failed, has the reason in place of figures", () => {
  const report = reportOf({}, [
    { name: "http-proxy-3", outcome: "unable", reason: "speaks no HTTP/2" },
    { name: "Caddy", outcome: "failed", reason: "3 requests | failed" },
  ]);
  assert.match(report, /\| http-proxy-3 \| — \(speaks no HTTP\/2\) \|/);
  assert.match(report, /\| Caddy \| failed: 3 requests \\\| failed \|/);
});

test("a scenario that was last measured elsewhere says so, and one never measured is left out", () => {
  const scenarios = [BASE, { ...BASE, name: "old", title: "old ones" }, { ...BASE, name: "never", title: "never run" }];
  const results = new Map([
    ["plain", resultOf([measured("HAProxy", {})])],
    ["old", resultOf([measured("HAProxy", {})], { date: "2025-01-01T00:00:00.000Z", machine: "another machine" })],
  ]);
  const report = rivalsReport(scenarios, results).join("\n");
  assert.equal(report.match(/another machine/g)?.length, 1);
  assert.match(report, /Measured on another machine, Node v26, HAProxy 2\.6\./);
  assert.doesNotMatch(report, /never run/);
  assert.deepEqual(rivalsReport(scenarios, new Map()), []);
});
