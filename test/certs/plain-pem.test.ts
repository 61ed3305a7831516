// Files of certificates and keys as others write them: OpenSSL's PKCS #12 in old and new encryption, encrypted PEM, DER.

import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";

import { readBundle } from "../../src/certs/bundle.ts";
import { plainPem } from "../../src/certs/plain-pem.ts";
import { ProxyError } from "../../src/core/errors.ts";
import { TestAuthority, type TestCertificate } from "../support/test-authority.ts";

/** Of a file that pkcs12/make.sh made. */
function fixture(name: string): Buffer {
  return readFileSync(join(import.meta.dirname, "pkcs12", `${name}.p12`));
}

describe("PKCS #12", () => {
  for (const [name, password, names] of [
    ["modern-ec", "correct", ["ec.example", "*.ec.example"]],
    ["modern-rsa", "correct", ["rsa.example", "*.rsa.example"]],
    ["legacy-rsa", "correct", ["rsa.example", "*.rsa.example"]],
    ["unchecked", "correct", ["ec.example", "*.ec.example"]],
    ["umlaut", "schlüssel", ["ec.example", "*.ec.example"]],
    ["empty-password", "", ["ec.example", "*.ec.example"]],
    ["empty-password", null, ["ec.example", "*.ec.example"]],
  ] as const) {
    test(`${name} opens with ${password === null ? "no password" : `the password "${password}"`}, certificate and key as they were`, () => {
      const bundle = readBundle(plainPem(fixture(name), password), Date.now());
      assert.deepEqual(bundle.names, names);
      // Whose bytes have changed would not be signed by its issuer.
      const [leaf, root] = plainPem(fixture(name), password).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g) ?? [];
      if (root !== undefined) assert.ok(new X509Certificate(leaf!).verify(new X509Certificate(root).publicKey));
    });
  }

  for (const [name, password, reason] of [
    ["modern-ec", "wrong", /^the password does not open the file$/],
    ["legacy-rsa", "wrong", /^the password does not open the file$/],
    ["unchecked", "wrong", /^the password does not open the file$/],
    ["umlaut", "schlussel", /^the password does not open the file$/],
    ["umlaut", "schlüßel", /^the password does not open the file$/],
    ["modern-rsa", null, /^the file is encrypted; give its password with --password-file$/],
  ] as const) {
    test(`${name} does not open with ${password === null ? "no password" : `"${password}"`}, and that is what is said`, () => {
      assert.throws(() => plainPem(fixture(name), password), { code: "certificate_invalid", message: reason });
    });
  }

  test("that is damaged anywhere is refused, and never in another way", () => {
    const whole = fixture("modern-ec");
    for (let index = 0; index < whole.length; index += 29) {
      for (const damaged of [
        whole.subarray(0, index),
        Buffer.concat([whole.subarray(0, index), Buffer.of(whole[index]! ^ 0x55), whole.subarray(index + 1)]),
      ]) {
        try {
          plainPem(damaged, "correct");
        } catch (error) {
          assert.ok(error instanceof ProxyError && error.code === "certificate_invalid", `byte ${index}: ${error}`);
        }
      }
    }
  });
});

describe("PEM and DER", () => {
  let certificate: TestCertificate;
  before(async () => {
    certificate = await (await TestAuthority.create()).leaf(["www.example.com"]);
  });

  test("encrypted keys open with the password, and are told from those that are not", () => {
    const key = createPrivateKey(certificate.keyPem);
    const encrypted = key.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "correct" }).toString();
    const old = key.export({ type: "sec1", format: "pem", cipher: "aes-128-cbc", passphrase: "correct" }).toString();
    for (const text of [encrypted, old]) {
      assert.ok(text.includes("ENCRYPTED"));
      assert.equal(plainPem(Buffer.from(text), "correct"), certificate.keyPem);
      const failure = { code: "certificate_invalid" };
      assert.throws(() => plainPem(Buffer.from(text), "wrong"), { ...failure, message: "the password does not open the private key" });
      assert.throws(() => plainPem(Buffer.from(text), null), { ...failure, message: /is encrypted; give its password/ });
    }
    assert.equal(plainPem(Buffer.from(certificate.keyPem), "whatever"), certificate.keyPem);
  });

  test("a certificate in DER becomes PEM, and what stands around PEM is left out", () => {
    assert.equal(plainPem(new X509Certificate(certificate.pem).raw, null), certificate.pem);
    const dressed = `Bag Attributes\r\n  friendlyName: x\r\n${certificate.pem.replaceAll("\n", "\r\n")}-----BEGIN DH PARAMETERS-----\nAA==\n-----END DH PARAMETERS-----\n`;
    assert.equal(
      new X509Certificate(plainPem(Buffer.from(dressed), null)).fingerprint256,
      new X509Certificate(certificate.pem).fingerprint256,
    );
  });
});
