// What the computer says about the processes of a node's machines, and a node in a process of its own, to be killed.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** One letter as in /proc: R, S, D running or waiting, T stopped, Z dead; null when there is no such process. */
export function processState(pid: number): string | null {
  const stat = readIfThere(`/proc/${pid}/stat`);
  return stat === null ? null : stat.charAt(stat.lastIndexOf(")") + 2);
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

/** `kittiwake run` with a configuration. */
export class NodeProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #output = "";

  private constructor(configPath: string) {
    const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
    this.#child = spawn(process.execPath, [main, "run", "--config", configPath], { stdio: ["ignore", "pipe", "pipe"] });
    this.#exited = once(this.#child, "exit");
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) stream.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
  }

  /** Resolves when all its listeners accept. */
  static async start(configPath: string): Promise<NodeProcess> {
    const started = new NodeProcess(configPath);
    await started.output(/^ready /m);
    return started;
  }

  get httpPort(): number {
    return this.#port("http");
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${this.#port("admin")}`;
  }

  /** Resolves when it has printed this. */
  async output(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#output)) {
      const more = [once(this.#child.stdout!, "data"), once(this.#child.stderr!, "data")];
      const isOver = await Promise.race([...more, this.#exited.then(() => true)]);
      if (isOver === true && !pattern.test(this.#output)) throw new Error(`the node ended before it printed ${pattern}:\n${this.#output}`);
    }
  }

  /** Resolves when it has ended. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal);
    await this.#exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** As an operator would; its machines end with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.kill("SIGTERM");
  }

  #port(name: string): number {
    return Number(new RegExp(`^ready .*\\b${name}=127\\.0\\.0\\.1:(\\d+)`, "m").exec(this.#output)?.[1]);
  }
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}
