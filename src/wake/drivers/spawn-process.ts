// Turns a command into a running process with a session of its own. Every way in which that fails becomes `spawn_failed`.

import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";

import { ProxyError } from "../../core/errors.ts";
import type { LaunchSpec } from "../driver.ts";
import type { ProcessId } from "./process-table.ts";
import { readProcess } from "./process-table.ts";

export interface SpawnOptions {
  readonly machine: LaunchSpec;
  readonly environment: Readonly<Record<string, string>>;
  /** Descriptors of stdout and stderr. */
  readonly output: readonly [number, number];
}

/** Runs `/bin/sh -c <command>`, detached, with nothing on its stdin. Resolves once the shell runs. Throws `spawn_failed`. */
export async function spawnProcess({ machine, environment, output }: SpawnOptions): Promise<{ child: ChildProcess; leader: ProcessId }> {
  if (machine.command.trim() === "") throw failure(machine, `process group "${machine.group}" has no command; give it one in [processes]`);
  const child = tryToSpawn(machine, environment, output);
  if (child.pid === undefined) {
    const [cause] = (await once(child, "error")) as [NodeJS.ErrnoException];
    throw failure(machine, reasonOf(cause, machine), cause);
  }
  // Before the next turn of the event loop nobody has reaped it, so this is our child even if it has ended already.
  const leader = readProcess(child.pid);
  if (leader === null) throw failure(machine, "/proc does not show the new process; the process driver needs Linux with /proc");
  return { child, leader: { pid: leader.pid, startTime: leader.startTime } };
}

function tryToSpawn(machine: LaunchSpec, environment: Readonly<Record<string, string>>, output: readonly [number, number]): ChildProcess {
  try {
    return spawn("/bin/sh", ["-c", machine.command], {
      cwd: machine.directory,
      env: environment,
      detached: true,
      stdio: ["ignore", ...output],
    });
  } catch (cause) {
    throw failure(machine, reasonOf(cause as NodeJS.ErrnoException, machine), cause);
  }
}

/** Says what the errno does not: a missing working directory is reported by the kernel as if /bin/sh were missing. */
function reasonOf(cause: NodeJS.ErrnoException, machine: LaunchSpec): string {
  const isDirectory = statSync(machine.directory, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (!isDirectory) return `its working directory "${machine.directory}" does not exist`;
  if (cause.code === "EACCES") return `its working directory "${machine.directory}" may not be entered`;
  if (cause.code === "EAGAIN") return "the limit of processes is reached; raise it (ulimit -u, or pids.max of the cgroup)";
  if (cause.code === "E2BIG") return "its command and environment are too long";
  return cause.message;
}

function failure(machine: LaunchSpec, reason: string, cause?: unknown): ProxyError {
  return new ProxyError("spawn_failed", `machine "${machine.app}/${machine.name}" cannot be started: ${reason}`, { cause });
}
