import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { canonicalHostname, isLoopback, parseAddress } from "../../src/config/address.ts";

test("host names come out lower case, without a trailing dot, in punycode", () => {
  const cases: [string, string][] = [
    ["EXAMPLE.com.", "example.com"],
    ["localhost", "localhost"],
    ["bücher.example", "xn--bcher-kva.example"],
    ["XN--BCHER-KVA.example", "xn--bcher-kva.example"],
    ["ﬀ.example", "ff.example"],
    ["1.example", "1.example"],
  ];
  for (const [written, canonical] of cases) assert.equal(canonicalHostname(written), canonical);
});

test("what is no host name is refused, and nothing in it is repaired", () => {
  const texts = [
    "",
    ".",
    "*.",
    "*.example",
    "a..b",
    "-a.b",
    "a-.b",
    "a_b.c",
    "a b",
    "a/b",
    "a:80",
    "a%2eb",
    "a@b",
    "a.*.b",
    "127.0.0.1",
    "0x7f.1",
    "[::1]",
    "a\nb",
  ];
  for (const text of [...texts, `${"a".repeat(64)}.x`, `${"a.".repeat(127)}aa`]) assert.equal(canonicalHostname(text), null, text);
});

test("the canonical form is stable", () => {
  const text = fc.oneof(fc.domain(), fc.string(), fc.string({ unit: "grapheme" }));
  fc.assert(
    fc.property(text, (value) => {
      const canonical = canonicalHostname(value);
      return canonical === null || canonicalHostname(canonical) === canonical;
    }),
  );
});

test("addresses are host and port, with brackets around IPv6", () => {
  assert.deepEqual(parseAddress("127.0.0.1:9000"), { host: "127.0.0.1", port: 9000 });
  assert.deepEqual(parseAddress("[::1]:0"), { host: "::1", port: 0 });
  assert.deepEqual(parseAddress("Db.Internal.:65535"), { host: "db.internal", port: 65_535 });
  for (const text of ["::1:80", "[127.0.0.1]:80", ":80", "host", "host:", "host:65536", "1.2.3:80", "a b:80", "http://a:80", "*.a:80"]) {
    assert.equal(parseAddress(text), null, text);
  }
});

test("loopback is the whole of 127.0.0.0/8, ::1 and localhost", () => {
  for (const host of ["127.0.0.1", "127.9.9.9", "::1", "localhost"]) assert.ok(isLoopback(host), host);
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.example", "localhost.example"]) assert.ok(!isLoopback(host), host);
});
