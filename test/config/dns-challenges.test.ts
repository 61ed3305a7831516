// [tls.acme.dns] and [tls.acme.rfc2136].

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { DnsChallenges } from "../../src/config/dns-challenges.ts";
import { linesOf, loadFiles } from "./files.ts";

const SECRET = Buffer.alloc(32, 1).toString("base64");
const ZONE =
  '[tls.acme.dns]\nzone = "ACME.example.net."\nname_servers = { "ns1.acme.example.net" = ["192.0.2.1"], "ns.example.com" = [] }\n';
const UPDATES = '[tls.acme.rfc2136]\nserver = "192.0.2.53:53"\nkey = "Kittiwake."\nsecret_file = "tsig.secret"\n';

test("a zone of our own has its servers, and is answered on port 53", (t) => {
  assert.deepEqual(load(t, ZONE), {
    ownZone: {
      zone: "acme.example.net",
      nameServers: { "ns1.acme.example.net": ["192.0.2.1"], "ns.example.com": [] },
      listen: [
        { host: "0.0.0.0", port: 53 },
        { host: "::", port: 53 },
      ],
      resolvers: [],
    },
    updates: null,
  });
});

test("dynamic updates are signed with the secret in a file", (t) => {
  assert.deepEqual(load(t, UPDATES), {
    ownZone: null,
    updates: {
      server: { host: "192.0.2.53", port: 53 },
      key: { name: "kittiwake", algorithm: "hmac-sha256", secret: Buffer.alloc(32, 1) },
      zone: null,
      ttlS: 0,
      nameServers: [],
      propagationMs: 60_000,
    },
  });
});

test("both ways go together when it is said which names are updated", (t) => {
  const { ownZone, updates } = load(t, `${ZONE}${UPDATES}zone = "example.com"\n`);
  assert.deepEqual([ownZone?.zone, updates?.zone], ["acme.example.net", "example.com"]);
  assertError(t, ZONE + UPDATES, /tls\.acme\.rfc2136\.zone: missing; with \[tls\.acme\.dns\] too/);
});

test("a zone has servers, with addresses where only we can give them", (t) => {
  const zone = '[tls.acme.dns]\nzone = "a.example.net"\n';
  assertError(t, `${zone}name_servers = {}`, /name_servers: expected at least one name/);
  assertError(t, `${zone}name_servers = { "ns.a.example.net" = [] }`, /expected its addresses, as the name is in the zone/);
  assertError(t, `${zone}name_servers = { "ns.example.net" = ["192.0.2.1"] }`, /expected an empty list, as the name is not in the zone/);
  assertError(t, `${zone}name_servers = { "ns.a.example.net" = ["ns"] }`, /expected an IP address/);
  assertError(t, `${ZONE}listen = ["localhost:53"]`, /listen\[0\]: expected an IP address with a port, got "localhost"/);
  assertError(t, `${ZONE}resolvers = ["dns.example.com:53"]`, /resolvers\[0\]: expected an IP address with a port/);
});

test("a secret is Base64, long enough, and never in a message", (t) => {
  assertError(t, UPDATES.replace("tsig.secret", "none"), /secret_file: there is no such file: "none"/);
  for (const secret of ["short", "not base64 at all, but long enough", SECRET.slice(0, -1)]) {
    const lines = assertError(t, UPDATES, /secret_file: expected at least 16 bytes in Base64/, secret);
    assert.ok(!lines.includes(secret));
  }
});

function load(t: TestContext, tables: string): DnsChallenges {
  const config = loadFiles(t, files(tables));
  assert.ok(config.usable, linesOf(config).join("\n"));
  assert.ok(config.node.tls.issuer === "acme");
  return config.node.tls.dns;
}

function assertError(t: TestContext, tables: string, message: RegExp, secret = SECRET): string {
  const config = loadFiles(t, files(tables, secret));
  const lines = linesOf(config).join("\n");
  assert.equal(config.usable, false, tables);
  assert.match(lines, message);
  return lines;
}

function files(tables: string, secret = SECRET) {
  return { "kittiwake.toml": `region = "ams"\n[tls]\nissuer = "acme"\n${tables}`, "tsig.secret": `${secret}\n` };
}
