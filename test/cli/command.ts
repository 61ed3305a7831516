// The kittiwake command for a test: as a program of its own, or, where that makes no difference, within the test.

import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";

import { runCli } from "../../src/cli/cli.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

const GRACE_MS = 5000;

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs; ended at the end of the test if it still does. */
export class Running implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<[code: number | null]>;
  readonly #output = { stdout: "", stderr: "" };

  constructor(args: readonly string[], cwd: string) {
    const { KITTIWAKE_CONFIG: _config, KITTIWAKE_TOKEN: _token, ...env } = process.env;
    this.#child = spawn(process.execPath, [MAIN, ...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    this.#ended = once(this.#child, "close") as Promise<[number | null]>;
    for (const stream of ["stdout", "stderr"] as const) {
      this.#child[stream].setEncoding("utf8").on("data", (text: string) => (this.#output[stream] += text));
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get stdout(): string {
    return this.#output.stdout;
  }

  /** Resolves with the match once the output has it; rejects when the command ends before. */
  async output(pattern: RegExp, stream: "stdout" | "stderr" = "stdout"): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#output[stream]);
      if (match !== null) return match;
      const more = once(this.#child[stream], "data").then(() => null);
      const end = await Promise.race([more, this.#ended]);
      if (end !== null && !pattern.test(this.#output[stream])) {
        throw new Error(`ended with ${end[0]} before ${pattern}:\n${this.#output.stdout}\n${this.#output.stderr}`);
      }
    }
  }

  signal(name: "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGKILL"): void {
    this.#child.kill(name);
  }

  async end(): Promise<Ended> {
    const [code] = await this.#ended;
    return { code, ...this.#output };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A node that is killed leaves its machines running, so it is asked first.
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), GRACE_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** Runs a command to its end within this process: what it prints, and the exit code it would have. */
export async function kittiwake(args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const output = { stdout: "", stderr: "" };
  const code = await runCli(args, {
    cwd,
    env,
    print: (text) => void (output.stdout += `${text}\n`),
    complain: (text) => void (output.stderr += `${text}\n`),
  });
  return { code, ...output };
}

/** A directory with the given files in it, removed at the end of the test. */
export class Directory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "kittiwake-cli-"));

  constructor(files: Readonly<Record<string, string>> = {}) {
    for (const [name, text] of Object.entries(files)) this.write(name, text);
  }

  write(name: string, text: string): void {
    const path = join(this.path, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
