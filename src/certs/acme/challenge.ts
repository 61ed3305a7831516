// What an order asks of those who answer a CA's validation (RFC 8555, section 8; RFC 8737): the contracts between acme/ and whoever
// publishes challenges.

import { createHash } from "node:crypto";
import type { Fence } from "../../state/store.ts";

export type ChallengeType = "tls-alpn-01" | "http-01" | "dns-01";

/** One proof of control over one name. Plain values. */
export interface Challenge {
  readonly type: ChallengeType;
  /** The name that is validated, canonical; for a wildcard the name without its star. */
  readonly name: string;
  /** Base64url characters alone, 1 to 128 of them. */
  readonly token: string;
  /** `<token>.<thumbprint of the account's key>`: what HTTP-01 answers with, and what the other types take the SHA-256 of. */
  readonly keyAuthorization: string;
  /** Milliseconds since the epoch: from here on nobody asks for it any more, so that what a dead node has published can be swept. */
  readonly expiresAtMs: number;
}

/** Answers challenges of one type or of several. All writes carry the fence of the order's lease. */
export interface ChallengePublisher {
  /**
   * Resolves when the challenge is answered everywhere that matters: only then is the CA told to look. Publishing what is published
   * already is no error, since a successor does that with what its predecessor left. Bounds its own waiting.
   */
  publish(challenge: Challenge, fence: Fence, signal: AbortSignal): Promise<void>;

  /** Takes it back; harmless when it is gone. Called however the validation ended, also when the order was given up. */
  withdraw(challenge: Challenge, fence: Fence): Promise<void>;
}

/** Sets TXT records in somebody's zone, for DNS-01. */
export interface DnsProvider {
  /**
   * Adds the TXT record `name` (such as `_acme-challenge.example.com`) with `value` beside those that are there: a name and its wildcard
   * are validated under the same name. Resolves when the zone's servers answer with it. Adding it twice is no error.
   */
  present(name: string, value: string, signal: AbortSignal, fence: Fence): Promise<void>;

  /** Removes that one value, and harms no other; harmless when it is gone. */
  cleanup(name: string, value: string, signal: AbortSignal, fence: Fence): Promise<void>;
}

/** The name and the value of the TXT record that answers a DNS-01 challenge (RFC 8555, section 8.4). */
export function dnsRecordOf({ name, keyAuthorization }: Challenge): { readonly name: string; readonly value: string } {
  return { name: `_acme-challenge.${name}`, value: createHash("sha256").update(keyAuthorization).digest("base64url") };
}
