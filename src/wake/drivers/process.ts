// The driver "process": machines as processes of this Linux computer. They live in sessions of their own and write to files, so
// they survive the node; the next node finds them by the handle, or by two variables in their environment.

import { randomBytes } from "node:crypto";
import { closeSync } from "node:fs";

import { ProxyError } from "../../core/errors.ts";
import type { DriverHandle } from "../../core/machine.ts";
import type { Adopted, Driver, DriverEvents, Launched, LaunchSpec, MachineExit } from "../driver.ts";
import type { MachineOutputOptions } from "./machine-output.ts";
import { MachineOutput } from "./machine-output.ts";
import { OutputPump } from "./output-pump.ts";
import { MACHINE_PORTS, PortAllocator } from "./port-allocator.ts";
import { busyFile } from "../busy.ts";
import { processEnvironment } from "./process-environment.ts";
import type { ProcessHandle } from "./process-handle.ts";
import { formatHandle, loopbackAddresses, parseHandle } from "./process-handle.ts";
import { endTree, killTree } from "./process-signals.ts";
import { isAlive, isDead, isFrozen, readBootId, readProcess } from "./process-table.ts";
import type { FoundLaunch } from "./process-tree.ts";
import { findLaunches, ProcessTree } from "./process-tree.ts";
import { untilGone } from "./process-watch.ts";
import type { RunningProcessOptions } from "./running-process.ts";
import { RunningProcess } from "./running-process.ts";
import { spawnProcess } from "./spawn-process.ts";

export interface ProcessDriverOptions {
  /** The node's data directory; output goes to `machines/<id>/` below it. */
  readonly dir: string;
  /** Identity of that data directory: tells this node's machines from those of another node of the same computer. */
  readonly nodeId: string;
  readonly events: DriverEvents;
  /** The node's own environment, of which a few names are passed on. */
  readonly hostEnvironment: Readonly<Record<string, string | undefined>>;
}

/** How a stray ends: no app says it any more, so these are Fly's defaults for kill_signal and kill_timeout. */
const STRAY_SIGNAL = "SIGINT";
const STRAY_TIMEOUT_MS = 5000;
const STRAY_LOOK_MS = 10;

export class ProcessDriver implements Driver {
  readonly name = "process";
  readonly canStart = true;
  readonly canSuspend = true;
  readonly #options: ProcessDriverOptions;
  readonly #bootId = readBootId();
  readonly #ports: PortAllocator;
  readonly #pump = new OutputPump();
  /** By machine id. */
  readonly #running = new Map<string, RunningProcess>();

  constructor(options: ProcessDriverOptions) {
    this.#options = options;
    this.#ports = new PortAllocator({ ...MACHINE_PORTS, seed: options.nodeId });
  }

