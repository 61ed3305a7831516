// Since when each name is served with a certificate that browsers trust: what the ramp of Strict-Transport-Security is counted from. It is
// in the store, so that it outlives renewals, restarts and nodes; written once for each name of an app that asks for it.

import { LRUCache } from "lru-cache";
import { z } from "zod";

import { ProxyError } from "../core/errors.ts";
import type { Store } from "../state/store.ts";
import { nameKey } from "./name-key.ts";

export interface ServedSinceOptions {
  readonly store: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const PREFIX = "certs/served/";
const MAX_NAMES = 10_000;

const storedForm = z.object({ sinceMs: z.number() });

export class ServedSince {
  readonly #options: ServedSinceOptions;
  readonly #known = new LRUCache<string, number>({ max: MAX_NAMES });

  constructor(options: ServedSinceOptions) {
    this.#options = options;
  }

  /**
   * Milliseconds since the epoch: now, for a name or wildcard that is asked for the first time by any node. To be asked once it is served
   * so. Throws `store_unavailable`.
   */
  async get(name: string): Promise<number> {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const { store, now } = this.#options;
    const key = PREFIX + nameKey(name);
    const entry = await store.get(key);
    let sinceMs = entry === null ? null : read(entry.value);
    if (sinceMs === null) {
      sinceMs = now();
      const value = JSON.stringify({ sinceMs });
      try {
        if (entry === null) await store.create(key, value);
        else await store.update(key, value, entry.revision);
      } catch (error) {
        // Another node was faster, by less than matters.
        if (!(error instanceof ProxyError) || error.code !== "store_conflict") throw error;
      }
    }
    this.#known.set(name, sinceMs);
    return sinceMs;
  }
}

/** null: it is damaged. */
function read(value: string): number | null {
  try {
    return storedForm.parse(JSON.parse(value)).sinceMs;
  } catch {
    return null;
  }
}
