// DriverEvents that remember what they were told, and can be waited for.

import type { DriverEvents, MachineExit } from "../../src/wake/driver.ts";

export interface RecordedLine {
  readonly machineId: string;
  readonly stream: "stdout" | "stderr";
  readonly line: string;
}

export class RecordedEvents implements DriverEvents {
  lines: RecordedLine[] = [];
  exits: { readonly machineId: string; readonly exit: MachineExit }[] = [];
  /** What happened, in order: the line, or the machine's id for its exit. */
  order: string[] = [];
  #waiting = new Set<() => void>();

  onExit(machineId: string, exit: MachineExit): void {
    this.exits.push({ machineId, exit });
    this.order.push(`exit ${machineId}`);
    this.#notify();
  }

  onOutput(machineId: string, stream: "stdout" | "stderr", line: string): void {
    this.lines.push({ machineId, stream, line });
    this.order.push(line);
    this.#notify();
  }

  clear(): void {
    this.lines = [];
    this.exits = [];
    this.order = [];
  }

  /** The lines of one stream; the two are not ordered among each other. */
  of(stream: "stdout" | "stderr"): string[] {
    return this.lines.filter((entry) => entry.stream === stream).map(({ line }) => line);
  }

  /** The first line, past or future, that matches; resolves to the match. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#until(() => this.lines.map(({ line }) => pattern.exec(line)).find((match) => match !== null));
  }

  async exit(machineId: string): Promise<MachineExit> {
    return this.#until(() => this.exits.find((entry) => entry.machineId === machineId)?.exit);
  }

  async #until<Value>(look: () => Value | undefined): Promise<Value> {
    for (;;) {
      const value = look();
      if (value !== undefined) return value;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      await promise;
    }
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const resolve of waiting) resolve();
  }
}
