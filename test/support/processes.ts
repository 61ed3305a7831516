// What the computer says about the processes of a node's machines, and a node in a process of its own, to be killed.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { AdminClient } from "../../src/admin/client.ts";
import { Running } from "../cli/command.ts";

/** One letter as in /proc: R, S, D running or waiting, T stopped; null when it has ended, whether or not its parent has noticed. */
export function processState(pid: number): string | null {
  const stat = readIfThere(`/proc/${pid}/stat`);
  const state = stat?.charAt(stat.lastIndexOf(")") + 2) ?? "X";
  return state === "Z" || state === "X" ? null : state;
}

/** Does it run, and is not frozen? */
export function isRunning(pid: number): boolean {
  const state = processState(pid);
  return state !== null && state !== "T";
}

/** The processes that any node with this data directory started, those of earlier runs too. */
export function processesOf(dataDir: string): number[] {
  const nodeId = readIfThere(join(dataDir, "node-id"))?.trim();
  if (nodeId === undefined) return [];
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => readIfThere(`/proc/${pid}/environ`)?.includes(`KITTIWAKE_NODE=${nodeId}\0`)).map(Number);
}

/** Fails when a machine outlived its node. */
export function assertNoneLeft(dataDir: string): void {
  assert.deepEqual(processesOf(dataDir), [], "processes of the node's machines are left");
}

/** `kittiwake run` as a program of its own, to be killed. Ended at the end of the test; its machines end with it. */
export class NodeProcess implements AsyncDisposable {
  readonly program: Running;
  readonly httpPort: number;
  readonly admin: AdminClient;

  private constructor(program: Running, httpPort: string, admin: string) {
    this.program = program;
    this.httpPort = Number(httpPort);
    this.admin = new AdminClient({ url: `http://${admin}`, token: null });
  }

  /** Resolves when all its listeners accept. */
  static async start(configPath: string): Promise<NodeProcess> {
    const program = new Running(["run", "--config", configPath], dirname(configPath));
    const [, httpPort, admin] = await program.output(/^ready http=127\.0\.0\.1:(\d+) .*admin=(\S+)$/m);
    return new NodeProcess(program, httpPort!, admin!);
  }

  /** Resolves when nothing of it runs any more but its machines. */
  async kill(): Promise<void> {
    this.program.signal("SIGKILL");
    await this.program.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.admin[Symbol.asyncDispose]();
    await this.program[Symbol.asyncDispose]();
  }
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}
