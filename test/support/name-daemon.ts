// A name server of others, such as named or knotd, for a test: started on a free port of loopback with files of its own, ended with them at
// the end of the test.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Address } from "../../src/core/app.ts";
import { freeDnsPort } from "./dns-port.ts";

export interface NameDaemonOptions {
  readonly program: string;
  /** What it is started with, and the texts of its files by name. */
  describe(directory: string, port: number): { readonly args: readonly string[]; readonly files: Readonly<Record<string, string>> };
  /** All of these in what it has said to stderr: it answers. */
  readonly ready: readonly RegExp[];
}

export class NameDaemon implements AsyncDisposable {
  readonly address: Address;
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(child: ChildProcess, address: Address, directory: string) {
    this.#child = child;
    this.address = address;
    this.#directory = directory;
  }

  /** Resolves when it answers; rejects with what it says when it ends before. */
  static async start({ program, describe, ready }: NameDaemonOptions): Promise<NameDaemon> {
    const port = await freeDnsPort();
    const directory = mkdtempSync(join(tmpdir(), `kittiwake-${program}-`));
    const { args, files } = describe(directory, port);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    const daemon = new NameDaemon(child, { host: "127.0.0.1", port }, directory);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (ready.every((pattern) => pattern.test(said))) resolve();
    });
    child.once("exit", () => reject(new Error(`${program} did not start:\n${said}`)));
    try {
      await promise;
      return daemon;
    } catch (error) {
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await exited;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
