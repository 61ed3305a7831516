// Where the replays are that a worker remembers, by path or by session: bounded in number and in size, each for its time. What it is
// for and what comes of it is decided in remembered-replays.ts. Any entry may be gone at any time: then a machine is asked again.

import { hash, randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Aim } from "../core/aim.ts";
import type { Deadlines, Timed } from "../core/deadlines.ts";

/** A replay that was asked for once, and is made for other requests without being asked for again. */
export interface Remembered {
  /** Of the app whose requests these are. */
  readonly owner: AppReplays;
  readonly kind: "path" | "session";
  readonly key: string;
  /** The app that they go to, and which of its machines; null: any. */
  readonly app: string;
  readonly aim: Aim | null;
  readonly allowBypass: boolean;
}

/** Whether anything may be remembered for the requests of an app, so that those of all others need not look. Stays as long as the app is there. */
export class AppReplays {
  hasSessions = false;
  /** Entries by path. */
  paths = 0;

  get isUsed(): boolean {
    return this.hasSessions || this.paths > 0;
  }
}

/** On average; an entry of few words has half of it. */
const BYTES_OF_ENTRY = 1024;
/** Of an entry beyond its key and what its aim says. */
const OVERHEAD_BYTES = 400;
/** How often those are let go whose time is over. */
const SWEEP_MS = 60_000;

export class ReplayCache implements Timed {
  deadlineMs = Infinity;
  readonly #deadlines: Deadlines;
  readonly #entries: number;
  /** null: nothing was remembered so far, and no memory is set aside for it. */
  #byKind: Readonly<Record<Remembered["kind"], LRUCache<string, Remembered>>> | null = null;
  /** What tells sessions apart is as good as a password: nobody who reads this memory is to find it there. */
  readonly #secret = randomBytes(32).toString("base64");

  /** @param entries most of each kind; 0: nothing is remembered */
  constructor(deadlines: Deadlines, entries: number) {
    this.#deadlines = deadlines;
    this.#entries = entries;
  }

  get size(): number {
    return this.#byKind === null ? 0 : this.#byKind.path.size + this.#byKind.session.size;
  }

  /** Of what has no spaces in it, but for the value in the last place. */
  sessionKey(parts: readonly string[]): string {
    // A third of what an HMAC takes, which is for hashes that others get to see.
    return hash("sha256", `${this.#secret} ${parts.join(" ")}`, "base64");
  }

  find(owner: AppReplays, kind: Remembered["kind"], key: string): Remembered | null {
    const found = this.#byKind?.[kind].get(key);
    // An app of the same name may have been here before.
    return found?.owner === owner ? found : null;
  }

  set(entry: Remembered, ttlMs: number): void {
    if (this.#entries === 0) return;
    this.#byKind ??= { path: this.#store(this.#entries), session: this.#store(this.#entries) };
    const store = this.#byKind[entry.kind];
    store.set(entry.key, entry, { ttl: ttlMs });
    if (store.peek(entry.key) !== entry) return;
    if (entry.kind === "path") entry.owner.paths++;
    if (this.deadlineMs === Infinity) this.#watch();
  }

  /** Not one that has taken its place meanwhile. */
  forget(entry: Remembered): void {
    const store = this.#byKind?.[entry.kind];
    if (store?.peek(entry.key) === entry) store.delete(entry.key);
  }

  onDeadline(): void {
    this.#byKind!.path.purgeStale();
    this.#byKind!.session.purgeStale();
    if (this.size > 0) this.#watch();
    else this.#deadlines.remove(this);
  }

  /** The clock stands still while nobody looks at it. */
  #watch(): void {
    this.#deadlines.add(this);
    this.deadlineMs = this.#deadlines.after(SWEEP_MS);
  }

  #store(entries: number): LRUCache<string, Remembered> {
    return new LRUCache({
      max: entries,
      maxSize: entries * BYTES_OF_ENTRY,
      sizeCalculation: ({ key, aim }) => OVERHEAD_BYTES + key.length + 2 * JSON.stringify(aim).length,
      ttlResolution: 0,
      // For the cache 0 is no time at all.
      perf: { now: () => this.#deadlines.nowMs + 1 },
      dispose: ({ kind, owner }) => {
        if (kind === "path") owner.paths--;
      },
    });
  }
}
