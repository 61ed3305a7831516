// A process driver over a data directory of its own, whose processes all end with the test, also when it fails.

import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import type { LaunchSpec } from "../../../src/wake/driver.ts";
import { ProcessDriver } from "../../../src/wake/drivers/process.ts";
import { isAlive, isDead, listProcesses, readEnvironment, readProcess, signalProcess } from "../../../src/wake/drivers/process-table.ts";
import { NODE_VARIABLE } from "../../../src/wake/drivers/process-tree.ts";
import type { DriverHarness } from "../driver-contract.ts";
import { RecordedEvents } from "../recorded-events.ts";

export const COUNTING_SERVER = `exec "${process.execPath}" "${join(import.meta.dirname, "fixtures/counting-server.ts")}"`;

export class ProcessHarness implements DriverHarness {
  readonly dir = mkdtempSync(join(tmpdir(), "kittiwake-process-"));
  readonly nodeId = `test-${randomBytes(6).toString("hex")}`;
  readonly events = new RecordedEvents();
  readonly machine = this.spec();
  readonly broken = this.spec({ command: " " });
  driver = this.open();
  readonly #endAll = (): void => endProcesses(this.nodeId);

  constructor() {
    // A test that dies before its disposal leaves nothing either.
    process.once("exit", this.#endAll);
  }

  spec(overrides: Partial<LaunchSpec> = {}): LaunchSpec {
    const id = overrides.id ?? "1a2b3c4d5e6f70";
    return {
      id,
      app: "hello",
      name: "ams",
      group: "app",
      region: "ams",
      command: COUNTING_SERVER,
      directory: this.dir,
      env: { FLY_APP_NAME: "hello", FLY_MACHINE_ID: id },
      internalPorts: [8080, 9090],
      address: null,
      killSignal: "SIGINT",
      killTimeoutMs: 5000,
      ...overrides,
    };
  }

  /** A machine that runs this shell command. */
  shell(command: string, overrides: Partial<LaunchSpec> = {}): LaunchSpec {
    return this.spec({ command, internalPorts: [], ...overrides });
  }

  open(hostEnvironment: Readonly<Record<string, string | undefined>> = process.env): ProcessDriver {
    return new ProcessDriver({ dir: this.dir, nodeId: this.nodeId, events: this.events, hostEnvironment });
  }

  async untilListening(): Promise<void> {
    await this.events.line(/^listening$/);
  }

  async reopen(): Promise<ProcessDriver> {
    await this.driver.close();
    this.driver = this.open();
    return this.driver;
  }

  /** The pid that a machine printed as `<name> <pid>`. */
  async pid(name: string): Promise<number> {
    const match = await this.events.line(new RegExp(`^${name} (\\d+)$`));
    return Number(match[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver.close();
    process.off("exit", this.#endAll);
    endProcesses(this.nodeId);
    rmSync(this.dir, { recursive: true });
  }
}

export function runs(pid: number): boolean {
  const info = readProcess(pid);
  return info !== null && !isDead(info);
}

/** For conditions that no event tells of. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(2);
}

function endProcesses(nodeId: string): void {
  for (let left = true; left;) {
    const processes = listProcesses().filter((info) => !isDead(info) && readEnvironment(info.pid).get(NODE_VARIABLE) === nodeId);
    for (const info of processes) signalProcess(info, "SIGKILL");
    left = processes.some(isAlive);
  }
}
