// What runs machines on a host: a local process, a container engine, addresses that exist already. The host (host.ts) is the
// only caller and serialises the calls for one machine; a driver never starts, stops or restarts anything by itself.

import type { Address, DriverName, KillSignal } from "../core/app.ts";
import type { DriverHandle } from "../core/machine.ts";

export interface Driver {
  readonly name: DriverName;
  /** Can it start and stop machines (false: they are just there), and freeze them? */
  readonly canStart: boolean;
  readonly canSuspend: boolean;

  /**
   * Launches the machine and resolves as soon as it exists; whether it listens is the host's question. The handle and the
   * addresses are valid from then on. A machine that ends at once has been started and has ended. Throws `spawn_failed` with the
   * reason, `machine_state` when it runs already; then this call left nothing running.
   */
  start(machine: LaunchSpec): Promise<Launched>;

  /** Freezes the whole machine with its memory. Throws `not_supported` or `machine_state`. Idempotent. */
  suspend(machine: LaunchSpec, handle: DriverHandle): Promise<void>;

  /** Thaws it. Resolves when it may run again. Throws `machine_state` when it is gone. Idempotent. */
  resume(machine: LaunchSpec, handle: DriverHandle): Promise<void>;

  /**
   * Asks the machine to end (`killSignal`), and ends all of it by force after `killTimeoutMs`. Works on a suspended machine.
   * Resolves when nothing of it is left and its last output was handed on. Idempotent: stopping what is gone resolves at once.
   * Throws `machine_state` when something survives even force. A driver that starts nothing ends nothing.
   */
  stop(machine: LaunchSpec, handle: DriverHandle): Promise<void>;

  /**
   * After the node was restarted: finds a machine that still runs. `handle` is what was last stored, null if the node died
   * before it could store one. Resolves to null when there is none, after ending its leftovers; extra copies are ended too.
   */
  adopt(machine: LaunchSpec, handle: DriverHandle | null): Promise<Adopted | null>;

  /** Forgets machines without ending them: they run on, for the next node to adopt. Output and exits are no longer reported. */
  close(): Promise<void>;
}

export interface LaunchSpec {
  readonly id: string;
  readonly app: string;
  readonly name: string;
  readonly group: string;
  readonly region: string;
  readonly command: string;
  /** Working directory. */
  readonly directory: string;
  /** Complete but for what only the driver knows (PORT, which wins over one given here). `[env]`, FLY_* and PRIMARY_REGION are in it. */
  readonly env: Readonly<Record<string, string>>;
  /** Internal ports of the services that apply to the machine's group, first service first; may be empty. */
  readonly internalPorts: readonly number[];
  /** Driver "static": where the machine is. */
  readonly address: Address | null;
  readonly killSignal: KillSignal;
  readonly killTimeoutMs: number;
}

export interface Launched {
  readonly handle: DriverHandle;
  /** Where each internal port is reached. */
  readonly addresses: Readonly<Record<number, Address>>;
  readonly pid: number | null;
}

export interface Adopted extends Launched {
  readonly state: "started" | "suspended";
}

export interface MachineExit {
  /** null when unknown (an adopted process is not our child) or when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/** Given to a driver at construction. */
export interface DriverEvents {
  /** The machine ended by itself, and nothing of it is left; after its last output. Never for an end that `stop` asked for. */
  onExit(machineId: string, exit: MachineExit): void;
  /** One line of the machine's output, without the line break. */
  onOutput(machineId: string, stream: "stdout" | "stderr", line: string): void;
}
