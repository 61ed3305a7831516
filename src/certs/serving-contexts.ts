// The TLS contexts that connections are accepted with: one for each set of versions and of client certificates, with or without the self-signed
// certificate for clients that name no known host. The certificate of a known name comes later, from sni.ts.

import { createSecureContext, type SecureContext } from "node:tls";

import { LRUCache } from "lru-cache";

import type { ClientAuth, TlsVersions } from "../core/app.ts";
import type { RootPair } from "./root-files.ts";
import { tlsOptions } from "./tls-options.ts";

/** Each app may have rules of its own, and each reload others: those of the apps that are not heard of any more go first. */
const MAX = 1000;

export class ServingContexts {
  readonly #selfSigned: RootPair;
  readonly #contexts = new LRUCache<string, SecureContext>({ max: MAX });
  #ticketKeys: Buffer;

  /** @param ticketKeys 48 random bytes, the same for all workers */
  constructor(selfSigned: RootPair, ticketKeys: Buffer) {
    this.#selfSigned = selfSigned;
    this.#ticketKeys = ticketKeys;
  }

  /** For connections to come: those that stand go on with what they have. */
  setTicketKeys(ticketKeys: Buffer): void {
    this.#ticketKeys = ticketKeys;
    // Nothing public changes the keys of a context that is there.
    this.#contexts.clear();
  }

  /** `isSelfSigned`: with the self-signed certificate; otherwise with none. */
  context(versions: TlsVersions, isSelfSigned: boolean, clientAuth: ClientAuth | null): SecureContext {
    const key = clientAuth === null ? `${versions} ${isSelfSigned}` : `${versions} ${isSelfSigned} ${clientAuth.id}`;
    let context = this.#contexts.get(key);
    if (context === undefined) {
      const { certificatePem: cert, privateKeyPem: privateKey } = this.#selfSigned;
      const options = tlsOptions({ ticketKeys: this.#ticketKeys, versions, clientAuth });
      context = createSecureContext({ ...options, ...(isSelfSigned ? { cert, key: privateKey } : {}) });
      this.#contexts.set(key, context);
    }
    return context;
  }
}
