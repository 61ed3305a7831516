// Plain HTTP/1.1 over keep-alive connections to a warm app: CPU time of the proxy for each request, latency and throughput; the bare
// backend, Kittiwake and http-proxy-3 in turn, several rounds, medians.

import { fileURLToPath } from "node:url";
import autocannon from "autocannon";
import { backendApp, startKittiwake } from "../kittiwake.ts";
import { PROXY_CORE, cpuUs, median, residentMb, startProgram } from "../measure.ts";
import { startBackend } from "../start-backend.ts";

const RIVAL = fileURLToPath(new URL("../rivals/servers/http-proxy-3.ts", import.meta.url));

export interface WarmResult {
  readonly name: string;
  /** null for the backend, which is no proxy. */
  readonly cpuUsPerRequest: number | null;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly residentMb: number | null;
}

export interface WarmOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
}

interface Contestant {
  readonly name: string;
  readonly pid: number | null;
  readonly port: number;
  readonly rounds: Omit<WarmResult, "name">[];
}

export async function warm({ rounds, seconds, connections }: WarmOptions): Promise<WarmResult[]> {
  await using backend = await startBackend();
  await using kittiwake = await startKittiwake({ bench: backendApp(backend.port) });
  await using rival = await startProgram(PROXY_CORE, [RIVAL, String(backend.port)], /^ready /);
  const contestants: Contestant[] = [
    { name: "bare backend", pid: null, port: backend.port, rounds: [] },
    { name: "kittiwake", pid: kittiwake.pid, port: kittiwake.httpPort, rounds: [] },
    { name: "http-proxy-3", pid: rival.pid, port: Number(rival.ready.split(" ")[1]), rounds: [] },
  ];
  // The first round warms the compilers up and is not counted.
  for (let round = 0; round <= rounds; round++) {
    for (const contestant of contestants) {
      const result = await load(contestant, round === 0 ? Math.min(seconds, 3) : seconds, connections);
      if (round > 0) contestant.rounds.push(result);
    }
  }
  return contestants.map(summary);
}

async function load({ name, pid, port }: Contestant, seconds: number, connections: number): Promise<Omit<WarmResult, "name">> {
  const before = pid === null ? 0 : cpuUs(pid);
  const times: number[] = [];
  const run = autocannon({ url: `http://127.0.0.1:${port}/`, headers: { host: "bench.localhost" }, duration: seconds, connections });
  run.on("response", (_client, _status, _bytes, responseTimeMs) => times.push(responseTimeMs));
  const result = await run;
  if (result.errors > 0 || result.non2xx > 0)
    throw new Error(`${name}: ${result.errors} errors, ${result.non2xx} responses other than 2xx`);
  return {
    cpuUsPerRequest: pid === null ? null : (cpuUs(pid) - before) / result.requests.total,
    requestsPerSecond: result.requests.total / seconds,
    ...percentiles(times),
    residentMb: pid === null ? null : residentMb(pid),
  };
}

function percentiles(times: number[]): { p50Ms: number; p95Ms: number; p99Ms: number } {
  const sorted = Float64Array.from(times).sort();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) };
}

function summary({ name, rounds }: Contestant): WarmResult {
  const of = (pick: (round: Omit<WarmResult, "name">) => number | null): number => median(rounds.map((round) => pick(round) ?? 0));
  const isProxy = rounds.every((round) => round.cpuUsPerRequest !== null);
  return {
    name,
    cpuUsPerRequest: isProxy ? of((round) => round.cpuUsPerRequest) : null,
    requestsPerSecond: of((round) => round.requestsPerSecond),
    p50Ms: of((round) => round.p50Ms),
    p95Ms: of((round) => round.p95Ms),
    p99Ms: of((round) => round.p99Ms),
    residentMb: isProxy ? of((round) => round.residentMb) : null,
  };
}
