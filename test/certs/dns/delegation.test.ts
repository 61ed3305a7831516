import assert from "node:assert/strict";
import { test } from "node:test";
import { delegationOf, formatDelegation, isChallengeLabel } from "../../../src/certs/dns/delegation.ts";

test("a name and its wildcard have the same record, and no other name has it", () => {
  const plain = delegationOf("example.com", "acme.example.net");
  assert.deepEqual(delegationOf("*.example.com", "acme.example.net"), plain);
  assert.deepEqual(delegationOf("_acme-challenge.example.com", "acme.example.net"), plain);
  assert.equal(plain.name, "_acme-challenge.example.com");
  assert.notEqual(delegationOf("www.example.com", "acme.example.net").label, plain.label);
});

test("a record is the same for ever, or owners would have to set it again", () => {
  // SHA-256 of "example.com", the first 20 bytes by coreutils: sha256sum, xxd, base32
  const record = delegationOf("example.com", "acme.example.net");
  assert.equal(formatDelegation(record), "_acme-challenge.example.com. CNAME un42n5xov642kxrxrqiyanhcoupgql5l.acme.example.net.");
});

test("only what is made so is a label", () => {
  assert.equal(isChallengeLabel(delegationOf("example.com", "z.example").label), true);
  for (const label of ["", "ns1", "A".repeat(32), "a".repeat(31), "a".repeat(33), `${"a".repeat(31)}1`])
    assert.equal(isChallengeLabel(label), false);
});
