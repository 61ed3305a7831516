// What is told of the fleet's certificates: their state, what serves, what failed last and what comes next, also while the store is away.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";

import { Secret } from "../../src/certs/secret.ts";
import { Vault } from "../../src/certs/vault.ts";
import { CertificatesControl } from "../../src/node/certificates-control.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import { TestAuthority, type LeafOptions } from "../support/test-authority.ts";
import { silent } from "../certs/fixtures.ts";

const DAY_MS = 86_400_000;
const FAILED = { kind: "refused", directory: "https://ca.example/dir", failedAtMs: 0, limitedUntilMs: 0, refusedAtMs: [] };

describe("the status of certificates", () => {
  let ca: TestAuthority;
  before(async () => {
    ca = await TestAuthority.create();
  });

  async function setUp() {
    const store = new MemoryStore();
    const environment = randomBytes(32).toString("base64");
    const secret = await Secret.open({ path: "", environment, isInUse: async () => false, log: silent });
    const vault = new Vault({ store, secret, onChanged: () => {}, log: silent });
    const control = new CertificatesControl({ vault, secret, store, renewer: null, log: silent, now: Date.now });
    const lease = (await store.lease("certs/test", DAY_MS))!;
    const obtain = async (hostname: string, options: LeafOptions = {}): Promise<string> => {
      const { pem, keyPem, notBefore, notAfter } = await ca.leaf([hostname], options);
      const issued = { hostname, certificatePem: pem, privateKeyPem: keyPem, notBefore, notAfter };
      await vault.putAcme({ ...issued, directory: "https://ca.example/dir", challenge: "http-01" }, lease);
      return vault.acme(hostname)!.fingerprint;
    };
    return { store, vault, control, obtain };
  }

  test("has the last error and the next attempt of names that have a certificate, and of those that have none yet", async () => {
    const { store, control, obtain } = await setUp();
    const retryAtMs = Date.UTC(2040, 0, 1);
    const fingerprint = await obtain("a.example.com");
    await obtain("*.b.example.com");
    await store.put("certs/attempts/a.example.com", JSON.stringify({ ...FAILED, failures: 2, error: "no route", retryAtMs }));
    await store.put(
      "certs/attempts/_wildcard.c.example.com",
      JSON.stringify({ ...FAILED, failures: 7, error: "no TXT record", retryAtMs }),
    );
    await store.put("certs/attempts/broken.example.com", "not JSON");
    const plan = { fingerprint, renewAtMs: retryAtMs, explanationUrl: "https://ca.example/why" };
    await store.put("certs/renewals/a.example.com", JSON.stringify(plan));
    await store.put("certs/renewals/_wildcard.b.example.com", JSON.stringify({ ...plan, fingerprint: "that of an earlier one" }));

    const all = await control.list();
    assert.deepEqual(
      all.map((one) => [
        one.hostname,
        one.state,
        one.isServed,
        one.failures,
        one.lastError,
        one.nextAttemptAt,
        one.renewAt,
        one.explanationUrl,
      ]),
      [
        ["*.b.example.com", "valid", true, 0, null, null, null, null],
        ["*.c.example.com", "missing", false, 7, "no TXT record", "2040-01-01T00:00:00.000Z", null, null],
        ["a.example.com", "valid", true, 2, "no route", "2040-01-01T00:00:00.000Z", "2040-01-01T00:00:00.000Z", "https://ca.example/why"],
      ],
    );
    assert.deepEqual(
      (await control.show("*.c.example.com")).map(({ state, lastError }) => [state, lastError]),
      [["missing", "no TXT record"]],
    );
    assert.deepEqual(
      (await control.show("x.b.example.com")).map(({ hostname, issuer }) => [hostname, issuer]),
      [["*.b.example.com", "CN=Test Intermediate"]],
    );
    await assert.rejects(control.show("x.y.b.example.com"), { code: "certificate_not_found" });
  });

  test("says of an ACME certificate below an imported one that it is not served, and asks which is meant", async () => {
    const { control, obtain } = await setUp();
    await obtain("a.example.com");
    const { pem, keyPem } = await ca.leaf(["a.example.com"]);
    const { certificate } = await control.import(pem + keyPem);
    assert.deepEqual(
      (await control.show("a.example.com")).map(({ source, isServed }) => [source, isServed]),
      [
        ["acme", false],
        ["imported", true],
      ],
    );
    const choice = { name: "a.example.com", source: null };
    assert.throws(() => control.export(choice, false), { code: "bad_request", message: /several certificates.*name one by its id/ });
    assert.equal(control.export({ ...choice, name: certificate.id }, true).privateKeyPem, keyPem);
    assert.equal((await control.delete({ ...choice, source: "imported" })).id, certificate.id);
    assert.equal((await control.delete(choice)).source, "acme");
    await assert.rejects(control.delete(choice), { code: "certificate_not_found" });
  });

  test("is told from memory while the store is away", async () => {
    const { store, control, obtain } = await setUp();
    await obtain("a.example.com", { notBefore: new Date(0), notAfter: new Date(Date.now() - DAY_MS) });
    await store.close();
    assert.deepEqual(
      (await control.list()).map(({ hostname, state, isServed }) => [hostname, state, isServed]),
      [["a.example.com", "expired", false]],
    );
    await assert.rejects(control.rotateSecret(), { code: "store_unavailable" });
  });
});