  async start(machine: LaunchSpec): Promise<Launched> {
    if (this.#running.has(machine.id)) throw new ProxyError("machine_state", `machine "${machine.app}/${machine.name}" runs already`);
    const internalPorts = [...new Set(machine.internalPorts)];
    const bound = await this.#ports.allocate(machine.id, internalPorts.length);
    const ports = Object.fromEntries(internalPorts.map((internalPort, index) => [internalPort, bound[index] as number]));
    try {
      return this.#describe(await this.#launch(machine, ports));
    } catch (error) {
      this.#ports.release(machine.id);
      throw error;
    }
  }

  async suspend(machine: LaunchSpec, handle: DriverHandle): Promise<void> {
    await (await this.#require(machine, handle)).suspend();
  }

  async resume(machine: LaunchSpec, handle: DriverHandle): Promise<void> {
    await (this.#running.get(machine.id) ?? (await this.#require(machine, handle))).resume();
  }

  async stop(machine: LaunchSpec, handle: DriverHandle): Promise<void> {
    if (!this.#running.has(machine.id)) await this.adopt(machine, handle);
    await this.#running.get(machine.id)?.stop(machine.killSignal, machine.killTimeoutMs);
  }

  async adopt(machine: LaunchSpec, handle: DriverHandle | null): Promise<Adopted | null> {
    if (!this.#running.has(machine.id)) await this.#find(machine, parseHandle(handle));
    const running = this.#running.get(machine.id);
    const leader = running === undefined ? null : readProcess(running.leader.pid);
    if (running === undefined || leader === null || isDead(leader)) return null;
    const isSuspended = isFrozen(leader);
    // Half frozen, should the node have died over it, must not stay half frozen.
    if (isSuspended) await running.suspend();
    return { ...this.#describe(running), state: isSuspended ? "suspended" : "started" };
  }

  async close(): Promise<void> {
    for (const running of this.#running.values()) running.forget();
    this.#running.clear();
  }

  /**
   * Ends machines of this node that no app asks for any more, such as those taken out of the config while no node ran: whatever
   * runs in the name of this node, is not in `known`, and was neither started nor adopted by this driver. Returns their ids.
   */
  async endStrays(known: ReadonlySet<string>): Promise<string[]> {
    const launches = findLaunches(this.#options.nodeId);
    const strays = launches.filter(({ machineId }) => !known.has(machineId) && !this.#running.has(machineId));
    await Promise.all(strays.map((stray) => endLaunch(stray, STRAY_SIGNAL, STRAY_TIMEOUT_MS)));
    return [...new Set(strays.map(({ machineId }) => machineId))];
  }

  async #launch(machine: LaunchSpec, ports: Readonly<Record<number, number>>): Promise<RunningProcess> {
    const { nodeId, hostEnvironment, dir } = this.#options;
    const token = randomBytes(12).toString("hex");
    const environment = processEnvironment({ machine, hostEnvironment, nodeId, token, ports, busyFile: busyFile(dir, machine.id) });
    const { output, descriptors } = this.#createOutput(machine);
    try {
      const { child, leader } = await spawnProcess({ machine, environment, output: descriptors });
      return this.#track(machine.id, { leader, token, child, output, ports });
    } catch (error) {
      output.close();
      throw error;
    } finally {
      for (const descriptor of descriptors) closeSync(descriptor);
    }
  }

  /** Looks for the machine among the processes of this computer, follows the right copy, and ends all others. */
  async #find(machine: LaunchSpec, handle: ProcessHandle | null): Promise<void> {
    const launches = findLaunches(this.#options.nodeId).filter(({ machineId }) => machineId === machine.id);
    const isHandleValid = handle !== null && handle.bootId === this.#bootId && isAlive(handle);
    const oldest = launches.find(({ token }) => token !== handle?.token);
    const kept = isHandleValid ? { leader: handle, token: handle.token, ports: handle.ports } : oldest;
    const others = launches.filter(({ token }) => token !== kept?.token);
    // What the handle names has no main process any more, so nobody is left to be asked; a second copy is a whole machine.
    const end = (other: FoundLaunch): Promise<void> =>
      other.token === handle?.token ? killTree(treeOf(other)) : endLaunch(other, machine.killSignal, machine.killTimeoutMs);
    await Promise.all(others.map(end));
    const output = this.#resumeOutput(machine.id);
    if (kept !== undefined) this.#track(machine.id, { leader: kept.leader, token: kept.token, ports: kept.ports, child: null, output });
    // It ended while no node looked; why may be in its last lines.
    else await output?.finish();
  }

  /** A machine is worth following without its output too. */
  #resumeOutput(machineId: string): MachineOutput | null {
    try {
      return MachineOutput.resume(this.#outputOptions(machineId));
    } catch (error) {
      this.#options.events.onOutput(machineId, "stderr", `[kittiwake: its output cannot be read: ${(error as Error).message}]`);
      return null;
    }
  }

  #track(machineId: string, parts: Omit<RunningProcessOptions, "onEnd">): RunningProcess {
    const onEnd = (exit: MachineExit, wasAsked: boolean): void => {
      this.#running.delete(machineId);
      this.#ports.release(machineId);
      if (!wasAsked) this.#options.events.onExit(machineId, exit);
    };
    const running = new RunningProcess({ ...parts, onEnd });
    this.#running.set(machineId, running);
    this.#ports.reserve(machineId, Object.values(parts.ports));
    return running;
  }

  async #require(machine: LaunchSpec, handle: DriverHandle): Promise<RunningProcess> {
    if (!this.#running.has(machine.id)) await this.adopt(machine, handle);
    const running = this.#running.get(machine.id);
    if (running === undefined) throw new ProxyError("machine_state", `machine "${machine.app}/${machine.name}" does not run; start it`);
    return running;
  }

  #createOutput(machine: LaunchSpec): ReturnType<typeof MachineOutput.create> {
    try {
      return MachineOutput.create(this.#outputOptions(machine.id));
    } catch (cause) {
      if (cause instanceof ProxyError) throw cause;
      const reason = `its log files cannot be opened: ${(cause as Error).message}`;
      throw new ProxyError("spawn_failed", `machine "${machine.app}/${machine.name}" cannot be started: ${reason}`, { cause });
    }
  }

  #outputOptions(machineId: string): MachineOutputOptions {
    const { dir, events } = this.#options;
    return { dir, machineId, pump: this.#pump, onLine: (stream, line) => events.onOutput(machineId, stream, line) };
  }

  #describe({ leader, token, ports }: RunningProcess): Launched {
    const handle = formatHandle({ pid: leader.pid, startTime: leader.startTime, token, bootId: this.#bootId, ports });
    return { handle, addresses: loopbackAddresses(ports), pid: leader.pid };
  }
}

function treeOf(launch: FoundLaunch): ProcessTree {
  return new ProcessTree(launch.leader, launch.token);
}

/** Ends a launch that this driver does not follow. */
async function endLaunch(launch: FoundLaunch, signal: LaunchSpec["killSignal"], timeoutMs: number): Promise<void> {
  const done = new AbortController();
  try {
    await endTree(treeOf(launch), { signal, timeoutMs, leaderGone: untilGone(launch.leader, STRAY_LOOK_MS, done.signal) });
  } finally {
    done.abort();
  }
}
