// Orders with a real CA, from the account to the certificate.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { rmSync } from "node:fs";
import { after, describe, test } from "node:test";
import { failedValidations } from "../../../src/certs/acme/order.ts";
import { acmeProblemOf } from "../../../src/certs/acme/problem.ts";
import { DnsChallenges } from "../../../src/certs/acme/dns-challenges.ts";
import { orderKey } from "../../../src/certs/acme/order-record.ts";
import { ProxyError } from "../../../src/core/errors.ts";
import { MemoryStore } from "../../../src/state/memory-store.ts";
import type { Store } from "../../../src/state/store.ts";
import { noPebble, Pebble } from "../../support/pebble.ts";
import { deaf, HttpChallenges, type IssuerOverrides, leaseOf, openIssuer, publishers } from "./fixtures.ts";

const NEVER = new AbortController().signal;

describe("an order with a real CA", { skip: noPebble }, async () => {
  if (noPebble !== false) return;
  const web = await HttpChallenges.start();
  const texts = new Map<string, string>();
  const pebble = await Pebble.start({ httpPort: web.port, texts: (name) => (texts.has(name) ? [texts.get(name)!] : []) });
  after(async () => {
    await pebble[Symbol.asyncDispose]();
    await web[Symbol.asyncDispose]();
  });

  async function setUp(overrides: Partial<IssuerOverrides> = {}) {
    const store = overrides.store ?? new MemoryStore();
    const issuer = await openIssuer({
      directory: pebble.directory,
      caFile: pebble.caFile,
      publishers: publishers(["http-01", web]),
      ...overrides,
      store,
    });
    const issue = async (name: string, options: { replaces?: string } = {}) => {
      const fence = await leaseOf(store, name);
      try {
        const certificate = await issuer.issue(name, { signal: NEVER, fence, ...options });
        await issuer.settle(name, fence);
        return certificate;
      } finally {
        await fence.release();
      }
    };
    return { store, issuer, issue };
  }

  test("gives a chain for the name that ends at the CA's root, with its key, and leaves nothing behind", async () => {
    const { store, issue } = await setUp({ email: "ops@example.com" });
    const { certificatePem, privateKeyPem, challenge, hostname, notAfter } = await issue("shop.example.com");
    const [leaf, intermediate, more] = certificatePem.match(/-----BEGIN[^]+?END CERTIFICATE-----/g)!.map((pem) => new X509Certificate(pem));
    const root = new X509Certificate(await pebble.root());
    assert.equal(hostname, "shop.example.com");
    assert.equal(leaf!.checkHost("shop.example.com"), "shop.example.com");
    assert.equal(leaf!.validToDate.getTime(), notAfter.getTime());
    assert.ok(leaf!.verify(intermediate!.publicKey) && intermediate!.verify(root.publicKey));
    assert.equal(more, undefined, "the root is not sent");
    assert.match(privateKeyPem, /BEGIN PRIVATE KEY/);
    assert.equal(leaf!.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
    assert.equal(challenge, "http-01");
    assert.deepEqual(web.tokens, []);
    assert.deepEqual((await store.list("certs/orders/")).length, 0);
  });

  test("asks for an RSA key where that is wanted", async () => {
    const { issue } = await setUp({ key: "rsa-2048" });
    const { certificatePem } = await issue("old.example.com");
    assert.equal(new X509Certificate(certificatePem).publicKey.asymmetricKeyType, "rsa");
  });

  test("tries the next type of challenge when one fails, with a new order", async () => {
    const before = pebble.orders;
    const { issue } = await setUp({ publishers: publishers(["tls-alpn-01", deaf], ["http-01", web]) });
    assert.equal((await issue("second.example.com")).challenge, "http-01");
    assert.equal(pebble.orders - before, 2);
  });

  test("tries the next type in the same order when one could not be published", async () => {
    const before = pebble.orders;
    const broken = { ...deaf, publish: () => Promise.reject(new Error("no room")) };
    const { issue } = await setUp({ publishers: publishers(["tls-alpn-01", broken], ["http-01", web]) });
    assert.equal((await issue("third.example.com")).challenge, "http-01");
    assert.equal(pebble.orders - before, 1);
  });

  test("fails with the CA's reason for each type, and begins anew the next time", async () => {
    const { store, issue, issuer } = await setUp({ publishers: publishers(["tls-alpn-01", deaf], ["http-01", deaf]) });
    await assert.rejects(issue("gone.example.com"), (error: unknown) => {
      assert.ok(error instanceof ProxyError);
      assert.equal(error.code, "certificate_unavailable");
      assert.match(error.message, /"gone\.example\.com" was not validated: tls-alpn-01: .+; http-01: .+/);
      assert.equal(acmeProblemOf(error)?.kind, "refused");
      assert.equal(failedValidations(error), 2);
      return true;
    });
    assert.equal(await store.get(orderKey("gone.example.com")), null);
    await issuer.close();
    const { issue: again } = await setUp({ store });
    assert.equal((await again("gone.example.com")).challenge, "http-01");
  });

  test("asks for a wildcard by DNS-01 alone, and says so where there is none", async () => {
    const before = pebble.orders;
    const { issue } = await setUp();
    await assert.rejects(issue("*.wild.example.com"), /"\*\.wild\.example\.com" can only be proved by dns-01/);
    assert.equal(pebble.orders, before);
    const dns = new DnsChallenges({
      present: async (name, value) => void texts.set(name, value),
      cleanup: async (name) => void texts.delete(name),
    });
    const { issue: withDns, store } = await setUp({ publishers: publishers(["http-01", web], ["dns-01", dns]) });
    const { certificatePem, hostname } = await withDns("*.wild.example.com");
    assert.equal(hostname, "*.wild.example.com");
    assert.match(new X509Certificate(certificatePem).subjectAltName!, /DNS:\*\.wild\.example\.com/);
    assert.equal(texts.size, 0);
    assert.equal((await store.list("certs/orders/")).length, 0);
  });

  test("uses one account for all nodes, made once", async () => {
    const store = new MemoryStore();
    const nodes = await Promise.all([setUp({ store }), setUp({ store }), setUp({ store })]);
    await Promise.all(nodes.map(({ issue }, index) => issue(`node-${index}.example.com`)));
    const { url, key } = await accountIn(store);
    assert.match(url, /^https:/);
    assert.doesNotMatch(key, /PRIVATE KEY/);
  });

  test("makes the account anew when the CA has forgotten it", async () => {
    const forgetful = await Pebble.start({ httpPort: web.port });
    const { directory, caFile, port, dir } = forgetful;
    const { store, issue } = await setUp({ directory, caFile });
    await issue("before.example.com");
    const { url } = await accountIn(store);
    await forgetful.end();
    await using again = await Pebble.start({ httpPort: web.port, port, dir });
    await issue("after.example.com");
    assert.notEqual((await accountIn(store)).url, url);
    assert.equal(again.certificates, 1);
    rmSync(dir, { recursive: true });
  });

  test("binds the account to one that the operator has, where the CA wants that", async () => {
    const hmacKey = Buffer.from("a secret that the CA has given out").toString("base64url");
    await using strict = await Pebble.start({ httpPort: web.port, externalAccounts: { "kid-1": hmacKey } });
    const { directory, caFile } = strict;
    const { issue } = await setUp({ directory, caFile, externalAccount: { kid: "kid-1", hmacKey } });
    assert.equal((await issue("bound.example.com")).hostname, "bound.example.com");
    const { issue: unbound } = await setUp({ directory, caFile });
    await assert.rejects(unbound("unbound.example.com"), /externalAccountRequired|tls\.acme\.eab_kid/);
  });

  test("does without an authority whose terms are not accepted, and names them", async () => {
    const { issue } = await setUp({ termsAgreed: false });
    await assert.rejects(
      issue("terms.example.com"),
      /the authority asks to accept its terms, ".+"; read them and set tls\.acme\.terms_agreed = true/,
    );
  });

  test("goes on with an order that was given up, whatever it had come to", async () => {
    const store = new MemoryStore();
    const before = pebble.orders;
    for (let step = 1; ; step++) {
      assert.ok(step < 60, "the order comes to its end");
      const giveUp = new AbortController();
      let steps = 0;
      const count = (): void => {
        steps += 1;
        if (steps === step) giveUp.abort();
      };
      const counting = {
        publish: async (...given: Parameters<typeof web.publish>) => (count(), web.publish(...given)),
        withdraw: web.withdraw.bind(web),
      };
      const { issuer } = await setUp({ store: countingStore(store, count), publishers: publishers(["http-01", counting]) });
      const fence = await leaseOf(store, "resumed.example.com");
      const result = await issuer.issue("resumed.example.com", { signal: giveUp.signal, fence }).catch(() => null);
      await fence.release();
      await issuer.close();
      if (result !== null) break;
    }
    assert.equal(pebble.orders - before, 1);
  });
});

/** The one account that there is. */
async function accountIn(store: Store): Promise<{ readonly url: string; readonly key: string }> {
  const accounts = await store.list("certs/accounts/");
  assert.equal(accounts.length, 1);
  return JSON.parse(accounts[0]!.value) as { url: string; key: string };
}

function countingStore(store: MemoryStore, count: () => void): MemoryStore {
  return new Proxy(store, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property);
      if (typeof value !== "function") return value;
      if (property !== "put") return value.bind(target) as unknown;
      return async (...given: Parameters<MemoryStore["put"]>) => {
        const revision = await target.put(...given);
        count();
        return revision;
      };
    },
  });
}
