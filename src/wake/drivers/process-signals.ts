// Freezing, thawing and ending all processes of a launch, escapees included. Nothing here trusts a pid without its start time.

import { setImmediate, setTimeout as delay } from "node:timers/promises";

import type { KillSignal } from "../../core/app.ts";
import { ProxyError } from "../../core/errors.ts";
import type { ProcessId, ProcessInfo } from "./process-table.ts";
import { isAlive, isFrozen, signalGroup, signalProcess } from "./process-table.ts";
import type { ProcessTree } from "./process-tree.ts";

/** How long processes may resist, such as by forking faster than they are found, before freezing or ending them is given up. */
const PATIENCE_MS = 10_000;

/** Rounds that only yield to the event loop; after them each round waits a little. */
const QUICK_ROUNDS = 5;

/**
 * Stops every process of the tree with SIGSTOP and returns them. Done when a scan finds only processes that the scan before it
 * saw frozen: what is frozen cannot fork, so nothing new can have come. Throws `machine_state`, and thaws what it froze, when the
 * machine is gone or a process will not stop.
 */
export async function freezeTree(tree: ProcessTree): Promise<readonly ProcessId[]> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  const frozen = new Map<number, number>();
  signalGroup(tree.leader, "SIGSTOP");
  for (let round = 0; ; round++) {
    const members = tree.scan();
    if (!isAlive(tree.leader)) {
      thaw(tree.leader, members);
      throw new ProxyError("machine_state", "the machine ended before it could be suspended");
    }
    const moving = members.filter((member) => !isFrozen(member));
    if (moving.length === 0 && members.every((member) => frozen.get(member.pid) === member.startTime)) return members;
    frozen.clear();
    for (const member of members) frozen.set(member.pid, member.startTime);
    for (const member of moving) {
      frozen.delete(member.pid);
      signalProcess(member, "SIGSTOP");
    }
    if (moving.length > 0 && Date.now() > giveUpAt) {
      thaw(tree.leader, members);
      throw new ProxyError("machine_state", `the machine could not be suspended: ${describe(moving)} cannot be stopped`);
    }
    if (moving.length > 0) await pause(round);
  }
}

/** Continues a frozen machine: its own group first, for that is what answers requests, then those who left the group. */
export function thaw(leader: ProcessId, members: readonly ProcessId[]): void {
  signalGroup(leader, "SIGCONT");
  for (const member of members) if (member.pid !== leader.pid) signalProcess(member, "SIGCONT");
}

export interface EndOptions {
  readonly signal: KillSignal;
  readonly timeoutMs: number;
  /** Resolves when the main process has ended. */
  readonly leaderGone: Promise<unknown>;
}

/** Asks the main process's group to end, waits, then kills all that is left of the tree. */
export async function endTree(tree: ProcessTree, { signal, timeoutMs, leaderGone }: EndOptions): Promise<void> {
  // Remembered by the tree: afterwards an escapee may have no parent left to be found by.
  const members = tree.scan();
  signalGroup(tree.leader, signal);
  // A stopped process cannot react. The signal is pending by now, so it comes before anything else the process does.
  if (members.some(isFrozen)) thaw(tree.leader, members);
  const timeout = new AbortController();
  await Promise.race([leaderGone, delay(timeoutMs, undefined, { signal: timeout.signal }).catch(() => {})]);
  timeout.abort();
  await killTree(tree);
}

/** SIGKILL for all of the tree; resolves when nothing of it is left, throws `machine_state` when something survives. */
export async function killTree(tree: ProcessTree): Promise<void> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (let round = 0; ; round++) {
    const members = tree.scan();
    if (members.length === 0) return;
    if (Date.now() > giveUpAt) {
      throw new ProxyError("machine_state", `the machine could not be ended: ${describe(members)} survived SIGKILL`);
    }
    signalGroup(tree.leader, "SIGKILL");
    for (const member of members) signalProcess(member, "SIGKILL");
    await pause(round);
  }
}

async function pause(round: number): Promise<void> {
  if (round < QUICK_ROUNDS) await setImmediate();
  else await delay(Math.min(round, 50));
}

function describe(members: readonly ProcessInfo[]): string {
  return members.map((member) => `pid ${member.pid} (state ${member.state})`).join(", ");
}
