// What an operator brings, put in order or refused.

import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { before, describe, test } from "node:test";

import { readBundle } from "../../src/certs/bundle.ts";
import { TestAuthority } from "../support/test-authority.ts";

const DAY_MS = 86_400_000;

describe("a bundle", () => {
  let ca: TestAuthority;
  let stranger: TestAuthority;
  before(async () => {
    [ca, stranger] = [await TestAuthority.create(), await TestAuthority.create("Stranger")];
  });

  function refused(message: RegExp): { readonly code: string; readonly message: RegExp } {
    return { code: "certificate_invalid", message };
  }

  test("is put in order whatever order it comes in, without the root, without strangers, and without repetitions", async () => {
    const leaf = await ca.leaf(["www.example.com"]);
    const parts = [ca.rootPem, leaf.keyPem, stranger.intermediatePem, ca.intermediatePem, leaf.pem, ca.intermediatePem, stranger.rootPem];
    const expected = leaf.pem + ca.intermediatePem;
    for (let shift = 0; shift < parts.length; shift++) {
      const bundle = readBundle([...parts.slice(shift), ...parts.slice(0, shift)].join(""), Date.now());
      assert.equal(bundle.certificatePem, expected);
      assert.equal(bundle.privateKeyPem, leaf.keyPem);
      assert.deepEqual(bundle.notes, ["1 certificate that has nothing to do with it was left out"]);
    }
  });

  test("is searched for the certificate of the key, and of several for the one that lasts longest", async () => {
    const leaf = await ca.leaf(["www.example.com"]);
    const other = await ca.leaf(["other.example.com"], { notAfter: new Date(Date.now() + 10 * DAY_MS) });
    const both = ca.intermediatePem + other.pem + leaf.pem;
    assert.deepEqual(readBundle(both + other.keyPem, Date.now()).names, ["other.example.com"]);
    assert.deepEqual(readBundle(both + other.keyPem + leaf.keyPem, Date.now()).names, ["www.example.com"]);
    assert.throws(() => readBundle(both, Date.now()), refused(/no private key/));
  });

  test("may be signed by a root itself, or by nobody, and says so", async () => {
    const direct = await ca.leaf(["www.example.com"], { isDirect: true });
    assert.deepEqual(readBundle(direct.pem + ca.rootPem + direct.keyPem, Date.now()), {
      names: ["www.example.com"],
      certificatePem: direct.pem,
      privateKeyPem: direct.keyPem,
      notes: [],
    });
    assert.match(readBundle(direct.pem + direct.keyPem, Date.now()).notes.join(), /^no intermediate certificate came with it/);
  });

  test("gives its names in their canonical form, wildcards and addresses among them, and nothing that only looks like a name", async () => {
    const leaf = await ca.leaf([
      "WWW.Example.com",
      "*.example.com",
      "a_b.example.com",
      "w*.example.com",
      "*.*.example.com",
      'x", DNS:evil.example, "y',
      "x, DNS:evil.example, y",
      { type: "email", value: "ops@example.com" },
      { type: "ip", value: "192.0.2.1" },
      { type: "url", value: "https://evil.example, DNS:evil.example" },
    ]);
    const { names } = readBundle(leaf.pem + leaf.keyPem, Date.now());
    assert.deepEqual(names, ["www.example.com", "*.example.com", "192.0.2.1"]);
  });

  test("takes keys of RSA, in any form of PEM", async () => {
    const leaf = await ca.leaf(["www.example.com"], { rsaBits: 2048 });
    const pkcs1 = createPrivateKey(leaf.keyPem).export({ type: "pkcs1", format: "pem" }).toString();
    assert.equal(readBundle(leaf.pem + pkcs1, Date.now()).privateKeyPem, leaf.keyPem);
  });

  test("is refused where no client would take it", async () => {
    const nameless = await ca.leaf([]);
    assert.throws(() => readBundle(nameless.pem + nameless.keyPem, Date.now()), refused(/has no alternative name/));
    const weak = await ca.leaf(["www.example.com"], { rsaBits: 1024 });
    assert.throws(() => readBundle(weak.pem + weak.keyPem, Date.now()), refused(/TLS cannot use the certificate: .*key too small/));
    const leaf = await ca.leaf(["www.example.com"]);
    const whole = leaf.pem + leaf.keyPem;
    assert.throws(() => readBundle(whole, leaf.notAfter.getTime()), refused(/expired on/));
    assert.doesNotThrow(() => readBundle(whole, leaf.notAfter.getTime() - 1));
    assert.throws(() => readBundle("", Date.now()), refused(/there is no certificate/));
    assert.throws(() => readBundle(leaf.pem.repeat(51) + leaf.keyPem, Date.now()), refused(/51 certificates; 50 are the most/));
    assert.throws(
      () => readBundle(leaf.pem.replace(/\n[A-Za-z0-9+/]{20}/, "\nAAAAAAAAAAAAAAAAAAAA") + leaf.keyPem, Date.now()),
      refused(/cannot be read/),
    );
  });

  test("of nothing but beginnings is refused as fast as any other", () => {
    const startedMs = process.cpuUsage().user / 1000;
    assert.throws(() => readBundle("-----BEGIN CERTIFICATE-----\n".repeat(200_000), Date.now()), refused(/there is no certificate/));
    // By comparison: searched from each beginning to the end of the text, these took minutes.
    assert.ok(process.cpuUsage().user / 1000 - startedMs < 5000);
  });

  test("may be for later, and says from when", async () => {
    const notBefore = new Date(Math.ceil(Date.now() / 1000) * 1000 + DAY_MS);
    const leaf = await ca.leaf(["www.example.com"], { notBefore });
    const { notes } = readBundle(leaf.pem + ca.intermediatePem + leaf.keyPem, Date.now());
    assert.deepEqual(notes, [
      `it is not valid before ${new X509Certificate(leaf.pem).validFromDate.toISOString()}, and is not served until then`,
    ]);
  });
});
