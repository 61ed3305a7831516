import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TYPE, Zone } from "../../src/dns/zone.ts";

const zone = new Zone({
  name: "acme.example.net",
  nameServers: { "ns1.acme.example.net": ["192.0.2.1", "2001:db8::1"], "b.deep.acme.example.net": ["192.0.2.2"], "ns.example.com": [] },
});

describe("a zone", () => {
  test("has SOA and NS records at its apex, and says of other types that there are none", () => {
    assert.deepEqual(typesAt("acme.example.net", TYPE.SOA), ["SOA"]);
    assert.deepEqual(
      answerTo("acme.example.net", TYPE.NS).answers.map((record) => "data" in record && record.data),
      ["ns1.acme.example.net", "b.deep.acme.example.net", "ns.example.com"],
    );
    assertAbsent("acme.example.net", TYPE.TXT, "NOERROR");
    assertAbsent("acme.example.net", TYPE.A, "NOERROR");
  });

  test("has the addresses of the servers within it", () => {
    assert.deepEqual(typesAt("ns1.acme.example.net", TYPE.A), ["A"]);
    assert.deepEqual(typesAt("ns1.acme.example.net", TYPE.AAAA), ["AAAA"]);
    assertAbsent("ns1.acme.example.net", TYPE.TXT, "NOERROR");
    assertAbsent("b.deep.acme.example.net", TYPE.AAAA, "NOERROR");
  });

  test("tells a name that has no records, but names below it, from one that does not exist", () => {
    assertAbsent("deep.acme.example.net", TYPE.A, "NOERROR");
    assertAbsent("other.acme.example.net", TYPE.A, "NXDOMAIN");
    assertAbsent("x.ns1.acme.example.net", TYPE.A, "NXDOMAIN");
  });

  test("has the values at a label, also under the type of everything, where it gives something small instead", () => {
    const labels = ["label", "acme", "example", "net"];
    const found = zone.answer(labels, TYPE.TXT, 1, ["one", "two"]);
    assert.deepEqual([found.rcode, found.answers.map((record) => "data" in record && String(record.data))], ["NOERROR", ["one", "two"]]);
    assert.deepEqual(
      zone.answer(labels, TYPE.ANY, 1, ["one", "two"]).answers.map(({ type }) => type),
      ["HINFO"],
    );
    assert.equal(zone.answer(labels, TYPE.A, 1, ["one"]).rcode, "NOERROR");
    assert.deepEqual(zone.answer(labels, TYPE.A, 1, ["one"]).answers, []);
    assert.equal(zone.answer(labels, TYPE.TXT, 1, []).rcode, "NXDOMAIN");
  });

  test("refuses other zones, those above it, other classes, and transfers", () => {
    for (const name of ["example.net", "example.com", "net", "xacme.example.net", "acme.example.net.evil"]) {
      assert.equal(answerTo(name, TYPE.TXT).rcode, "REFUSED", name);
      assert.equal(answerTo(name, TYPE.TXT).isAuthoritative, false, name);
    }
    assert.equal(zone.answer([], TYPE.NS, 1, []).rcode, "REFUSED");
    assert.equal(zone.answer("acme.example.net".split("."), TYPE.SOA, 3, []).rcode, "REFUSED");
    for (const type of [251, 252, TYPE.OPT]) assert.equal(answerTo("acme.example.net", type).rcode, "REFUSED", `type ${type}`);
  });

  test("looks for records at one label below the apex alone, and at no strange one", () => {
    const label = (...labels: string[]) => zone.challengeLabel([...labels, "acme", "example", "net"]);
    assert.equal(label("abc"), "abc");
    assert.equal(label(), null);
    assert.equal(label("x", "abc"), null);
    assert.equal(label("ns1"), null);
    assert.equal(label("a.b"), null);
    assert.equal(label("a/b"), null);
    assert.equal(zone.challengeLabel(["abc", "example", "com"]), null);
  });
});

function answerTo(name: string, type: number) {
  return zone.answer(name.split("."), type, 1, []);
}

function typesAt(name: string, type: number): string[] {
  const { rcode, isAuthoritative, answers } = answerTo(name, type);
  assert.deepEqual([rcode, isAuthoritative], ["NOERROR", true]);
  return answers.map((record) => record.type);
}

/** With the SOA record that a resolver needs to remember it. */
function assertAbsent(name: string, type: number, rcode: string): void {
  const found = answerTo(name, type);
  assert.deepEqual([found.rcode, found.isAuthoritative, found.answers], [rcode, true, []], name);
  assert.deepEqual(
    found.authorities.map((record) => [record.type, record.name]),
    [["SOA", "acme.example.net"]],
  );
}
