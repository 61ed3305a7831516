// How the benchmarks measure: processes started on a core of their own, their CPU time and memory from /proc, and medians over rounds.

import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { connect } from "node:net";
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** The proxy under test has a core to itself; load and backend share another one. */
export const PROXY_CORE = 0;
export const LOAD_CORE = availableParallelism() > 1 ? 1 : 0;

/** Clock ticks of /proc are hundredths of a second on every Linux that Node runs on. */
const US_PER_TICK = 10_000;
const START_TIMEOUT_MS = 10_000;
/** A program may have thousands of connections to open before it is ready. */
const READY_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 3000;

process.setMaxListeners(100);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

export interface Program extends AsyncDisposable {
  readonly pid: number;
  /** The line that said it was ready; empty where a port did. */
  readonly ready: string;
}

/**
 * Starts a Node program pinned to a core; resolves when a line of its output matches `ready`.
 * @param lastWords whether what it says on stderr while it is being ended is passed on; what it says before always is
 */
export async function startProgram(core: number, args: readonly string[], ready: RegExp, lastWords = true): Promise<Program> {
  const child = spawnOn(core, [process.execPath, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  child.stderr!.pipe(process.stderr, { end: false });
  return programOf(child, await firstLine(child, ready), lastWords);
}

/** Starts somebody else's server pinned to a core; resolves when the port accepts. */
export async function startServer(core: number, command: readonly string[], port: number, env: NodeJS.ProcessEnv = {}): Promise<Program> {
  const child = spawnOn(core, command, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env } });
  // Some greet on stderr: it is told only where the start fails.
  let complaints = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (complaints = (complaints + text).slice(-2000)));
  const giveUpMs = performance.now() + START_TIMEOUT_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`${command[0]} ended before it listened: ${complaints.trim()}`);
    if (performance.now() > giveUpMs) {
      child.kill("SIGKILL");
      throw new Error(`${command[0]} does not listen on port ${port}`);
    }
    await delay(20);
  }
  return programOf(child, "", false);
}

/** Lets a program run wherever there is room, as it does where nobody compares. */
export async function unpin(pid: number): Promise<void> {
  const child = spawn("taskset", ["-a", "-c", "-p", `0-${availableParallelism() - 1}`, String(pid)], { stdio: "ignore" });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`taskset ended with ${code}`);
}

/** A load generator that did not come to its end. It says nothing about the proxy. */
export class StuckLoadError extends Error {}

/** Runs a program of the load's side to its end; resolves to what it wrote to stdout, and throws where it failed or takes longer than that. */
export async function runLoad(command: readonly string[], timeoutSeconds = 60): Promise<string> {
  const child = spawnOn(LOAD_CORE, command, { stdio: ["ignore", "pipe", "pipe"] });
  const program = basename(command[0]!);
  let isStuck = false;
  const timer = setTimeout(() => {
    isStuck = true;
    child.kill("SIGKILL");
  }, timeoutSeconds * 1000);
  const [out, error] = await Promise.all([textOf(child.stdout!), textOf(child.stderr!), once(child, "close")]);
  clearTimeout(timer);
  if (isStuck) throw new StuckLoadError(`${program} did not end within ${timeoutSeconds} s`);
  if (child.exitCode === 0) return out;
  const how = child.signalCode ?? `exit code ${child.exitCode}`;
  const told = /^\w*Error: .*/m.exec(error)?.[0] ?? (error.trim() || out.trim()).split("\n").at(-1);
  throw new Error(`${program}: ${how}: ${told}`);
}

/** A process and all below it. Throws where it has ended. */
export function processesOf(pid: number): number[] {
  if (!existsSync(`/proc/${pid}/task`)) throw new Error(`process ${pid} has ended`);
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) => read(`/proc/${pid}/task/${thread}/children`).split(" "));
  return [pid, ...children.filter((child) => child !== "").flatMap((child) => processesOf(Number(child)))];
}

/** CPU time that a process and its children used so far, user and system, in microseconds. A child that ended is not counted. */
export function cpuUs(pid: number): number {
  return sumOf(processesOf(pid).map(cpuOfOneUs));
}

/** Resident memory of a process and its children in MB. */
export function residentMb(pid: number): number {
  return sumOf(processesOf(pid).map((each) => Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${each}/status`))?.[1] ?? 0) / 1024));
}

/** Descriptors of a process and its children: mostly connections. */
export function openFiles(pid: number): number {
  return sumOf(processesOf(pid).map((each) => readdirSync(`/proc/${each}/fd`).length));
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export async function accepts(port: number): Promise<boolean> {
  const socket = connect({ port, host: "127.0.0.1" });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function spawnOn(core: number, command: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn("taskset", ["-c", String(core), ...command], options);
  // A benchmark that is broken off leaves nobody behind who takes time from the next one.
  const end = (): boolean => child.kill("SIGTERM");
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
  return child;
}

function programOf(child: ChildProcess, ready: string, lastWords: boolean): Program {
  return {
    pid: child.pid!,
    ready,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, lastWords ? "close" : "exit");
      if (!lastWords) child.stderr!.unpipe().resume();
      child.kill("SIGTERM");
      // Some wait for their clients, for ever if need be.
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

function cpuOfOneUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The command's name may hold spaces; the numbers begin behind its closing parenthesis, with field 3.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * US_PER_TICK;
}

/** Empty where the process or thread is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  return text;
}

async function firstLine(child: ChildProcess, ready: RegExp): Promise<string> {
  let output = "";
  child.stdout!.setEncoding("utf8");
  const timer = setTimeout(() => child.kill("SIGKILL"), READY_TIMEOUT_MS);
  const found = new Promise<string>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`a program ended with ${code} before it was ready:\n${output}`)));
    child.stdout!.on("data", (text: string) => {
      output += text;
      const line = output.split("\n").find((candidate) => ready.test(candidate));
      if (line !== undefined) resolve(line);
    });
  });
  return await found.finally(() => clearTimeout(timer));
}
