// A thread that uses the load table as hard as it can, for load-table.test.ts.

import { parentPort, workerData } from "node:worker_threads";

import { CLAIMED, LoadTable } from "../../src/catalog/load-table.ts";

export interface LoadWorkerData {
  readonly buffer: SharedArrayBuffer;
  readonly worker: number;
  /** Words that the test and all its workers see: see `SHARED`. */
  readonly shared: SharedArrayBuffer;
  readonly task: "hammer" | "hold_on" | "wait";
  readonly slots: readonly number[];
  readonly limit: number;
  readonly rounds: number;
}

export const SHARED = {
  /** Threads between a claim and its release. */
  inside: 0,
  /** The most that were ever inside. */
  most: 1,
  /** Set while nobody may be inside. */
  closed: 2,
  /** Counts threads that were inside nevertheless. */
  intruders: 3,
  claims: 4,
  refusals: 5,
} as const;

export interface LoadWorkerNews {
  readonly type: "ready" | "woken" | "done";
}

/** Absent when the test imports the words above. */
if (parentPort !== null) void work(workerData as LoadWorkerData);

async function work({ buffer, worker, shared, task, slots, limit, rounds }: LoadWorkerData): Promise<void> {
  const load = new LoadTable(buffer, worker);
  const words = new Int32Array(shared);
  if (task === "hammer")
    for (let round = 0; round < rounds; round++) claimAndRelease(load, words, slots[round % slots.length]!, limit, round);
  if (task === "hold_on") holdOn(load, slots, limit);
  if (task === "wait") {
    // Waiting for a signal keeps no thread alive; its listeners do.
    parentPort!.on("message", () => undefined);
    const seen = load.signals(slots[0]!);
    load.addWaiter(slots[0]!);
    tell("ready");
    await load.waitForSignal(slots[0]!, seen);
    load.removeWaiter(slots[0]!);
    tell("woken");
  }
  tell("done");
  parentPort!.close();
}

function claimAndRelease(load: LoadTable, words: Int32Array, slot: number, limit: number, round: number): void {
  if (load.claim(slot, limit) !== CLAIMED) {
    Atomics.add(words, SHARED.refusals, 1);
    return;
  }
  const inside = Atomics.add(words, SHARED.inside, 1) + 1;
  for (let most = Atomics.load(words, SHARED.most); inside > most; most = Atomics.load(words, SHARED.most)) {
    Atomics.compareExchange(words, SHARED.most, most, inside);
  }
  // Long enough, now and then, for another thread to come in between on a machine with few cores.
  for (let spin = round % 64 === 0 ? 20_000 : 10; spin > 0; spin--) {
    if (Atomics.load(words, SHARED.closed) === 1) Atomics.add(words, SHARED.intruders, 1);
  }
  Atomics.sub(words, SHARED.inside, 1);
  Atomics.add(words, SHARED.claims, 1);
  load.release(slot);
}

/** Claims and releases for ever and always holds something. */
function holdOn(load: LoadTable, slots: readonly number[], limit: number): void {
  const held: number[] = [];
  tell("ready");
  for (let round = 0; ; round = (round + 7) % 1_000_003) {
    const slot = slots[round % slots.length]!;
    if (load.claim(slot, limit) === CLAIMED) held.push(slot);
    if (held.length > round % 50) load.release(held.pop()!);
  }
}

function tell(type: LoadWorkerNews["type"]): void {
  parentPort!.postMessage({ type } satisfies LoadWorkerNews);
}
