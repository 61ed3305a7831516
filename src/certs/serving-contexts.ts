// The TLS contexts that connections are accepted with: one for each set of versions, with or without the self-signed certificate for clients
// that name no known host. The certificate of a known name comes later, from sni.ts.

import { createSecureContext, type SecureContext } from "node:tls";
import type { TlsVersions } from "../core/app.ts";
import type { RootPair } from "./root-files.ts";
import { tlsOptions } from "./tls-options.ts";

export interface ServingContextsOptions {
  /** 48 random bytes, the same for all workers of a node. */
  readonly ticketKeys: Buffer;
  readonly selfSigned: RootPair;
}

export class ServingContexts {
  readonly #options: ServingContextsOptions;
  readonly #contexts = new Map<string, SecureContext>();

  constructor(options: ServingContextsOptions) {
    this.#options = options;
  }

  /** `isSelfSigned`: with the self-signed certificate; otherwise with none. */
  context(versions: TlsVersions, isSelfSigned: boolean): SecureContext {
    const key = `${versions} ${isSelfSigned}`;
    let context = this.#contexts.get(key);
    if (context === undefined) {
      const { ticketKeys, selfSigned } = this.#options;
      const certificate = isSelfSigned ? { cert: selfSigned.certificatePem, key: selfSigned.privateKeyPem } : {};
      context = createSecureContext({ ...tlsOptions({ ticketKeys, versions }), ...certificate });
      this.#contexts.set(key, context);
    }
    return context;
  }
}
