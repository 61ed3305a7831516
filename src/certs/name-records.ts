// What the store holds of one kind for each name, such as the failures of its orders: followed by a watch, so that all nodes know the same,
// and looked up from memory. Written under the lease of the name.

import type { Logger } from "pino";

import type { Fence, Store } from "../state/store.ts";
import { nameKey, nameOfKey } from "./name-key.ts";

export interface NameRecordsOptions<Value> {
  readonly store: Store;
  /** Such as `certs/attempts/`. */
  readonly prefix: string;
  /** null for what is no such record. */
  read(value: unknown): Value | null;
  /** It was written or deleted, by whichever node. */
  onChange(name: string): void;
  readonly log: Logger;
}

interface Held<Value> {
  readonly value: Value | null;
  readonly revision: number;
}

export class NameRecords<Value extends object> {
  readonly #options: NameRecordsOptions<Value>;
  /** By name. null: it was deleted at that revision. */
  readonly #held = new Map<string, Held<Value>>();
  readonly #loaded = Promise.withResolvers<void>();

  constructor(options: NameRecordsOptions<Value>) {
    this.#options = options;
  }

  /** Resolves once everything that the store held is known. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  get(name: string): Value | null {
    return this.#held.get(name)?.value ?? null;
  }

  *entries(): Iterable<readonly [name: string, value: Value]> {
    for (const [name, { value }] of this.#held) if (value !== null) yield [name, value];
  }

  /** From the store, for who has just got the lease: news may be on its way. */
  async fetch(name: string): Promise<Value | null> {
    const entry = await this.#options.store.get(this.#key(name));
    if (entry === null) {
      this.#held.delete(name);
      return null;
    }
    this.#learn(entry.key, entry.value, entry.revision);
    return this.get(name);
  }

  async put(name: string, value: Value, fence: Fence): Promise<void> {
    const key = this.#key(name);
    const text = JSON.stringify(value);
    this.#learn(key, text, await this.#options.store.put(key, text, { fence }));
  }

  async delete(name: string, fence: Fence): Promise<void> {
    await this.#options.store.delete(this.#key(name), { fence });
    if (this.#held.delete(name)) this.#options.onChange(name);
  }

  /** Follows the store until `signal` aborts. Throws what the store throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { store, prefix } = this.#options;
    const revision = await store.revision();
    const entries = revision === 0 ? [] : await store.list(prefix);
    const names = new Set(entries.map(({ key }) => nameOfKey(key.slice(prefix.length))));
    for (const [name, held] of this.#held) if (!names.has(name) && held.revision <= revision) this.#held.delete(name);
    for (const { key, value, revision: at } of entries) this.#learn(key, value, at);
    this.#loaded.resolve();
    for await (const change of store.watch(prefix, revision, signal)) this.#learn(change.key, change.value, change.revision);
  }

  #learn(key: string, text: string | null, revision: number): void {
    const name = nameOfKey(key.slice(this.#options.prefix.length));
    const held = this.#held.get(name);
    if (held !== undefined && held.revision >= revision) return;
    const value = text === null ? null : this.#read(key, text);
    if (value === null) this.#held.delete(name);
    else this.#held.set(name, { value, revision });
    this.#options.onChange(name);
  }

  #read(key: string, text: string): Value | null {
    let value: Value | null = null;
    try {
      value = this.#options.read(JSON.parse(text));
    } catch {
      // Not even JSON: the same as any other thing that it is not.
    }
    if (value === null) this.#options.log.warn({ key }, "a record in the store cannot be read");
    return value;
  }

  #key(name: string): string {
    return this.#options.prefix + nameKey(name);
  }
}
