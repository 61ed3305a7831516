// DNS-01 (RFC 8555, section 8.4): the proof is a TXT record, and who keeps the zone sets it.

import type { Fence } from "../../state/store.ts";
import { type Challenge, type ChallengePublisher, type DnsProvider, dnsRecordOf } from "./challenge.ts";

/** Taking a record away is no longer part of the order. */
const CLEANUP_MS = 30_000;

export class DnsChallenges implements ChallengePublisher {
  readonly #provider: DnsProvider;

  constructor(provider: DnsProvider) {
    this.#provider = provider;
  }

  async publish(challenge: Challenge, fence: Fence, signal: AbortSignal): Promise<void> {
    const { name, value } = dnsRecordOf(challenge);
    await this.#provider.present(name, value, signal, fence);
  }

  async withdraw(challenge: Challenge, fence: Fence): Promise<void> {
    const { name, value } = dnsRecordOf(challenge);
    await this.#provider.cleanup(name, value, AbortSignal.timeout(CLEANUP_MS), fence);
  }
}
