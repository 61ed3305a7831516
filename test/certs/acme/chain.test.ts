import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { before, describe, test } from "node:test";
import { checkChain } from "../../../src/certs/acme/chain.ts";
import { TestAuthority, type TestCertificate } from "../../support/test-authority.ts";

const NAME = "shop.example.com";
const REFUSED = /^the authority issued a certificate that cannot be used: /;

describe("what an authority issued", () => {
  let ca: TestAuthority;
  let leaf: TestCertificate;
  before(async () => {
    ca = await TestAuthority.create();
    leaf = await ca.leaf([NAME]);
  });

  function check(chain: readonly string[], { name = NAME, key = leaf.keyPem, nowMs = Date.now() } = {}) {
    return checkChain(chain.join("\n"), name, key, nowMs);
  }

  function assertRefused(chain: readonly string[], reason: RegExp, options?: Parameters<typeof check>[1]): void {
    assert.throws(() => check(chain, options), { code: "certificate_unavailable", message: new RegExp(REFUSED.source + reason.source) });
  }

  test("is taken with its intermediates, and without the root", () => {
    const { certificatePem, notBefore, notAfter } = check([leaf.pem, ca.intermediatePem, ca.rootPem]);
    const names = certificatePem.match(/-----BEGIN[^]+?END CERTIFICATE-----/g)!.map((pem) => new X509Certificate(pem).fingerprint);
    assert.deepEqual(
      names,
      [leaf.pem, ca.intermediatePem].map((pem) => new X509Certificate(pem).fingerprint),
    );
    assert.deepEqual(
      [notBefore, notAfter],
      [leaf.notBefore, leaf.notAfter].map((date) => new Date(Math.floor(date.getTime() / 1000) * 1000)),
    );
  });

  test("is refused when it is for another key or another name", async () => {
    const other = await ca.leaf([NAME]);
    assertRefused([other.pem, ca.intermediatePem], /it is for another key/);
    assertRefused([leaf.pem, ca.intermediatePem], /it is not for "www\.example\.com"/, { name: "www.example.com" });
  });

  test("is refused for a wildcard unless it says so letter by letter, and a wildcard does for the names below it", async () => {
    const wildcard = await ca.leaf(["*.example.com"]);
    const chain = [wildcard.pem, ca.intermediatePem];
    check(chain, { name: "*.example.com", key: wildcard.keyPem });
    check(chain, { name: NAME, key: wildcard.keyPem });
    assertRefused(chain, /it is not for "\*\.com"/, { name: "*.com", key: wildcard.keyPem });
    assertRefused([leaf.pem, ca.intermediatePem], /it is not for "\*\.example\.com"/, { name: "*.example.com" });
  });

  test("is refused when it is over", () => {
    assertRefused([leaf.pem], /it expired on .+; check the clock of this machine/, { nowMs: leaf.notAfter.getTime() });
  });

  test("is refused when the chain does not hold together, or is none", async () => {
    const strangers = await TestAuthority.create("Stranger");
    assertRefused([leaf.pem, strangers.intermediatePem], /certificate 2 of the chain did not issue the one before it/);
    assertRefused([leaf.pem, ca.rootPem, ca.intermediatePem], /certificate 2 of the chain/);
    assertRefused([ca.intermediatePem, leaf.pem], /it is for another key/);
    assertRefused(["<html>no certificate</html>"], /the chain has 0 certificates/);
    assertRefused(
      Array.from({ length: 11 }, () => leaf.pem),
      /the chain has 11 certificates/,
    );
    assertRefused(["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"], /one of the chain is damaged/);
  });
});
