// Turns the figures of a run into bench/RESULTS.md.

import type { RoutingResult } from "./micro/routing.ts";
import type { WakeResult } from "./scenarios/wake.ts";
import type { WarmOptions, WarmResult } from "./scenarios/warm.ts";

export interface RunResult {
  readonly date: string;
  readonly machine: string;
  readonly node: string;
  readonly options: WarmOptions;
  readonly warm: readonly WarmResult[];
  readonly wake: WakeResult;
  /** Absent in runs of before. */
  readonly routing?: readonly RoutingResult[];
}

const RUNS_SHOWN = 20;

export function report(result: RunResult, history: readonly RunResult[]): string {
  const { options, wake } = result;
  const rival = result.warm.find(({ name }) => name === "http-proxy-3")?.cpuUsPerRequest ?? 0;
  return [
    "# Benchmark results",
    "",
    `Written by \`npm run bench\` on ${result.date}. Machine: ${result.machine}, shared and noisy: compare within a table. Node ${result.node}.`,
    "",
    "## Warm requests, plain HTTP/1.1",
    "",
    `${options.connections} keep-alive connections, ${options.rounds} alternating rounds of ${options.seconds} s, medians. The proxy has one core to itself (one`,
    "worker, access log off, everything else at its default), load and backend share the other. CPU is user and system time of the proxy's process.",
    "",
    "| | CPU µs per request | of http-proxy-3's | requests/s | p50 ms | p95 ms | p99 ms | resident MB |",
    "|---|---|---|---|---|---|---|---|",
    ...result.warm.map((row) => warmRow(row, rival)),
    "",
    "## First byte from a machine that sleeps",
    "",
    `A new connection each time, one request at a time, medians of ${wake.rounds}. "Added" is what is left when the warm request, and for a stopped machine`,
    "the app's own start (a Node server, from spawn to listening, measured in turn), are taken off.",
    "",
    "| from | first byte ms | added ms |",
    "|---|---|---|",
    `| warm | ${fixed(wake.warmMs)} | |`,
    `| suspended | ${fixed(wake.suspendedMs)} | ${fixed(wake.suspendedMs - wake.warmMs)} |`,
    `| stopped (the app's own start: ${fixed(wake.ownStartMs)}) | ${fixed(wake.stoppedMs)} | ${fixed(wake.stoppedMs - wake.ownStartMs - wake.warmMs)} |`,
    "",
    ...routingLines(result.routing ?? []),
    "## Over time",
    "",
    "| date | CPU µs per request | of http-proxy-3's | p50 ms | p95 ms | p99 ms | suspended ms | stopped, added ms |",
    "|---|---|---|---|---|---|---|---|",
    ...history.slice(-RUNS_SHOWN).map(historyRow),
    "",
  ].join("\n");
}

function routingLines(rows: readonly RoutingResult[]): string[] {
  if (rows.length === 0) return [];
  return [
    "## A decision",
    "",
    "CPU time of the service found by host name, a place claimed on a machine of it, its answer taken note of, and the place given back; and what a million",
    "of them leave on the heap after a collection.",
    "",
    "| | ns | bytes left of a million |",
    "|---|---|---|",
    ...rows.map(({ name, ns, survivingBytes }) => `| ${name} | ${ns.toFixed(0)} | ${survivingBytes} |`),
    "",
  ];
}

function warmRow(row: WarmResult, rivalUs: number): string {
  const ratio = row.cpuUsPerRequest === null ? "" : (row.cpuUsPerRequest / rivalUs).toFixed(2);
  const cells = [
    row.name,
    row.cpuUsPerRequest === null ? "" : fixed(row.cpuUsPerRequest),
    ratio,
    Math.round(row.requestsPerSecond),
    fixed(row.p50Ms),
    fixed(row.p95Ms),
    fixed(row.p99Ms),
    row.residentMb === null ? "" : Math.round(row.residentMb),
  ];
  return `| ${cells.join(" | ")} |`;
}

function historyRow({ date, warm, wake }: RunResult): string {
  const ours = warm.find(({ name }) => name === "kittiwake");
  const rival = warm.find(({ name }) => name === "http-proxy-3");
  const us = ours?.cpuUsPerRequest ?? NaN;
  const cells = [
    date.slice(0, 16),
    fixed(us),
    (us / (rival?.cpuUsPerRequest ?? NaN)).toFixed(2),
    fixed(ours?.p50Ms ?? NaN),
    fixed(ours?.p95Ms ?? NaN),
    fixed(ours?.p99Ms ?? NaN),
    fixed(wake.suspendedMs),
    fixed(wake.stoppedMs - wake.ownStartMs - wake.warmMs),
  ];
  return `| ${cells.join(" | ")} |`;
}

function fixed(value: number): string {
  return value.toFixed(1);
}
