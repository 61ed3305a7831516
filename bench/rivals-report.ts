// The rivals' part of bench/RESULTS.md: whether what must be reached is reached, then a table for each scenario.

import { BARE_BACKEND, type Figures, type Goal, type Row, type Scenario, type ScenarioResult } from "./scenario.ts";

const OURS = "Kittiwake";
const BASE = "HAProxy";

/** How each figure is told: its heading, and its digits. */
const JUDGED = {
  cpuUs: { heading: (unit: string) => `CPU µs per ${unit}`, unit: "µs", digits: 1 },
  kbEach: { heading: (unit: string) => `kB per ${unit}`, unit: "kB", digits: 1 },
  p99Ms: { heading: () => "p99 ms", unit: "ms", digits: 2 },
} as const;

type Column = readonly [heading: string, cell: (figures: Figures, name: string) => string];

/** Markdown for all scenarios that have a result. */
export function rivalsReport(scenarios: readonly Scenario[], results: ReadonlyMap<string, ScenarioResult>): string[] {
  const measured = scenarios.flatMap((scenario) => {
    const result = results.get(scenario.name);
    return result === undefined ? [] : [{ scenario, result }];
  });
  const newest = measured.toSorted((a, b) => a.result.date.localeCompare(b.result.date)).at(-1);
  if (newest === undefined) return [];
  return [
    "## Beside its rivals",
    "",
    "Written by `npm run bench -- --rivals`. Everybody has one core to itself in turn, the same root's certificate, no access log, connections to the backend kept, forwarded",
    "headers on; load and backend share the other core. Kittiwake is one worker with everything at its default. CPU is user and system time of all processes of the",
    "proxy. Medians over alternating rounds. The configurations are in `bench/rivals/`.",
    "",
    `${placeOf(newest.result)}.`,
    "",
    "| scenario | must reach | is | |",
    "|---|---|---|---|",
    ...measured.flatMap(({ scenario, result }) => scenario.goals.map((goal) => goalRow(scenario, result, goal))),
    "",
    ...measured.flatMap(({ scenario, result }) => {
      const isElsewhere = placeOf(result) !== placeOf(newest.result);
      return [...scenarioTable(scenario, result), "", ...(isElsewhere ? [`Measured on ${placeOf(result)}.`, ""] : [])];
    }),
  ];
}

export function scenarioTable(scenario: Scenario, result: ScenarioResult): string[] {
  const { title, unit, judged, load } = scenario;
  const base = figuresOf(result, BASE);
  const hasRate = result.rows.some((row) => row.outcome === "measured" && row.figures.rate !== null);
  const columns: readonly Column[] = [
    [JUDGED[judged].heading(unit), (figures) => fixed(figures[judged], JUDGED[judged].digits)],
    [`of ${BASE}'s`, (figures, name) => (name === BARE_BACKEND ? "" : ratio(figures[judged], base?.[judged] ?? null))],
    ...(judged === "cpuUs" ? [] : [[`CPU µs per ${unit}`, ({ cpuUs }: Figures) => fixed(cpuUs)] as const]),
    ...(hasRate ? [["asked for per second", ({ rate }: Figures) => fixed(rate, 0)] as const] : []),
    ...(judged === "kbEach" ? [] : timeColumns(unit, judged === "p99Ms")),
    ["resident MB", ({ residentMb }) => fixed(residentMb, 0)],
  ];
  const cells = (row: Row): string[] => {
    if (row.outcome === "measured") return columns.map(([, cell]) => cell(row.figures, row.name));
    return columns.map((_, i) => (i > 0 ? "" : row.outcome === "unable" ? `— (${row.reason})` : `failed: ${row.reason}`));
  };
  return [
    `### ${title}`,
    "",
    `${load} ${judged === "kbEach" ? "Once" : `${result.rounds} × ${result.seconds} s`}, on ${result.date.slice(0, 16)}.`,
    "",
    rowOf(["", ...columns.map(([heading]) => heading)]),
    `|${"---|".repeat(columns.length + 1)}`,
    ...result.rows.map((row) => rowOf([row.name, ...cells(row)])),
  ];
}

function timeColumns(unit: string, hasP99: boolean): Column[] {
  const all: Column[] = [
    [`${unit}s/s`, ({ perSecond }) => fixed(perSecond, 0)],
    ["p50 ms", ({ p50Ms }) => fixed(p50Ms, 2)],
    ["p95 ms", ({ p95Ms }) => fixed(p95Ms, 2)],
    ["p99 ms", ({ p99Ms }) => fixed(p99Ms, 2)],
  ];
  return hasP99 ? all.slice(0, -1) : all;
}

function goalRow({ title, judged }: Scenario, result: ScenarioResult, goal: Goal): string {
  const ours = figuresOf(result, OURS)?.[judged] ?? null;
  const theirs = goal.kind === "absolute" ? 0 : (figuresOf(result, goal.rival)?.[judged] ?? null);
  const unit = JUDGED[judged].unit;
  const asked = {
    times: () => `≤ ${goal.most} × ${goal.kind === "times" ? goal.rival : ""}`,
    above: () => `≤ ${goal.most} ${unit} over ${goal.kind === "above" ? goal.rival : ""}`,
    absolute: () => `≤ ${goal.most} ${unit}`,
  }[goal.kind]();
  if (ours === null || theirs === null) return rowOf([title, asked, "—", ""]);
  const is = goal.kind === "times" ? ours / theirs : ours - theirs;
  const told = goal.kind === "times" ? `${is.toFixed(2)} ×` : `${is.toFixed(2)} ${unit}`;
  return rowOf([title, asked, told, is <= goal.most ? "met" : "**missed**"]);
}

/** On what it ran, and with which versions of whom. */
function placeOf({ machine, node, versions }: ScenarioResult): string {
  const told = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [machine, `Node ${node}`, ...told].join(", ");
}

function figuresOf({ rows }: ScenarioResult, name: string): Figures | null {
  const row = rows.find((each) => each.name === name);
  return row?.outcome === "measured" ? row.figures : null;
}

function rowOf(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}

function ratio(value: number | null, of: number | null): string {
  return value === null || of === null ? "" : (value / of).toFixed(2);
}

function fixed(value: number | null, digits = 1): string {
  return value === null ? "" : value.toFixed(digits);
}
