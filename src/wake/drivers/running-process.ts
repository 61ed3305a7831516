// One launch of a machine while it runs: watches for its end, freezes, thaws and ends it. Knows its main process as a child
// of ours (start) or as somebody else's (adopted after the node was restarted).
//
//   running ──suspend──► frozen          leader ends ──► leftovers killed ──► last output handed on ──► onEnd
//      ▲                   │
//      └──────resume───────┘

import type { ChildProcess } from "node:child_process";

import type { KillSignal } from "../../core/app.ts";
import { ProxyError } from "../../core/errors.ts";
import type { MachineExit } from "../driver.ts";
import type { MachineOutput } from "./machine-output.ts";
import { endTree, freezeTree, killTree, thaw } from "./process-signals.ts";
import type { ProcessId } from "./process-table.ts";
import { isAlive } from "./process-table.ts";
import { ProcessTree } from "./process-tree.ts";
import { untilGone } from "./process-watch.ts";

export interface RunningProcessOptions {
  /** The main process, just seen alive or just spawned. */
  readonly leader: ProcessId;
  readonly token: string;
  /** null when it is not a child of this node. */
  readonly child: ChildProcess | null;
  readonly output: MachineOutput | null;
  /** Internal port to bound port. */
  readonly ports: Readonly<Record<number, number>>;
  /** Nothing of it is left; `wasAsked` when `stop` ended it. Not called after `forget`. */
  onEnd(exit: MachineExit, wasAsked: boolean): void;
}

/** How often an adopted process is looked at. */
const LOOK_MS = 500;
/** While somebody waits for its end. */
const LOOK_CLOSELY_MS = 10;

export class RunningProcess {
  readonly leader: ProcessId;
  readonly token: string;
  readonly ports: Readonly<Record<number, number>>;
  readonly #options: RunningProcessOptions;
  readonly #leaderGone = Promise.withResolvers<MachineExit>();
  readonly #ended: Promise<void>;
  /** Every process that was frozen, so that waking need not search; empty while it runs. */
  #frozen: readonly ProcessId[] = [];
  /** Aborted when there is nothing more to look for. */
  readonly #looking = new AbortController();
  #wasAsked = false;
  #isForgotten = false;

  constructor(options: RunningProcessOptions) {
    this.leader = options.leader;
    this.token = options.token;
    this.ports = options.ports;
    this.#options = options;
    if (options.child !== null) options.child.once("exit", (exitCode, signal) => this.#leaderGone.resolve({ exitCode, signal }));
    else this.#look(LOOK_MS);
    this.#ended = this.#untilEnded();
  }

  /** Idempotent. Throws `machine_state` when it is gone or cannot be frozen. */
  async suspend(): Promise<void> {
    this.#frozen = await freezeTree(this.#tree());
  }

  /** Synchronous up to the last SIGCONT. Harmless while it runs. Throws `machine_state` when it is gone. */
  async resume(): Promise<void> {
    if (!isAlive(this.leader)) throw new ProxyError("machine_state", "the machine has ended and cannot be resumed; start it");
    thaw(this.leader, this.#frozen);
    this.#frozen = [];
  }

  /** Resolves when nothing of it is left and its output has been handed on. Throws `machine_state` when something survives SIGKILL. */
  async stop(signal: KillSignal, timeoutMs: number): Promise<void> {
    this.#wasAsked = true;
    if (this.#options.child === null) this.#look(LOOK_CLOSELY_MS);
    await endTree(this.#tree(), { signal, timeoutMs, leaderGone: this.#leaderGone.promise });
    await this.#ended;
  }

  /** Lets go of it: it runs on, and nothing about it is reported any more. */
  forget(): void {
    this.#isForgotten = true;
    this.#looking.abort();
    this.#options.child?.removeAllListeners("exit").unref();
    this.#options.output?.close();
  }

  async #untilEnded(): Promise<void> {
    const exit = await this.#leaderGone.promise;
    this.#looking.abort();
    try {
      // What outlives the main process is not a machine any more. `stop` does this by itself, and reports what it cannot end.
      if (!this.#wasAsked) await killTree(this.#tree());
      await this.#options.output?.finish();
    } catch {
      // An end must be reported even if a leftover hangs in the kernel or the disk fails; the next stop or adopt tries again.
      this.#options.output?.close();
    }
    if (!this.#isForgotten) this.#options.onEnd(exit, this.#wasAsked);
  }

  #tree(): ProcessTree {
    return new ProcessTree(this.leader, this.token);
  }

  #look(everyMs: number): void {
    const gone = untilGone(this.leader, everyMs, this.#looking.signal);
    void gone.then(() => this.#leaderGone.resolve({ exitCode: null, signal: null }));
  }
}
