// The kittiwake command as a program of its own, for a test.

import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs; killed at the end of the test if it still does. */
export class Running implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<[code: number | null]>;
  readonly #output = { stdout: "", stderr: "" };

  constructor(args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}) {
    const { KITTIWAKE_CONFIG: _config, KITTIWAKE_TOKEN: _token, ...inherited } = process.env;
    this.#child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { ...inherited, ...env }, stdio: ["ignore", "pipe", "pipe"] });
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
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

/** Runs the command to its end. */
export async function kittiwake(args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  await using running = new Running(args, cwd, env);
  return await running.end();
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
