// What /proc says about the processes of this computer (proc_pid_stat(5)), and signals that reach the process that is meant.
// A process that ends between two looks is simply not there.

import { readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";

import { ProxyError } from "../../core/errors.ts";

/** A pid alone may be another process's tomorrow. With its start time it names one process until the computer restarts. */
export interface ProcessId {
  readonly pid: number;
  /** Clock ticks from boot to its start. */
  readonly startTime: number;
}

export interface ProcessInfo extends ProcessId {
  /** One letter: R, S, D running or waiting; T, t stopped; Z, X dead. */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
}

/** PF_KTHREAD of the kernel's `struct task_struct`. */
const KERNEL_THREAD = 0x0020_0000;

/** A process that is between two programs for so many milliseconds stays there. */
const MOST_LOOKS = 100;
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

/** In the signal masks of proc_pid_status(5). */
const STOP_BIT = 1n << BigInt(constants.signals.SIGSTOP - 1);

/** The process with this pid now, a zombie too; null when there is none. */
export function readProcess(pid: number): ProcessInfo | null {
  const stat = readIfThere(`/proc/${pid}/stat`);
  return stat === null ? null : parseStat(pid, stat).info;
}

/** Every process that runs programs of users, zombies too. Not one moment: processes may come and go while it reads. */
export function listProcesses(): ProcessInfo[] {
  const processes: ProcessInfo[] = [];
  for (const name of readDirectory("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = readIfThere(`/proc/${pid}/stat`);
    if (stat === null) continue;
    const { info, flags } = parseStat(pid, stat);
    if ((flags & KERNEL_THREAD) === 0) processes.push(info);
  }
  return processes;
}

/**
 * The environment a process was given when its program started; empty when it is gone, another user's, or overwrote it. May block for
 * some milliseconds.
 */
export function readEnvironment(pid: number): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  for (const entry of readEnviron(pid).split("\0")) {
    const equals = entry.indexOf("=");
    if (equals > 0) variables.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return variables;
}

/** While a process goes from one program to the next, the kernel shows no environment for some microseconds of its time. */
function readEnviron(pid: number): string {
  for (let look = 0; look < MOST_LOOKS; look++) {
    const environ = readIfThere(`/proc/${pid}/environ`);
    const stat = environ === "" ? readIfThere(`/proc/${pid}/stat`) : null;
    if (environ !== "" || stat === null) return environ ?? "";
    const { info, environStart, environEnd } = parseStat(pid, stat);
    if (isDead(info) || (environEnd !== 0 && environEnd === environStart)) return "";
    if (environEnd === 0) Atomics.wait(PAUSE, 0, 0, 1);
  }
  return "";
}

/** Differs after each boot. Start times count from boot, so they mean nothing across it. */
export function readBootId(): string {
  return readIfThere("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}

/** Does exactly this process still run? A zombie does not: it only waits for its parent to notice. */
export function isAlive(id: ProcessId): boolean {
  const info = readProcess(id.pid);
  return info !== null && info.startTime === id.startTime && !isDead(info);
}

export function isDead(info: ProcessInfo): boolean {
  return info.state === "Z" || info.state === "X";
}

/**
 * Runs it no instruction of its program until SIGCONT? It is stopped, or it sleeps in the kernel with the stop before it. The
 * latter may last: after vfork a parent sleeps uninterruptibly until its child executes a program, and the child is stopped too.
 */
export function isFrozen(info: ProcessInfo): boolean {
  if (isStopState(info.state)) return true;
  return info.state === "D" && (hasPendingStop(info.pid) || hasStoppedThread(info.pid));
}

/** Signals exactly this process; nothing happens when its pid is gone or another's by now. */
export function signalProcess(id: ProcessId, signal: NodeJS.Signals): void {
  if (readProcess(id.pid)?.startTime === id.startTime) send(id.pid, signal);
}

/** Signals the process group that this process leads; nothing happens when the leader is gone, for the group may be another's. */
export function signalGroup(leader: ProcessId, signal: NodeJS.Signals): void {
  if (readProcess(leader.pid)?.startTime === leader.startTime) send(-leader.pid, signal);
}

function isStopState(state: string): boolean {
  return state === "T" || state === "t";
}

function hasPendingStop(pid: number): boolean {
  const status = readIfThere(`/proc/${pid}/status`) ?? "";
  return [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)].some(([, mask]) => (BigInt(`0x${mask}`) & STOP_BIT) !== 0n);
}

/** Once one thread took the signal it is not pending any more, and the others stop when they leave the kernel. */
function hasStoppedThread(pid: number): boolean {
  return readDirectory(`/proc/${pid}/task`).some((thread) => {
    const stat = readIfThere(`/proc/${pid}/task/${thread}/stat`);
    return stat !== null && isStopState(parseStat(pid, stat).info.state);
  });
}

interface Stat {
  readonly info: ProcessInfo;
  readonly flags: number;
  /** Addresses; 0 while there is no program. */
  readonly environStart: number;
  readonly environEnd: number;
}

function parseStat(pid: number, stat: string): Stat {
  // Field 2, the program's name, may hold spaces and parentheses; the last parenthesis of the line ends it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ", 49);
  const field = (number: number): number => Number(fields[number - 3]);
  const info = { pid, state: fields[0] ?? "X", parent: field(4), group: field(5), session: field(6), startTime: field(22) };
  return { info, flags: field(9), environStart: field(50), environEnd: field(51) };
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    rethrowUnlessGone(path, cause);
    return null;
  }
}

function readDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (cause) {
    rethrowUnlessGone(path, cause);
    return [];
  }
}

/** Out of descriptors or memory says nothing about a process: it must not look as if it had ended. */
function rethrowUnlessGone(path: string, cause: unknown): void {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return;
  throw new ProxyError("internal", `cannot read "${path}": ${(cause as Error).message}`, { cause });
}

function send(target: number, signal: NodeJS.Signals): void {
  // 0 and -1 would mean our own group and everything on this computer; 1 is init.
  if (Math.abs(target) <= 1) return;
  try {
    process.kill(target, signal);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code !== "ESRCH" && code !== "EPERM") throw new ProxyError("internal", `cannot send ${signal} to ${target}`, { cause });
  }
}
