// Which processes are one launch of a machine: its main process, and all that came of it wherever they went.

import type { ProcessId, ProcessInfo } from "./process-table.ts";
import { isDead, listProcesses, readEnvironment } from "./process-table.ts";

/** Variables that every process of a machine inherits, by which the machine is found again without any memory of it. */
export const NODE_VARIABLE = "KITTIWAKE_NODE";
export const LAUNCH_VARIABLE = "KITTIWAKE_LAUNCH";
export const MACHINE_VARIABLE = "FLY_MACHINE_ID";
/** Followed by the internal port; the value is the port it is bound to. */
export const PORT_VARIABLE_PREFIX = "PORT_";

/**
 * A process belongs to the launch if any of these holds:
 * - it is in the main process's group or session
 * - it carries the launch's token in its environment, whoever its parent is now (setsid, double fork)
 * - its parent belongs (covers a cleaned environment)
 * - it belonged at an earlier scan of this object
 *
 * What cleaned its environment, left the session *and* lost its parent before any scan is not found. To hold such a program
 * takes a container.
 */
export class ProcessTree {
  /** Must have been seen alive by the caller, so that its pid means its group and session. */
  readonly leader: ProcessId;
  readonly #token: string;
  /** pid to start time, from earlier scans. A process keeps the environment it was forked with, so a verdict stays. */
  #members = new Map<number, number>();
  #foreign = new Map<number, number>();

  constructor(leader: ProcessId, token: string) {
    this.leader = leader;
    this.#token = token;
  }

  /** The living processes of the launch now. Milliseconds of synchronous reading: a few tens of µs per process of the computer. */
  scan(): ProcessInfo[] {
    const all = listProcesses();
    const atLeader = all.find((info) => info.pid === this.leader.pid);
    // The kernel gives a pid away only when no group or session is called by it.
    const pidIsOurs = atLeader === undefined || atLeader.startTime === this.leader.startTime;
    const members = new Map<number, ProcessInfo>();
    const others: ProcessInfo[] = [];
    const foreign = new Map<number, number>();
    for (const info of all) {
      if (isDead(info) || info.pid === process.pid || info.startTime < this.leader.startTime) continue;
      const inSession = info.session === this.leader.pid || info.group === this.leader.pid || info.pid === this.leader.pid;
      if ((inSession && pidIsOurs) || this.#members.get(info.pid) === info.startTime || this.#hasToken(info)) members.set(info.pid, info);
      else {
        others.push(info);
        foreign.set(info.pid, info.startTime);
      }
    }
    addDescendants(members, others);
    this.#foreign = foreign;
    this.#members = new Map([...members.values()].map((info) => [info.pid, info.startTime]));
    return [...members.values()];
  }

  #hasToken(info: ProcessInfo): boolean {
    return this.#foreign.get(info.pid) !== info.startTime && readEnvironment(info.pid).get(LAUNCH_VARIABLE) === this.#token;
  }
}

/** A launch that runs, as found in the environment of its processes. */
export interface FoundLaunch {
  readonly token: string;
  readonly machineId: string;
  /** The oldest of its processes: the main process, unless that one ended and something outlived it. */
  readonly leader: ProcessInfo;
  /** Internal port to bound port. */
  readonly ports: Readonly<Record<number, number>>;
}

/** Every launch of the given node that has a living process; oldest first. */
export function findLaunches(nodeId: string): FoundLaunch[] {
  const launches = new Map<string, FoundLaunch>();
  for (const info of listProcesses().toSorted(byAge)) {
    if (isDead(info) || info.pid === process.pid) continue;
    const environment = readEnvironment(info.pid);
    const token = environment.get(LAUNCH_VARIABLE);
    const machineId = environment.get(MACHINE_VARIABLE);
    if (environment.get(NODE_VARIABLE) !== nodeId || token === undefined || machineId === undefined || launches.has(token)) continue;
    launches.set(token, { token, machineId, leader: info, ports: portsIn(environment) });
  }
  return [...launches.values()];
}

function addDescendants(members: Map<number, ProcessInfo>, others: readonly ProcessInfo[]): void {
  for (let before = -1; before !== members.size;) {
    before = members.size;
    for (const info of others) {
      const parent = members.get(info.parent);
      if (parent !== undefined && parent.startTime <= info.startTime) members.set(info.pid, info);
    }
  }
}

/** Start times are ticks of 10 ms. Within one tick the main process is known by leading a session, and mostly by its lower pid. */
function byAge(a: ProcessInfo, b: ProcessInfo): number {
  return a.startTime - b.startTime || Number(leadsSession(b)) - Number(leadsSession(a)) || a.pid - b.pid;
}

function leadsSession(info: ProcessInfo): boolean {
  return info.pid === info.session;
}

function portsIn(environment: ReadonlyMap<string, string>): Record<number, number> {
  const ports: Record<number, number> = {};
  for (const [name, value] of environment) {
    const internalPort = name.startsWith(PORT_VARIABLE_PREFIX) ? Number(name.slice(PORT_VARIABLE_PREFIX.length)) : Number.NaN;
    if (Number.isInteger(internalPort) && Number.isInteger(Number(value))) ports[internalPort] = Number(value);
  }
  return ports;
}
