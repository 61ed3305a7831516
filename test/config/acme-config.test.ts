import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { AcmeConfig } from "../../src/config/acme-config.ts";
import { createRoot } from "../../src/certs/sign.ts";
import { linesOf, loadFiles } from "./files.ts";

const HMAC = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
const ROOT = (await createRoot({ notBefore: new Date(), notAfter: new Date(Date.now() + 86_400_000) })).certificatePem;

function load(t: TestContext, lines: readonly string[], files: Readonly<Record<string, string>> = {}, environment = {}) {
  const text = ['region = "ams"', "apps = []", '[tls]\nissuer = "acme"', "[tls.acme]", ...lines].join("\n");
  const config = loadFiles(t, { "kittiwake.toml": text, ...files }, { environment });
  return { config, problems: linesOf(config) };
}

function acmeOf(
  t: TestContext,
  ...given: [readonly string[], Readonly<Record<string, string>>?, Readonly<Record<string, string>>?]
): AcmeConfig {
  const { config, problems } = load(t, ...given);
  assert.deepEqual(problems, []);
  assert.ok(config.usable && config.node.tls.issuer === "acme");
  return config.node.tls;
}

test("a root of the authority must be a file with a certificate that can sign others", (t) => {
  assert.match(acmeOf(t, ['ca_file = "root.pem"'], { "root.pem": ROOT }).caFile!, /\/root\.pem$/);
  assert.deepEqual(load(t, ['ca_file = "root.pem"']).problems, [
    'error kittiwake.toml:6 tls.acme.ca_file: there is no such file: "root.pem"',
  ]);
  assert.deepEqual(load(t, ['ca_file = "root.pem"'], { "root.pem": "no root" }).problems, [
    'error kittiwake.toml:6 tls.acme.ca_file: expected a certificate in PEM in "root.pem"',
  ]);
});

test("the key of an external account comes from a file or from the environment, and both parts are needed", (t) => {
  const account = { kid: "kid-1", hmacKey: HMAC };
  const files = { "eab.hmac": `${HMAC}\n` };
  assert.deepEqual(acmeOf(t, ['eab_kid = "kid-1"', 'eab_hmac_file = "eab.hmac"'], files).externalAccount, account);
  assert.deepEqual(acmeOf(t, ['eab_kid = "kid-1"'], {}, { KITTIWAKE_EAB_HMAC: HMAC }).externalAccount, account);
  assert.equal(acmeOf(t, [], {}, { KITTIWAKE_EAB_HMAC: HMAC }).externalAccount, null);

  assert.deepEqual(load(t, ['eab_kid = "kid-1"']).problems, [
    "error kittiwake.toml:5 tls.acme.eab_hmac_file: missing; eab_kid needs its key, in this file or in KITTIWAKE_EAB_HMAC",
  ]);
  assert.deepEqual(load(t, ['eab_hmac_file = "eab.hmac"'], files).problems, [
    "error kittiwake.toml:5 tls.acme.eab_kid: missing; eab_hmac_file is of no use without it",
  ]);
});

test("a key that is none is refused without being shown", (t) => {
  const inFile = load(t, ['eab_kid = "kid-1"', 'eab_hmac_file = "eab.hmac"'], { "eab.hmac": "not a key!" }).problems;
  assert.deepEqual(inFile, ['error kittiwake.toml:7 tls.acme.eab_hmac_file: expected a key in Base64url in "eab.hmac"']);
  const inEnvironment = load(t, ['eab_kid = "kid-1"'], {}, { KITTIWAKE_EAB_HMAC: "not a key!" }).problems;
  assert.deepEqual(inEnvironment, ["error kittiwake.toml:6 tls.acme.eab_kid: expected a key in Base64url in KITTIWAKE_EAB_HMAC"]);
});

test("an authority without https is warned of, unless it is on this machine", (t) => {
  const { problems } = load(t, ['directory = "http://ca.example.com/dir"', 'staging_directory = "http://127.0.0.1:14000/dir"']);
  assert.deepEqual(problems, [
    "warning kittiwake.toml:6 tls.acme.directory: whoever is on the way to an authority without https can have certificates for your names",
  ]);
});

test("the weekly limit of new names is that of Let's Encrypt where nothing else is said", (t) => {
  assert.equal(acmeOf(t, []).newNamesPerWeek, 50);
  assert.equal(acmeOf(t, ['directory = "https://ca.example.com/dir"']).newNamesPerWeek, 0);
  assert.equal(acmeOf(t, ["new_names_per_week = 7"]).newNamesPerWeek, 7);
});

test("a wildcard without DNS-01 is warned of", (t) => {
  const app = '\napp = "a"\n[kittiwake]\nhostnames = ["*.example.com"]\n[[kittiwake.machines]]\naddress = "127.0.0.1:9"';
  const node = 'region = "ams"\n[tls]\nissuer = "acme"\n';
  const linesWith = (more: string): string[] => linesOf(loadFiles(t, { "kittiwake.toml": node + more, "apps/a.toml": app }));
  const warning =
    "warning apps/a.toml:4 kittiwake.hostnames[0]: an authority gives certificates for wildcards by dns-01 alone; " +
    "configure [tls.acme.dns] or [tls.acme.rfc2136], or import one";
  const zone = '[tls.acme.dns]\nzone = "acme.example.net"\nname_servers = { "ns.example.com" = [] }';
  assert.deepEqual(linesWith(""), [warning]);
  assert.deepEqual(linesWith(zone), []);
  assert.deepEqual(linesWith(`[tls.acme]\nchallenges = ["http-01"]\n${zone}`), [warning]);
});

test("the staging directory is another one", (t) => {
  const { problems } = load(t, ['staging_directory = "https://acme-v02.api.letsencrypt.org/directory"']);
  assert.deepEqual(problems, ["error kittiwake.toml:6 tls.acme.staging_directory: expected another one than directory"]);
});

test("a mail address that could be two, or part of a header, is none", (t) => {
  for (const email of ["a", "a@b@c", "a@b,c@d", "a@b?cc=c@d", "a b@c"]) {
    assert.deepEqual(load(t, [`email = "${email}"`]).problems, [
      `error kittiwake.toml:6 tls.acme.email: expected a mail address, got "${email}"`,
    ]);
  }
});
