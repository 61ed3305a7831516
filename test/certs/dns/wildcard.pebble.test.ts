// A real CA's validation of wildcards by DNS-01, both ways, with named as the DNS of the world. Needs pebble and named (bind9).

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { DnsChallenges } from "../../../src/certs/acme/dns-challenges.ts";
import type { DnsProvider } from "../../../src/certs/acme/challenge.ts";
import { Challenges } from "../../../src/certs/challenges.ts";
import { createCnameLookup, DelegatedDns, delegationOf } from "../../../src/certs/dns/delegation.ts";
import { ask } from "../../../src/certs/dns/exchange.ts";
import { Rfc2136 } from "../../../src/certs/dns/rfc2136.ts";
import type { TsigKey } from "../../../src/certs/dns/tsig.ts";
import { MemoryStore } from "../../../src/state/memory-store.ts";
import type { Store } from "../../../src/state/store.ts";
import { RunningDns, ZONE } from "../../dns/running-server.ts";
import { newKey, startBind, WITHOUT_NAMED } from "../../support/named.ts";
import { noPebble, Pebble } from "../../support/pebble.ts";
import { leaseOf, openIssuer, publishers } from "../acme/fixtures.ts";
import { silent } from "../fixtures.ts";

const WILDCARD = "*.shop.test";

describe("a wildcard, validated by a real CA", { skip: noPebble !== false ? noPebble : WITHOUT_NAMED }, () => {
  test("is had by delegation to our own zone, together with the name that it is of", async () => {
    const store = new MemoryStore();
    const [ordering, answering] = [challengesOf(store), challengesOf(store)];
    await using dns = await RunningDns.start({ lookup: (label) => answering.texts(label) });
    const { target } = delegationOf("shop.test", ZONE);
    await using named = await startBind({
      "shop.test": { records: [`_acme-challenge CNAME ${target}.`] },
      [ZONE]: { forwardTo: dns.address },
    });
    await using pebble = await Pebble.start({ resolver: named.address });
    const provider = new DelegatedDns({ zone: ZONE, lookup: createCnameLookup([named.address]), texts: ordering, now: Date.now });
    // Both at once: their values stand at one label.
    const names = await Promise.all([WILDCARD, "shop.test"].map((name) => namesInCertificate(pebble, store, provider, name)));
    assert.deepEqual(names, ["DNS:*.shop.test", "DNS:shop.test"]);
    assert.deepEqual(await store.list("certs/challenges/"), []);
  });

  test("is had by dynamic updates of its zone, which is as before then", async () => {
    const key = newKey("kittiwake");
    const policy = `update-policy { grant ${key.name} zonesub TXT; };`;
    await using named = await startBind({ "shop.test": { policy, records: ["_acme-challenge TXT theirs"] } }, [key]);
    await using pebble = await Pebble.start({ resolver: named.address });
    const known = { server: named.address, key: key as TsigKey, zone: null, ttlS: 60, nameServers: [named.address] };
    const provider = new Rfc2136({ ...known, propagationMs: 10_000, now: Date.now });
    const store = new MemoryStore();
    const names = await Promise.all([WILDCARD, "shop.test"].map((name) => namesInCertificate(pebble, store, provider, name)));
    assert.deepEqual(names, ["DNS:*.shop.test", "DNS:shop.test"]);
    const { answers = [] } = await ask(named.address, { name: "_acme-challenge.shop.test", type: "TXT" }, AbortSignal.timeout(5000));
    assert.deepEqual(
      answers.map((record) => record.type === "TXT" && String(record.data)),
      ["theirs"],
    );
  });

  test("is not even asked for while nothing leads to our zone", async () => {
    const store = new MemoryStore();
    await using named = await startBind({ "shop.test": {} });
    await using pebble = await Pebble.start({ resolver: named.address });
    const lookup = createCnameLookup([named.address]);
    const provider = new DelegatedDns({ zone: ZONE, lookup, texts: challengesOf(store), now: Date.now });
    await assert.rejects(namesInCertificate(pebble, store, provider, WILDCARD), {
      code: "certificate_unavailable",
      message:
        /there is no CNAME record at "_acme-challenge\.shop\.test"; set _acme-challenge\.shop\.test\. CNAME \w{32}\.acme\.example\.net\./,
    });
    assert.deepEqual(
      pebble.lines.filter((line) => line.includes("validat")),
      [],
    );
  });
});

async function namesInCertificate(pebble: Pebble, store: Store, provider: DnsProvider, name: string): Promise<string | undefined> {
  const { directory, caFile } = pebble;
  const issuer = await openIssuer({ directory, caFile, store, publishers: publishers(["dns-01", new DnsChallenges(provider)]) });
  const fence = await leaseOf(store, name);
  try {
    const { certificatePem, challenge } = await issuer.issue(name, { signal: AbortSignal.timeout(50_000), fence });
    assert.equal(challenge, "dns-01");
    await issuer.settle(name, fence);
    return new X509Certificate(certificatePem).subjectAltName;
  } finally {
    await fence.release();
    await issuer.close();
  }
}

/** Of a node without workers. */
function challengesOf(store: Store): Challenges {
  return new Challenges({ store, onKnown: () => {}, onForgotten: () => {}, taken: async () => {}, log: silent });
}
