// What a node has for `issuer = "acme"`: who orders, who answers challenges, and who decides when. Part of the composition root.

import type { Logger } from "pino";

import { AcmeIssuer, type Sealer } from "../certs/acme/acme-issuer.ts";
import type { ChallengePublisher, ChallengeType, DnsProvider } from "../certs/acme/challenge.ts";
import { DnsChallenges } from "../certs/acme/dns-challenges.ts";
import { createCnameLookup, DelegatedDns, type ZoneTexts } from "../certs/dns/delegation.ts";
import { DnsProviders } from "../certs/dns/providers.ts";
import { Rfc2136 } from "../certs/dns/rfc2136.ts";
import type { NameAuthority } from "../certs/certificates.ts";
import { isOrderable } from "../certs/public-name.ts";
import { RenewalInfo } from "../certs/renewal-info.ts";
import { Renewer, type RenewerOptions } from "../certs/renewer.ts";
import type { AcmeConfig } from "../config/acme-config.ts";
import type { App } from "../core/app.ts";
import type { Store } from "../state/store.ts";

export interface AuthorityOptions {
  readonly config: AcmeConfig;
  readonly store: Store;
  readonly sealer: Sealer;
  readonly vault: RenewerOptions["vault"];
  /** Answers TLS-ALPN-01 and HTTP-01, and keeps the records of our own zone. */
  readonly challenges: ChallengePublisher & ZoneTexts;
  readonly onOrder: RenewerOptions["onOrder"];
  readonly log: Logger;
}

export interface Authority extends NameAuthority, AsyncDisposable {
  readonly renewer: Renewer;
  /** These apps declare names now. */
  setApps(apps: readonly App[]): void;
}

/** Asks the authority nothing yet. Throws `certificate_unavailable` when its root cannot be used. */
export async function openAuthority({ config, challenges, sealer, ...rest }: AuthorityOptions): Promise<Authority> {
  const { directory, stagingDirectory } = config;
  const { store, log } = rest;
  const issuer = await AcmeIssuer.open({ ...config, publishers: publishersOf(config, challenges), store, sealer, log });
  const directoryUrl = new URL(directory);
  const vouchesFor = (name: string): boolean => isOrderable(name, directoryUrl);
  let declared: ReadonlySet<string> = new Set();
  const renewer = new Renewer({
    ...rest,
    authority: issuer,
    directory,
    staging: stagingDirectory,
    info: new RenewalInfo({ directory, get: (url, signal) => issuer.transport.send({ method: "GET", url, signal }) }),
    declared: () => declared,
    isOrderable: vouchesFor,
    newNamesPerWeek: config.newNamesPerWeek,
  });
  return {
    renewer,
    vouchesFor,
    obtain: (name) => renewer.obtain(name),
    setApps: (apps) => {
      declared = new Set(apps.filter(endsTls).flatMap(({ hostnames }) => hostnames));
      renewer.onDeclared();
    },
    [Symbol.asyncDispose]: () => issuer.close(),
  };
}

/** In the order of the configuration. */
function publishersOf(
  { challenges: types, dns }: AcmeConfig,
  edge: ChallengePublisher & ZoneTexts,
): Map<ChallengeType, ChallengePublisher> {
  const publishers = new Map<ChallengeType, ChallengePublisher>();
  const provider = dnsProviderOf(dns, edge);
  for (const type of types) {
    if (type !== "dns-01") publishers.set(type, edge);
    else if (provider !== null) publishers.set(type, new DnsChallenges(provider));
  }
  return publishers;
}

/** null: nobody sets records. */
function dnsProviderOf({ ownZone, updates }: AcmeConfig["dns"], texts: ZoneTexts): DnsProvider | null {
  if (ownZone === null && updates === null) return null;
  return new DnsProviders({
    delegated:
      ownZone === null
        ? null
        : new DelegatedDns({ zone: ownZone.zone, lookup: createCnameLookup(ownZone.resolvers), texts, now: Date.now }),
    updated: updates === null ? null : { provider: new Rfc2136({ ...updates, now: Date.now }), zone: updates.zone },
  });
}

/** Nobody is shown a certificate of an app that takes TCP alone. */
function endsTls({ services }: App): boolean {
  return services.some(({ ports }) => ports.some(({ handlers }) => handlers.includes("tls") || handlers.includes("pg_tls")));
}
