// HTTP/2 over TLS by h2load, as many requests as the proxy takes. Its percentiles come from a log with a line for each request, which is read
// when the run is over.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOST } from "../certificate.ts";
import { runLoad } from "../measure.ts";
import { percentiles, type LoadResult } from "./result.ts";

export interface H2loadOptions {
  readonly port: number;
  readonly path?: string;
  readonly connections: number;
  readonly streams: number;
  readonly seconds: number;
}

const MOST_LATE_SECONDS = 10;

export async function h2load({ port, path = "/", connections, streams, seconds }: H2loadOptions): Promise<LoadResult> {
  const dir = mkdtempSync(join(tmpdir(), "kittiwake-h2load-"));
  try {
    const log = join(dir, "requests.log");
    const options = ["-t1", `-c${connections}`, `-m${streams}`, `-D${seconds}`, "--npn-list=h2", `--connect-to=127.0.0.1:${port}`];
    // A connection that is not there by the end of the time goes on for ever.
    const out = await runLoad(["h2load", ...options, `--log-file=${log}`, `https://${HOST}:${port}${path}`], seconds + MOST_LATE_SECONDS);
    const [, succeeded, failed] = /(\d+) succeeded, (\d+) failed/.exec(out)?.map(Number) ?? [];
    if (succeeded === undefined || failed !== 0) throw new Error(`h2load: ${failed} requests failed: ${statuses(out)}`);
    if (succeeded === 0) throw new Error(`h2load: no request succeeded: ${statuses(out)}`);
    return { count: succeeded, seconds, ...percentiles(timesIn(readFileSync(log, "latin1"))) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function statuses(out: string): string {
  return /status codes: .*/.exec(out)?.[0] ?? out.trim();
}

/** Columns: start, status, microseconds. */
function timesIn(log: string): number[] {
  const lines = log.split("\n").filter((line) => line !== "");
  return lines.map((line) => Number(line.split("\t")[2]) / 1000);
}
