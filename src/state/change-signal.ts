// How processes that share a state file tell each other that it changed. Each commit is followed by one byte written into a
// small file beside it; the kernel reports that to whoever watches the file (inotify, kqueue), so nobody polls.
//
// Not the database's own -wal file: that is written before the commit can be seen, so a report of it may come too early and be
// the last one. Reports are a hint and may fail (no watch left, no permission, another file system): a slow poll covers for
// them, and for changes made by other programs.

import { closeSync, openSync, watch, writeSync, type FSWatcher } from "node:fs";

const BYTE = Buffer.from("\n");

export interface ChangeSignalOptions {
  /** The file to signal by; created with mode 0600. */
  readonly path: string;
  /** Called for every report and at every poll, in this process's own commits too: look whether there is news. Must not throw. */
  readonly onSignal: () => void;
  readonly pollMs: number;
}

export class ChangeSignal {
  readonly #options: ChangeSignalOptions;
  readonly #file: number | null;
  #watcher: FSWatcher | null = null;
  #poll: NodeJS.Timeout | null = null;

  constructor(options: ChangeSignalOptions) {
    this.#options = options;
    this.#file = openOrNull(options.path);
  }

  /** To be called after each commit. */
  announce(): void {
    if (this.#file === null) return;
    try {
      writeSync(this.#file, BYTE, 0, BYTE.length, 0);
    } catch {
      // The change is committed all the same; the others see it at their next poll.
    }
  }

  /** Starts calling `onSignal`. Neither the watch nor the timer keeps the process alive. */
  listen(): void {
    if (this.#poll !== null) return;
    this.#poll = setInterval(this.#options.onSignal, this.#options.pollMs).unref();
    try {
      this.#watcher = watch(this.#options.path, { persistent: false }, this.#options.onSignal);
      this.#watcher.on("error", () => this.#watcher?.close());
    } catch {
      // Out of inotify watches, say: the poll alone then.
    }
  }

  close(): void {
    if (this.#poll !== null) clearInterval(this.#poll);
    this.#watcher?.close();
    if (this.#file !== null) closeSync(this.#file);
  }
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, "w", 0o600);
  } catch {
    return null;
  }
}
