// The output of one launch of a machine: its two log files under the data directory, and their tails.

import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";

import { ProxyError } from "../../core/errors.ts";
import type { OutputPump } from "./output-pump.ts";
import { OutputTail, positionPath } from "./output-tail.ts";

export type OutputStream = "stdout" | "stderr";

export interface MachineOutputOptions {
  /** The node's data directory; the files are in `machines/<id>/` below it. */
  readonly dir: string;
  readonly machineId: string;
  readonly pump: OutputPump;
  onLine(stream: OutputStream, line: string): void;
}

export class MachineOutput {
  readonly #tails: readonly OutputTail[];

  private constructor(tails: readonly OutputTail[]) {
    this.#tails = tails;
  }

  /** Follows files that exist, from where the last node left off; null when the machine has none. */
  static resume(options: MachineOutputOptions): MachineOutput | null {
    const paths = logPaths(options);
    if (!isDirectoryName(options.machineId) || !existsSync(paths.stdout) || !existsSync(paths.stderr)) return null;
    return MachineOutput.#follow(options);
  }

  /**
   * Empty files for a new launch. `descriptors` are stdout and stderr for the process; the caller closes them once it has them.
   * Throws `spawn_failed` for an id that cannot name a directory, and what the file system throws.
   */
  static create(options: MachineOutputOptions): { output: MachineOutput; descriptors: readonly [number, number] } {
    // Ids of placed machines are ours; given ones come from a config file and become a path here.
    if (!isDirectoryName(options.machineId)) {
      const rule = 'use letters, digits, ".", "_" and "-"';
      throw new ProxyError("spawn_failed", `machine id "${options.machineId}" cannot be a directory name; ${rule}`);
    }
    const paths = logPaths(options);
    mkdirSync(join(options.dir, "machines", options.machineId), { recursive: true, mode: 0o700 });
    const stdout = openEmpty(paths.stdout);
    try {
      const stderr = openEmpty(paths.stderr);
      try {
        return { output: MachineOutput.#follow(options), descriptors: [stdout, stderr] };
      } catch (error) {
        closeSync(stderr);
        throw error;
      }
    } catch (error) {
      closeSync(stdout);
      throw error;
    }
  }

  /** Hands on what is left, after the machine has ended. */
  async finish(): Promise<void> {
    for (const tail of this.#tails) await tail.finish();
  }

  /** Stops following; the files stay for the next node. */
  close(): void {
    for (const tail of this.#tails) tail.close();
  }

  static #follow(options: MachineOutputOptions): MachineOutput {
    const tails: OutputTail[] = [];
    try {
      for (const [stream, path] of Object.entries(logPaths(options)) as [OutputStream, string][]) {
        tails.push(new OutputTail({ path, pump: options.pump, onLine: (line) => options.onLine(stream, line) }));
      }
    } catch (error) {
      for (const tail of tails) tail.close();
      throw error;
    }
    return new MachineOutput(tails);
  }
}

function isDirectoryName(machineId: string): boolean {
  return /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(machineId);
}

function logPaths({ dir, machineId }: MachineOutputOptions): Record<OutputStream, string> {
  const directory = join(dir, "machines", machineId);
  return { stdout: join(directory, "stdout.log"), stderr: join(directory, "stderr.log") };
}

function openEmpty(path: string): number {
  const descriptor = openSync(path, "a", 0o600);
  ftruncateSync(descriptor, 0);
  rmSync(positionPath(path), { force: true });
  return descriptor;
}
