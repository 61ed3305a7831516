// One spelling a name, whatever a client sends.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { canonicalServerName } from "../../src/certs/server-name.ts";

const seed = Number(process.env["FC_SEED"] ?? Date.now());

test("names are lower case and without their last dot", () => {
  assert.equal(canonicalServerName("Hello.Example.COM."), "hello.example.com");
  assert.equal(canonicalServerName("localhost"), "localhost");
  assert.equal(canonicalServerName("xn--mnchen-3ya.example"), "xn--mnchen-3ya.example");
});

test("IP addresses pass, without a zone", () => {
  assert.equal(canonicalServerName("192.0.2.1"), "192.0.2.1");
  assert.equal(canonicalServerName("2001:DB8::1"), "2001:db8::1");
  assert.equal(canonicalServerName("fe80::1%eth0"), null);
});

test("what is no host name is none", () => {
  const notNames = [
    "",
    ".",
    "..",
    "a..b",
    ".a",
    "a..",
    "-a.b",
    "a-.b",
    "a_b.c",
    "*.a.b",
    "a b",
    "a\0.b",
    "a.b\0",
    "ä.b",
    "[::1]",
    "a:80",
    "a/b",
  ];
  for (const name of notNames) assert.equal(canonicalServerName(name), null, JSON.stringify(name));
});

test("a label has at most 63 characters, a name 253", () => {
  const label = "a".repeat(63);
  assert.equal(canonicalServerName(`${label}.example`), `${label}.example`);
  assert.equal(canonicalServerName(`${label}a.example`), null);
  const name = `${label}.${label}.${label}.${"a".repeat(61)}`;
  assert.equal(canonicalServerName(name), name);
  assert.equal(canonicalServerName(`${name}a`), null);
});

test(`a canonical name is its own canonical name, and holds nothing but letters, digits, dots and hyphens (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.oneof(fc.domain(), fc.string(), fc.ipV4(), fc.ipV6()), (name) => {
      const canonical = canonicalServerName(name);
      if (canonical === null) return;
      assert.match(canonical, /^[a-z0-9.:-]+$/);
      assert.equal(canonicalServerName(canonical), canonical);
      assert.equal(canonicalServerName(canonical.toUpperCase()), canonical);
    }),
    { seed, numRuns: 2000 },
  );
});
