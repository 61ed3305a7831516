// Which way a name's TXT record goes: by dynamic updates where its zone takes them, otherwise by delegation to our own zone.

import { ProxyError } from "../../core/errors.ts";
import type { Fence } from "../../state/store.ts";
import type { DnsProvider } from "../acme/challenge.ts";

export interface DnsProvidersOptions {
  /** null: not configured. */
  readonly delegated: DnsProvider | null;
  /** For names in `zone`, all where that is null. */
  readonly updated: { readonly provider: DnsProvider; readonly zone: string | null } | null;
}

export class DnsProviders implements DnsProvider {
  readonly #options: DnsProvidersOptions;

  constructor(options: DnsProvidersOptions) {
    this.#options = options;
  }

  async present(name: string, value: string, signal: AbortSignal, fence: Fence): Promise<void> {
    await this.#providerOf(name).present(name, value, signal, fence);
  }

  async cleanup(name: string, value: string, signal: AbortSignal, fence: Fence): Promise<void> {
    await this.#providerOf(name).cleanup(name, value, signal, fence);
  }

  #providerOf(name: string): DnsProvider {
    const { delegated, updated } = this.#options;
    const zone = updated?.zone ?? null;
    if (updated !== null && (zone === null || name.endsWith(`.${zone}`))) return updated.provider;
    if (delegated !== null) return delegated;
    throw new ProxyError(
      "certificate_unavailable",
      `"${name}" is not in the zone of tls.acme.rfc2136, and there is no tls.acme.dns for others`,
    );
  }
}
