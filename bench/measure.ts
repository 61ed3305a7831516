// How the benchmarks measure: processes started on a core of their own, their CPU time from /proc, and medians over rounds.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** The proxy under test has a core to itself; load and backend share another one. */
export const PROXY_CORE = 0;
export const LOAD_CORE = availableParallelism() > 1 ? 1 : 0;

/** Clock ticks of /proc are hundredths of a second on every Linux that Node runs on. */
const US_PER_TICK = 10_000;

export interface Program extends AsyncDisposable {
  readonly pid: number;
  /** The line that said it was ready. */
  readonly ready: string;
}

/** Starts a Node program pinned to a core; resolves when a line of its output matches `ready`. */
export async function startProgram(core: number, args: readonly string[], ready: RegExp, cwd?: string): Promise<Program> {
  const child = spawn("taskset", ["-c", String(core), process.execPath, ...args], { stdio: ["ignore", "pipe", "inherit"], cwd });
  const line = await firstLine(child, ready);
  return {
    pid: child.pid!,
    ready: line,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}

/** CPU time that a process used so far, user and system, in microseconds. */
export function cpuUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The command's name may hold spaces; the numbers begin behind its closing parenthesis, with field 3.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * US_PER_TICK;
}

export function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) / 1024;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

async function firstLine(child: ChildProcess, ready: RegExp): Promise<string> {
  let output = "";
  child.stdout!.setEncoding("utf8");
  return await new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`a program ended with ${code} before it was ready:\n${output}`)));
    child.stdout!.on("data", (text: string) => {
      output += text;
      const line = output.split("\n").find((candidate) => ready.test(candidate));
      if (line !== undefined) resolve(line);
    });
  });
}
