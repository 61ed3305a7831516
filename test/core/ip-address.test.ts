// Addresses and sets of them, beside Node's own reading.

import assert from "node:assert/strict";
import { BlockList, isIP } from "node:net";
import { test } from "node:test";

import fc from "fast-check";

import { AddressSet } from "../../src/core/address-set.ts";
import { IP_WORDS, parseIp } from "../../src/core/ip-address.ts";
import { fuzzParameters } from "../http/seed.ts";

const parameters = fuzzParameters(2000);
const ipv6Words = fc.array(fc.constantFrom(0, 0, 1, 0xffff, 0x2001, 0xdb8), { minLength: 8, maxLength: 8 });
const ipv6 = ipv6Words.map((groups) => new URL(`http://[${groups.map((group) => group.toString(16)).join(":")}]`).hostname.slice(1, -1));
const nearlyAddress = fc.string({ unit: fc.constantFrom("0", "1", "9", "25", "f", ":", "::", ".", "1.2.3.4", "ffff"), maxLength: 12 });

function wordsOf(text: string): [family: number | null, words: number[]] {
  const words = new Uint32Array(IP_WORDS);
  return [parseIp(text, words), [...words]];
}

test("what is an address is what Node takes for one", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), ipv6, nearlyAddress), (text) => {
      assert.equal(wordsOf(text)[0] !== null, isIP(text) !== 0, text);
    }),
    parameters,
  );
});

test("an address is the numbers that it says", () => {
  assert.deepEqual(wordsOf("203.0.113.9"), [4, [0, 0, 0xffff, 0xcb007109]]);
  assert.deepEqual(wordsOf("::ffff:203.0.113.9"), [4, [0, 0, 0xffff, 0xcb007109]]);
  assert.deepEqual(wordsOf("2001:db8::a:b:c:d:e"), [6, [0x20010db8, 0xa, 0xb000c, 0xd000e]]);
  assert.deepEqual(wordsOf("64:ff9b::192.0.2.1"), [6, [0x64ff9b, 0, 0, 0xc0000201]]);
  assert.deepEqual(wordsOf("::"), [6, [0, 0, 0, 0]]);
  assert.deepEqual(wordsOf("fe80::1%eth0"), [6, [0xfe800000, 0, 0, 1]]);
  for (const text of ["", "1.2.3", "1.2.3.04", "1.2.3.256", "1.2.3.4.5", "1.2.3.4:80", ":1::", "1::2::3", "1:2:3:4:5:6:7:8:9", "1:"])
    assert.equal(wordsOf(text)[0], null, text);
});

test("a set has the addresses of its blocks, whatever their order and overlap, and no other", () => {
  const block = fc.oneof(
    fc.tuple(fc.constantFrom("10.0.0.0", "10.1.2.3", "192.0.2.77", "203.0.113.9"), fc.integer({ min: 0, max: 32 })),
    fc.tuple(fc.constantFrom("2001:db8::", "2001:db8::1:0:0:1", "fe80::1"), fc.integer({ min: 0, max: 128 })),
  );
  const asked = fc.oneof(fc.ipV4(), ipv6, fc.constantFrom("10.1.2.3", "10.1.2.4", "10.2.0.1", "192.0.2.1", "2001:db8::2", "fe80::2"));
  fc.assert(
    fc.property(fc.array(block, { maxLength: 6 }), asked, (blocks, ip) => {
      const oracle = new BlockList();
      const family = isIP(ip) === 4 ? "ipv4" : "ipv6";
      fc.pre(family === "ipv4" || wordsOf(ip)[0] === 6);
      // Unlike the oracle, a block of IPv6 has no address of IPv4 here.
      for (const [address, prefix] of blocks) if (address.includes(":") === ip.includes(":")) oracle.addSubnet(address, prefix, family);
      assert.equal(new AddressSet(blocks.map(([address, prefix]) => `${address}/${prefix}`)).has(ip), oracle.check(ip, family), ip);
    }),
    parameters,
  );
  assert.equal(new AddressSet(["10.0.0.0/8"]).has("::ffff:10.1.2.3"), true);
  assert.equal(new AddressSet(["::/0"]).has("10.1.2.3"), false);
  assert.equal(new AddressSet(["2001:db8::7"]).has("2001:db8::8"), false);
  assert.equal(new AddressSet([]).has("2001:db8::8"), false);
});
