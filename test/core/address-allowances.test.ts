// So many of something for each client's address.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressAllowances } from "../../src/core/address-allowances.ts";

const isSame = (one: string, other: string): boolean => {
  const allowances = new AddressAllowances(1, 1);
  return allowances.of(one, 0) === allowances.of(other, 0);
};

test("connections from one address share an allowance, others have their own", () => {
  assert.equal(isSame("192.0.2.1", "192.0.2.1"), true);
  assert.equal(isSame("192.0.2.1", "192.0.2.2"), false);
});

test("IPv6 addresses of one network of 64 bits count as one", () => {
  assert.equal(isSame("2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6"), true);
  assert.equal(isSame("2001:db8::1", "2001:db8:0:0:9::"), true);
  assert.equal(isSame("2001:db8:1:2::1", "2001:db8:1:3::1"), false);
  assert.equal(isSame("::1", "::2"), true);
  assert.equal(isSame("2001::1:2:3:4:5", "2001::2:2:3:4:5"), false);
  assert.equal(isSame("2001:db8::2:3:4:5:6", "2001:0db8:0:2::1"), true);
});

test("IPv4 addresses that a socket of IPv6 was asked from have their own", () => {
  assert.equal(isSame("::ffff:192.0.2.1", "192.0.2.1"), true);
  assert.equal(isSame("::ffff:192.0.2.1", "::ffff:192.0.2.2"), false);
});
