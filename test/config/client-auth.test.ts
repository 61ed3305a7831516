import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";

import { loadConfig } from "../../src/config/load.ts";
import { ClientAuthority } from "../support/client-certificates.ts";
import { HOST, linesOf, loadFiles, writeFiles } from "./files.ts";

const NODE = { "kittiwake.toml": 'region = "ams"' };
const APP = 'app = "a"\n[processes]\napp = "node ."\n[kittiwake.tls]\n';
const key = "kittiwake.tls";

const authority = await ClientAuthority.create();
const other = await ClientAuthority.create();
const alice = await authority.issue();
const crl = await authority.revoke([alice]);
after(() => {
  authority[Symbol.dispose]();
  other[Symbol.dispose]();
});

test("the files are read relative to the app's, which lists them as files of the configuration", (t) => {
  const files = { ...NODE, "apps/a.toml": `${APP}client_ca = "tls/ca.pem"\nclient_auth = "optional"\nclient_crl = "../crl.pem"` };
  const bundle = `Our two\n${authority.pem}and\n${other.pem}`;
  const cwd = writeFiles(t, { ...files, "apps/tls/ca.pem": bundle, "crl.pem": crl });
  const config = loadConfig("kittiwake.toml", { cwd, ...HOST });
  assert.deepEqual(linesOf(config), []);
  assert.ok(config.usable);
  const { id, ...rules } = config.apps[0]!.clientAuth!;
  assert.deepEqual(rules, { mode: "optional", ca: bundle, crl });
  assert.match(id, /^[\w-]{43}$/);
  assert.deepEqual(config.files.slice(-2), [join(cwd, "apps/tls/ca.pem"), join(cwd, "crl.pem")]);
});

test("rules are the same or not by what is in the files", (t) => {
  const idOf = (lines: string, files: Readonly<Record<string, string>>): string => {
    const config = loadFiles(t, { ...NODE, "apps/a.toml": APP + lines, "apps/ca.pem": authority.pem, ...files });
    assert.ok(config.usable);
    return config.apps[0]!.clientAuth!.id;
  };
  const first = idOf('client_ca = "ca.pem"', {});
  assert.equal(idOf('client_ca = "ca.pem"\nclient_auth = "required"', {}), first);
  const others = [
    idOf('client_ca = "ca.pem"\nclient_auth = "optional"', {}),
    idOf('client_ca = "ca.pem"', { "apps/ca.pem": other.pem }),
    idOf('client_ca = "ca.pem"\nclient_crl = "crl.pem"', { "apps/crl.pem": crl }),
  ];
  assert.equal(new Set([first, ...others]).size, 4);
});

test("what is no file of certificates, or of revocation lists, is reported with its line", (t) => {
  const damaged = authority.pem.replace(/\n.{20}/, "\nAAAAAAAAAAAAAAAAAAAA");
  const files = {
    "none.pem": "nothing\n",
    "key.pem": `${authority.pem}${alice.key}`,
    "damaged.pem": authority.pem + damaged,
    "ca.pem": authority.pem,
    "damaged-crl.pem": crl.replace(/\n.{20}/, "\nAAAAAAAAAAAAAAAAAAAA"),
  };
  const problems = (lines: string): string[] => {
    const apps = Object.fromEntries(Object.entries(files).map(([name, text]) => [`apps/${name}`, text]));
    return linesOf(loadFiles(t, { ...NODE, "apps/a.toml": APP + lines, ...apps }));
  };
  assert.deepEqual(problems('client_ca = "missing.pem"'), [`error apps/a.toml:5 ${key}.client_ca: there is no such file: "missing.pem"`]);
  assert.deepEqual(problems('client_ca = "none.pem"'), [`error apps/a.toml:5 ${key}.client_ca: expected certificates in PEM: "none.pem"`]);
  assert.deepEqual(problems('client_ca = "damaged.pem"'), [
    `error apps/a.toml:5 ${key}.client_ca: certificate 2 of 2 cannot be read: "damaged.pem"`,
  ]);
  assert.deepEqual(problems('client_ca = "key.pem"'), [
    `error apps/a.toml:5 ${key}.client_ca: expected certificates only, got a private key too, which must not be here: "key.pem"`,
  ]);
  assert.deepEqual(problems('client_ca = "ca.pem"\nclient_crl = "ca.pem"'), [
    `error apps/a.toml:6 ${key}.client_crl: expected revocation lists in PEM: "ca.pem"`,
  ]);
  assert.match(
    problems('client_ca = "ca.pem"\nclient_crl = "damaged-crl.pem"').join(),
    /client_crl: a revocation list cannot be read \(.+\)/,
  );
  assert.deepEqual(problems('client_ca = "ca.pem"\nclient_auth = "maybe"'), [
    `error apps/a.toml:6 ${key}.client_auth: expected "required" or "optional", got "maybe"`,
  ]);
});

test("rules without an issuer are a mistake, not rules that let everybody in", (t) => {
  const config = loadFiles(t, { ...NODE, "apps/a.toml": `${APP}client_auth = "required"\nclient_crl = "crl.pem"` });
  assert.deepEqual(linesOf(config), [
    `error apps/a.toml:5 ${key}.client_auth: client_ca is missing; name the file of those who issue the certificates`,
    `error apps/a.toml:6 ${key}.client_crl: client_ca is missing; revocation is only looked at with it`,
  ]);
});

test("a port where TLS does not end at the edge is warned of", (t) => {
  const ports =
    '[[services]]\nprotocol = "tcp"\ninternal_port = 8080\n[[services.ports]]\nport = 7000\n[[services.ports]]\nport = 7001\nhandlers = ["tls"]\n';
  const text = `app = "a"\n[processes]\napp = "node ."\n${ports}[kittiwake.tls]\nclient_ca = "ca.pem"`;
  const config = loadFiles(t, { ...NODE, "apps/a.toml": text, "apps/ca.pem": authority.pem });
  assert.deepEqual(linesOf(config), [
    "warning apps/a.toml:7 services[0].ports[0]: client_ca has no effect here, where TLS does not end at the edge: anybody can connect",
  ]);
});
