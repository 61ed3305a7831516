// Names that no app declares any more, and of which the store need not know: their certificates ended, or their orders failed, long ago.

import type { AttemptsRecord, RenewalRecord } from "./renewal-plan.ts";
import type { StoredCertificate } from "./stored-certificate.ts";

export interface KnownNames {
  readonly certificates: readonly StoredCertificate[];
  readonly attempts: Iterable<readonly [name: string, record: AttemptsRecord]>;
  readonly renewals: Iterable<readonly [name: string, record: RenewalRecord]>;
  readonly declared: ReadonlySet<string>;
}

/** @param beforeMs long ago; in milliseconds since the epoch */
export function forgottenNames({ certificates, attempts, renewals, declared }: KnownNames, beforeMs: number): string[] {
  const own = certificates.filter(({ source }) => source === "acme");
  const certified = new Set(own.map(({ hostname }) => hostname));
  const names = new Set(own.filter(({ notAfter }) => notAfter.getTime() <= beforeMs).map(({ hostname }) => hostname));
  for (const [name, { failedAtMs }] of attempts) if (failedAtMs <= beforeMs && !certified.has(name)) names.add(name);
  for (const [name, { renewAtMs }] of renewals) if (renewAtMs <= beforeMs && !certified.has(name)) names.add(name);
  return [...names].filter((name) => !declared.has(name));
}
