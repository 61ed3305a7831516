// `kittiwake certs dns` with a real resolver. Needs named (bind9).

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { delegationOf } from "../../src/certs/dns/delegation.ts";
import { startBind, WITHOUT_NAMED } from "../support/named.ts";
import { Directory, kittiwake } from "./command.ts";

const ZONE = "acme.example.net";

describe("kittiwake certs dns", { skip: WITHOUT_NAMED }, () => {
  test("prints the record that a name needs, whether it is set, and fails when it is not", async () => {
    const { target } = delegationOf("shop.test", ZONE);
    await using named = await startBind({ "shop.test": { records: [`_acme-challenge CNAME ${target}.`] } });
    using directory = new Directory();
    const resolvers = `resolvers = ["127.0.0.1:${named.address.port}"]`;
    write(directory, `[tls.acme.dns]\nzone = "${ZONE}"\nname_servers = { "ns.example.com" = [] }\n${resolvers}\n`);

    const set = await kittiwake(["certs", "dns", "*.shop.test"], directory.path);
    assert.deepEqual([set.code, set.stderr], [0, ""]);
    assert.match(
      set.stdout,
      new RegExp(`^NAME +RECORD +STATE\\n\\*\\.shop\\.test +_acme-challenge\\.shop\\.test\\. CNAME ${target}\\. +set\\n$`),
    );

    const missing = await kittiwake(["certs", "dns", "SHOP.test", "www.shop.test", "--json"], directory.path);
    assert.equal(missing.code, 1);
    const rows = JSON.parse(missing.stdout) as { name: string; problem: string | null }[];
    assert.deepEqual(rows[0], { name: "shop.test", record: { name: "_acme-challenge.shop.test", type: "CNAME", target }, problem: null });
    assert.match(rows[1]!.problem ?? "", /^there is no CNAME record at "_acme-challenge\.www\.shop\.test"; set _acme-challenge\.www/);
  });
});

test("kittiwake certs dns without names is about every wildcard that an app declares", async () => {
  using directory = new Directory();
  writeFileSync(join(directory.path, "tsig.secret"), `${Buffer.alloc(32).toString("base64")}\n`);
  write(directory, '[tls.acme.rfc2136]\nserver = "127.0.0.1:53"\nkey = "k"\nsecret_file = "tsig.secret"\n');
  mkdirSync(join(directory.path, "apps"));
  const app = join(directory.path, "apps/shop.toml");
  writeFileSync(app, 'app = "shop"\n[processes]\napp = "true"\n[kittiwake]\nhostnames = ["*.shop.test", "www.shop.test", "*.shop.org"]\n');
  const printed = await kittiwake(["certs", "dns", "--json"], directory.path);
  assert.deepEqual([printed.code, printed.stderr], [0, ""]);
  assert.deepEqual(
    (JSON.parse(printed.stdout) as { name: string }[]).map(({ name }) => name),
    ["*.shop.test", "*.shop.org"],
  );
  writeFileSync(app, "app = 3\n");
  assert.equal((await kittiwake(["certs", "dns"], directory.path)).code, 2);
});

test("kittiwake certs dns has nothing to print where names are set by dynamic updates", async () => {
  using directory = new Directory();
  writeFileSync(join(directory.path, "tsig.secret"), `${Buffer.alloc(32).toString("base64")}\n`);
  const updates = '[tls.acme.rfc2136]\nserver = "127.0.0.1:53"\nkey = "k"\nsecret_file = "tsig.secret"\nzone = "shop.test"\n';
  write(directory, updates);
  const printed = await kittiwake(["certs", "dns", "*.shop.test", "shop.org"], directory.path);
  assert.equal(printed.code, 1);
  assert.match(printed.stdout, /^\*\.shop\.test +- +nothing to set: dynamic updates do it$/m);
  assert.match(printed.stdout, /^shop\.org +- +not in the zone of \[tls\.acme\.rfc2136\], and there is no \[tls\.acme\.dns\]$/m);
});

test("kittiwake certs dns says what is missing in a configuration without DNS-01", async () => {
  using directory = new Directory();
  write(directory, "");
  const printed = await kittiwake(["certs", "dns", "shop.test"], directory.path);
  assert.equal(printed.code, 2);
  assert.match(printed.stderr, /has no way to answer DNS-01/);
  assert.equal((await kittiwake(["certs", "dns", "no name"], directory.path)).code, 2);
});

function write({ path }: Directory, tables: string): void {
  writeFileSync(join(path, "kittiwake.toml"), `region = "ams"\n[tls]\nissuer = "acme"\n${tables}`);
}
