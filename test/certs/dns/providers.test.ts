import assert from "node:assert/strict";
import { test } from "node:test";
import { DnsProviders } from "../../../src/certs/dns/providers.ts";
import type { DnsProvider } from "../../../src/certs/acme/challenge.ts";

const signal = AbortSignal.timeout(10_000);
const fence = { name: "certs/x", token: 1 };

test("names in the zone that takes updates are updated, and the others delegated", async () => {
  const calls: string[] = [];
  const providers = new DnsProviders({
    delegated: named("delegated", calls),
    updated: { provider: named("updated", calls), zone: "example.com" },
  });
  await providers.present("_acme-challenge.example.com", "v", signal, fence);
  await providers.present("_acme-challenge.a.example.com", "v", signal, fence);
  await providers.present("_acme-challenge.notexample.com", "v", signal, fence);
  await providers.cleanup("_acme-challenge.example.org", "v", signal, fence);
  assert.deepEqual(calls, ["updated", "updated", "delegated", "delegated"]);
});

test("without a zone all names are updated, and without delegation the others are refused", async () => {
  const calls: string[] = [];
  const provider = named("updated", calls);
  await new DnsProviders({ delegated: null, updated: { provider, zone: null } }).present("_acme-challenge.a.org", "v", signal, fence);
  assert.deepEqual(calls, ["updated"]);
  await assert.rejects(
    new DnsProviders({ delegated: null, updated: { provider, zone: "example.com" } }).present("_acme-challenge.a.org", "v", signal, fence),
    { code: "certificate_unavailable", message: /"_acme-challenge\.a\.org" is not in the zone of tls\.acme\.rfc2136/ },
  );
});

function named(name: string, calls: string[]): DnsProvider {
  return { present: async () => void calls.push(name), cleanup: async () => void calls.push(name) };
}
