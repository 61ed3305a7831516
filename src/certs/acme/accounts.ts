// The account with each CA: one for all nodes of a store, made by whichever needs it first.
//
//     (none) ──► key kept, sealed ──► registered ──► CA does not know it (any more) ──► registered anew, with the same key
//                      └── the node died: its successor registers that key, and a CA gives a key its one account (RFC 8555, section 7.3)

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import type { Logger } from "pino";
import { z } from "zod";

import type { Fence, Lease, Store } from "../../state/store.ts";
import type { Sealer } from "./acme-issuer.ts";
import { generateKeyPem } from "./keys.ts";
import { unavailable } from "./problem.ts";
import { AcmeSession, type ExternalAccount } from "./session.ts";
import type { AcmeTransport } from "./transport.ts";

export interface AcmeAccount {
  readonly directory: string;
  readonly url: string;
  readonly keyPem: string;
}

export interface AcmeAccountsOptions {
  readonly store: Store;
  readonly sealer: Sealer;
  readonly transport: AcmeTransport;
  readonly email: string | null;
  readonly termsAgreed: boolean;
  /** null: the CA gives accounts to everybody. */
  readonly externalAccount: ExternalAccount | null;
  readonly log: Logger;
}

const recordShape = z.object({
  directory: z.string(),
  email: z.string().nullable(),
  /** null: not registered yet, or the CA may not know. */
  url: z.string().nullable(),
  /** Sealed. */
  key: z.string(),
});

type AccountRecord = z.output<typeof recordShape>;

/** Two requests, each of them bounded by less. */
const LEASE_MS = 90_000;
/** How often another node's work is looked at, and for how long. */
const LOOK_MS = 250;
const WAIT_MS = 100_000;

export class AcmeAccounts {
  readonly #options: AcmeAccountsOptions;

  constructor(options: AcmeAccountsOptions) {
    this.#options = options;
  }

  /**
   * The account, made if there is none; it waits while another node makes it.
   *
   * @param forgotten the URL of an account that the CA does not know
   */
  async get(directory: string, signal: AbortSignal, forgotten: string | null = null): Promise<AcmeAccount> {
    const key = this.#keyOf(directory);
    const deadlineMs = performance.now() + WAIT_MS;
    while (performance.now() < deadlineMs) {
      const found = this.#open(key, await this.#read(key), forgotten);
      if (found !== null) return found;
      const lease = await this.#options.store.lease(key, LEASE_MS);
      if (lease !== null) return await this.#makeUnder(lease, key, directory, signal, forgotten);
      await sleep(LOOK_MS, undefined, { signal });
    }
    throw unavailable("another node has been making the account with the authority for too long");
  }

  async #makeUnder(lease: Lease, key: string, directory: string, signal: AbortSignal, forgotten: string | null): Promise<AcmeAccount> {
    try {
      const record = await this.#read(key);
      return this.#open(key, record, forgotten) ?? (await this.#make(key, directory, record, lease, signal));
    } finally {
      await lease.release().catch(() => {}); // Its time ends it too.
    }
  }

  async #make(key: string, directory: string, earlier: AccountRecord | null, fence: Fence, signal: AbortSignal): Promise<AcmeAccount> {
    const { sealer, transport, email, termsAgreed, externalAccount, log } = this.#options;
    const keyPem = earlier === null ? await generateKeyPem("ecdsa-p256") : sealer.open(key, earlier.key);
    const record = { directory, email, url: null, key: earlier?.key ?? sealer.seal(key, keyPem) };
    // Before the CA hears of it: an account whose key is lost is lost.
    await this.#write(key, record, fence);
    const session = await AcmeSession.open({ directory, transport, accountKeyPem: keyPem, accountUrl: null, externalAccount, signal });
    const url = await session.register({ email, termsAgreed });
    await this.#write(key, { ...record, url }, fence);
    log.info(
      { directory, account: url, email },
      (earlier?.url ?? null) === null ? "made an account with the authority" : "made the account anew",
    );
    return { directory, url, keyPem };
  }

  /** null: there is no account yet, or it is another than the operator wants now. */
  #open(key: string, record: AccountRecord | null, forgotten: string | null): AcmeAccount | null {
    const url = record?.url ?? null;
    if (record === null || url === null || url === forgotten || record.email !== this.#options.email) return null;
    return { directory: record.directory, url, keyPem: this.#options.sealer.open(key, record.key) };
  }

  async #read(key: string): Promise<AccountRecord | null> {
    const entry = await this.#options.store.get(key);
    return entry === null ? null : parseRecord(key, entry.value);
  }

  async #write(key: string, record: AccountRecord, fence: Fence): Promise<void> {
    await this.#options.store.put(key, JSON.stringify(record), { fence });
  }

  /** Each binding is an account of its own. */
  #keyOf(directory: string): string {
    const owner = `${directory}\n${this.#options.externalAccount?.kid ?? ""}`;
    return `certs/accounts/${createHash("sha256").update(owner).digest("hex").slice(0, 16)}`;
  }
}

function parseRecord(key: string, text: string): AccountRecord {
  try {
    return recordShape.parse(JSON.parse(text));
  } catch {
    // Never replaced: its key may be wanted by a newer version of this program. Without a cause, which could quote it.
    throw unavailable(`the account in the store under "${key}" cannot be read; delete it to have a new one made`);
  }
}
