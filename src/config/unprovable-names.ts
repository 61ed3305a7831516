// Wildcards that an ACME authority cannot be asked for with this configuration: said when it is checked, not when the first client comes.

import type { LoadedApp } from "./app-conflicts.ts";
import type { TlsConfig } from "./node-config.ts";

export function reportUnprovableNames(apps: readonly LoadedApp[], tls: TlsConfig): void {
  if (tls.issuer !== "acme" || canSetRecords(tls)) return;
  for (const { document, findings } of apps) {
    for (const [index, hostname] of document.kittiwake.hostnames.entries()) {
      if (!hostname.startsWith("*.")) continue;
      findings.warning(
        ["kittiwake", "hostnames", index],
        "an authority gives certificates for wildcards by dns-01 alone; configure [tls.acme.dns] or [tls.acme.rfc2136], or import one",
      );
    }
  }
}

function canSetRecords({ challenges, dns }: Extract<TlsConfig, { readonly issuer: "acme" }>): boolean {
  return challenges.includes("dns-01") && (dns.ownZone !== null || dns.updates !== null);
}
