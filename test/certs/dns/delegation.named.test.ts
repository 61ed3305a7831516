// Delegation as a resolver sees it: named has the zone of a customer and asks our server for ours. Needs named (bind9).

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Challenges } from "../../../src/certs/challenges.ts";
import { createCnameLookup, DelegatedDns, delegationOf, delegationProblem } from "../../../src/certs/dns/delegation.ts";
import { MemoryStore } from "../../../src/state/memory-store.ts";
import type { Lease, Store } from "../../../src/state/store.ts";
import { askUdp, queryOf, textsOf } from "../../dns/client.ts";
import { RunningDns, ZONE } from "../../dns/running-server.ts";
import { silent } from "../fixtures.ts";
import { startBind, WITHOUT_NAMED } from "../../support/named.ts";

const NAME = "_acme-challenge.shop.test";
const { target } = delegationOf("shop.test", ZONE);
const signal = AbortSignal.timeout(55_000);

describe("delegation to our own zone", { skip: WITHOUT_NAMED }, () => {
  test("leads a resolver to the values of orders, at any node, as long as there are any", async () => {
    const store = new MemoryStore();
    const [ordering, other] = [challengesOf(store), challengesOf(store)];
    await using dns = await RunningDns.start({ lookup: (label) => other.texts(label) });
    await using named = await startBind({
      "shop.test": { records: [`_acme-challenge CNAME ${target}.`] },
      [ZONE]: { forwardTo: dns.address },
    });
    const provider = new DelegatedDns({ zone: ZONE, lookup: createCnameLookup([named.address]), texts: ordering, now: Date.now });

    // A name and its wildcard: two orders, each under a lease of its own
    const [plain, wildcard] = [await leaseOf(store, "shop.test"), await leaseOf(store, "_wildcard.shop.test")];
    await provider.present(NAME, "one", signal, plain);
    await provider.present(NAME, "two", signal, wildcard);
    assert.deepEqual(textsOf(await askUdp(named.address, queryOf(NAME))).toSorted(), ["one", "two"]);
    await provider.cleanup(NAME, "one", signal, plain);
    assert.deepEqual(await ordering.texts(delegationOf(NAME, ZONE).label), ["two"]);
    await provider.cleanup(NAME, "two", signal, wildcard);
    assert.equal((await askUdp(dns.address, queryOf(target))).rcode, "NXDOMAIN");
  });

  test("is missed before an order, with the record to set", async () => {
    await using named = await startBind({
      "shop.test": {
        records: [
          "alias CNAME _acme-challenge",
          "_acme-challenge.alias CNAME a.elsewhere",
          "a.elsewhere CNAME b.elsewhere",
          "b.elsewhere A 192.0.2.1",
        ],
      },
    });
    const store = new MemoryStore();
    const lookup = createCnameLookup([named.address]);
    const provider = new DelegatedDns({ zone: ZONE, lookup, texts: challengesOf(store), now: Date.now });
    await assert.rejects(provider.present(NAME, "one", signal, await leaseOf(store, "shop.test")), {
      code: "certificate_unavailable",
      message: `there is no CNAME record at "${NAME}"; set ${NAME}. CNAME ${target}.`,
    });
    assert.match(
      (await delegationProblem(delegationOf("alias.shop.test", ZONE), lookup, signal)) ?? "",
      /^the CNAME record at "_acme-challenge\.alias\.shop\.test" leads to "a\.elsewhere\.shop\.test", "b\.elsewhere\.shop\.test"; set /,
    );
    assert.deepEqual(await store.list(""), []);
  });

  test("may lead over other CNAME records, but not for ever", async () => {
    await using named = await startBind({
      "shop.test": {
        records: [
          "_acme-challenge CNAME two",
          `two CNAME ${target}.`,
          "_acme-challenge.loop CNAME loop",
          "loop CNAME _acme-challenge.loop",
        ],
      },
    });
    const lookup = createCnameLookup([named.address]);
    assert.equal(await delegationProblem(delegationOf("shop.test", ZONE), lookup, signal), null);
    assert.match((await delegationProblem(delegationOf("loop.shop.test", ZONE), lookup, signal)) ?? "", /leads to "loop\.shop\.test"/);
  });

  test("cannot be looked up where no resolver answers", async () => {
    const named = await startBind({});
    await named[Symbol.asyncDispose]();
    const lookup = createCnameLookup([named.address]);
    await assert.rejects(lookup(NAME, signal), {
      code: "certificate_unavailable",
      message: `"${NAME}" could not be looked up at 127.0.0.1:${named.address.port}: ECONNREFUSED`,
    });
  });
});

/** Of a node without workers. */
function challengesOf(store: Store): Challenges {
  return new Challenges({ store, onKnown: () => {}, onForgotten: () => {}, taken: async () => {}, log: silent });
}

async function leaseOf(store: Store, name: string): Promise<Lease> {
  const lease = await store.lease(`certs/${name}`, 3_600_000);
  assert.ok(lease !== null);
  return lease;
}
