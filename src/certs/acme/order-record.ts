// What the store knows of an order under way, `certs/orders/<name>`: enough for another node to go on with it when this one dies.

import { z } from "zod";

import type { Fence, Store } from "../../state/store.ts";
import type { ChallengeType } from "./challenge.ts";

const shape = z.object({
  directory: z.string(),
  /** URL of the account that ordered. */
  account: z.string(),
  /** What the order said to replace; null: nothing. */
  replaces: z.string().nullable(),
  startedAtMs: z.number(),
  /** Of the certificate to be, sealed. */
  key: z.string(),
  /** Of the order; null: it is about to be made, and may have been. */
  url: z.string().nullable(),
  /** The type being tried. */
  challenge: z.enum(["tls-alpn-01", "http-01", "dns-01"]).nullable(),
  /** Types that failed, in orders before this one too, with the reasons. */
  failed: z.array(z.object({ type: z.enum(["tls-alpn-01", "http-01", "dns-01"]), reason: z.string(), isSeen: z.boolean() })),
});

export type OrderRecord = Readonly<z.output<typeof shape>>;

export interface FailedChallenge {
  readonly type: ChallengeType;
  readonly reason: string;
  /** Did the CA see it fail? It counts those. */
  readonly isSeen: boolean;
}

export class OrderRecords {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** null: no order is under way, or none that this version understands. */
  async read(name: string): Promise<OrderRecord | null> {
    const entry = await this.#store.get(orderKey(name));
    if (entry === null) return null;
    try {
      return shape.parse(JSON.parse(entry.value));
    } catch {
      return null;
    }
  }

  async write(name: string, record: OrderRecord, fence: Fence): Promise<void> {
    await this.#store.put(orderKey(name), JSON.stringify(record), { fence });
  }

  async remove(name: string, fence: Fence): Promise<void> {
    await this.#store.delete(orderKey(name), { fence });
  }
}

/** A star is no letter of the store's keys. */
export function orderKey(name: string): string {
  return `certs/orders/${name.startsWith("*.") ? `_wildcard.${name.slice(2)}` : name}`;
}
