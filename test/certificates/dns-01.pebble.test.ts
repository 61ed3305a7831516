// Wildcards for nodes with a real authority, by DNS-01: named is the DNS of the world, and Pebble asks it. Needs pebble and named (bind9).

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connect } from "node:tls";
import { delegationOf } from "../../src/certs/dns/delegation.ts";
import { ScratchDirectory } from "../certs/fixtures.ts";
import { askUdp, queryOf } from "../dns/client.ts";
import { staticApp } from "../support/backend.ts";
import { freeDnsPort } from "../support/dns-port.ts";
import { newKey, startBind, WITHOUT_NAMED } from "../support/named.ts";
import { startTestNode, type TestNode, type TestNodeOptions } from "../support/node.ts";
import { noPebble, Pebble } from "../support/pebble.ts";

const ZONE = "acme.example.net";
const NO_MACHINE = 9;
const APP = staticApp("shop", NO_MACHINE).replace("[kittiwake]", '[kittiwake]\nhostnames = ["*.shop.test", "shop.test"]');

describe("a node that answers DNS-01", { skip: noPebble !== false ? noPebble : WITHOUT_NAMED }, () => {
  test("has a certificate for a wildcard by its own DNS server, whichever node is asked", async () => {
    using scratch = new ScratchDirectory();
    const ports = [await freeDnsPort(), await freeDnsPort()];
    const { target } = delegationOf("shop.test", ZONE);
    await using named = await startBind({
      "shop.test": { records: [`_acme-challenge CNAME ${target}.`] },
      // Only the second node is asked.
      [ZONE]: { forwardTo: { host: "127.0.0.1", port: ports[1]! } },
    });
    await using pebble = await Pebble.start({ resolver: named.address });
    const shared = { secret: randomBytes(32).toString("base64") };
    const state = `[state]\npath = "${join(scratch.path, "state.db")}"`;
    const zone = (port: number): string => `[tls.acme.dns]
zone = "${ZONE}"
name_servers = { "ns.${ZONE}" = ["192.0.2.1"] }
listen = ["127.0.0.1:${port}"]
resolvers = ["127.0.0.1:${named.address.port}"]`;
    await using second = await startNode(pebble, { ...shared, name: "two", apps: {}, tables: `${zone(ports[1]!)}\n${state}` });
    await using first = await startNode(pebble, { ...shared, name: "one", apps: { shop: APP }, tables: `${zone(ports[0]!)}\n${state}` });

    const root = await pebble.root();
    assert.deepEqual(await namesServed(first, "www.shop.test", root), "DNS:*.shop.test");
    assert.deepEqual(await namesServed(first, "shop.test", root), "DNS:shop.test");
    assert.match(await metricsOf(second), /^kittiwake_dns_messages_total\{[^}]*result="noerror"[^}]*\} [1-9]/m);
    const after = await askUdp({ host: "127.0.0.1", port: ports[1]! }, queryOf(target));
    assert.equal(after.rcode, "NXDOMAIN", "nothing is left behind");
  });

  test("has a certificate for a wildcard by dynamic updates of its zone", async () => {
    using scratch = new ScratchDirectory();
    const key = newKey("kittiwake");
    const policy = `update-policy { grant ${key.name} zonesub TXT; };`;
    await using named = await startBind({ "shop.test": { policy } }, [key]);
    await using pebble = await Pebble.start({ resolver: named.address });
    const secret = join(scratch.path, "tsig.secret");
    writeFileSync(secret, key.secret.toString("base64"));
    const tables = `[tls.acme.rfc2136]
server = "127.0.0.1:${named.address.port}"
key = "${key.name}"
secret_file = "${secret}"
name_servers = ["127.0.0.1:${named.address.port}"]`;
    await using node = await startNode(pebble, { apps: { shop: APP }, tables });
    const root = await pebble.root();
    assert.deepEqual(await namesServed(node, "www.shop.test", root), "DNS:*.shop.test");
    assert.deepEqual(await namesServed(node, "shop.test", root), "DNS:shop.test");
    const after = await askUdp(named.address, queryOf("_acme-challenge.shop.test"));
    assert.equal(after.rcode, "NXDOMAIN", "nothing is left behind");
  });
});

async function startNode({ directory, caFile }: Pebble, options: TestNodeOptions): Promise<TestNode> {
  const acme = `[tls]\nissuer = "acme"\n[tls.acme]\ndirectory = "${directory}"\nca_file = "${caFile}"\nchallenges = ["dns-01"]`;
  return await startTestNode({ ...options, tables: `${acme}\n${options.tables ?? ""}` });
}

/** Those of the certificate that a client is shown which trusts only this root. */
async function namesServed(node: TestNode, servername: string, ca: string): Promise<string | undefined> {
  const socket = connect({ port: node.httpsPort, host: "127.0.0.1", servername, ca });
  await once(socket, "secureConnect");
  const { subjectAltName } = socket.getPeerX509Certificate()!;
  socket.destroy();
  return subjectAltName;
}

async function metricsOf({ adminUrl }: TestNode): Promise<string> {
  return await (await fetch(`${adminUrl}/metrics`)).text();
}
