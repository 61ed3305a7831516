// Strict-Transport-Security: told only where a browser could hold the node to it, and where the app has not said something itself.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:tls";
import { Directory, kittiwake } from "../cli/command.ts";
import { staticApp } from "../support/backend.ts";
import { rootOf, startEdge } from "../support/edge.ts";
import { responseOf } from "../support/http2-client.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";
import { TestAuthority, type TestCertificate } from "../support/test-authority.ts";

const TOKEN = "0123456789abcdef";
const HSTS = "strict-transport-security";
const ca = await TestAuthority.create();
const backend = await ScriptedBackend.start();

function app(name: string, hsts: string, names: readonly string[], options = ""): string {
  return `${staticApp(name, backend.port)
    .replace("[kittiwake]", `[kittiwake]\nhostnames = ${JSON.stringify(names)}`)
    .replace("internal_port", `${options}\ninternal_port`)}\n[kittiwake.hsts]\n${hsts}`;
}

const pinned = 'http_options = { response = { headers = { strict-transport-security = "max-age=7" } } }';
const APPS = {
  growing: app("growing", 'max_age = "auto"', ["growing.example", "below.growing.example"]),
  fixed: app("fixed", "max_age = 31536000\ninclude_subdomains = true", ["fixed.example", "self-signed.example", "*.wild.example"]),
  changed: app("changed", 'max_age = "auto"', ["changed.example"], pinned),
  silent: app("silent", "", ["silent.example"]),
};
const edge = await startEdge({ apps: APPS, admin: `token = "${TOKEN}"` });
after(async () => {
  await edge[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
});

async function importCertificate({ keyPem, pem }: Pick<TestCertificate, "keyPem" | "pem">, more = ca.intermediatePem): Promise<void> {
  const path = join(edge.test.dir, "import.pem");
  writeFileSync(path, keyPem + pem + more);
  using directory = new Directory();
  const line = ["--admin", edge.test.adminUrl, "certs", "import", path];
  const { code, stderr } = await kittiwake(line, directory.path, { KITTIWAKE_TOKEN: TOKEN });
  assert.equal(code, 0, stderr);
}

const roots = [ca.rootPem, rootOf(edge.test)];
const names = ["growing.example", "fixed.example", "*.wild.example", "changed.example", "silent.example"];
await importCertificate(await ca.leaf(names));

/** What a response over HTTPS says. */
async function told(host: string, trusted: readonly string[] = roots): Promise<string | null> {
  const options = { ca: [...trusted], servername: host, checkServerIdentity: () => undefined };
  using client = await RawClient.connectTls(edge.test.httpsPort, options);
  return (await client.send(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`).response()).header(HSTS);
}

test("an app that asks for it has it in its responses, over HTTP/1.1 and HTTP/2", async () => {
  assert.equal(await told("growing.example"), "max-age=300");
  assert.equal(await told("fixed.example"), "max-age=31536000; includeSubDomains");
  assert.equal(await told("any.wild.example"), "max-age=31536000; includeSubDomains");
  const session = connectHttp2("https://growing.example", {
    createConnection: () =>
      connect({ port: edge.test.httpsPort, host: "127.0.0.1", ca: roots, servername: "growing.example", ALPNProtocols: ["h2"] }),
  });
  session.on("error", () => {});
  const { headers } = await responseOf(session.request({ ":authority": "growing.example" }));
  assert.equal(headers[HSTS], "max-age=300");
  session.destroy();
});

test("an app that does not ask has none", async () => {
  assert.equal(await told("silent.example"), null);
});

test("there is none with a certificate of the local CA, whatever the app asks for", async () => {
  assert.equal(await told("growing.localhost"), null);
  assert.equal(await told("below.growing.example"), null);
});

test("there is none with a certificate that vouches for itself", async () => {
  const name = "self-signed.example";
  const [keyPath, path] = [join(edge.test.dir, "self-signed.key"), join(edge.test.dir, "self-signed.pem")];
  const line = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30".split(" ");
  const about = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`, "-keyout", keyPath, "-out", path];
  execFileSync("openssl", [...line, ...about], { stdio: "ignore" });
  const pem = readFileSync(path, "utf8");
  await importCertificate({ keyPem: readFileSync(keyPath, "utf8"), pem }, "");
  assert.equal(await told(name, [...roots, pem]), null);
});

test("there is none over plain HTTP", async () => {
  const received = await edge.exchange("GET / HTTP/1.1\r\nhost: growing.example\r\nconnection: close\r\n\r\n");
  assert.match(received, /^HTTP\/1\.1 200 /);
  assert.doesNotMatch(received, /strict-transport-security/i);
});

test("what the app says itself, or has set in its responses, stands alone", async () => {
  backend.continuesWith(() => response("hi", ["Strict-Transport-Security: max-age=1"]));
  assert.equal(await told("growing.example"), "max-age=1");
  backend.continuesWith(() => response("hi"));
  assert.equal(await told("changed.example"), "max-age=7");
});

test("a reload brings it and takes it back", async () => {
  assert.equal(await told("silent.example"), null);
  edge.test.writeApp("silent", app("silent", "max_age = 60", ["silent.example"]));
  assert.equal((await edge.test.node.control.reload()).applied, true);
  assert.equal(await told("silent.example"), "max-age=60");
  edge.test.writeApp("silent", app("silent", "max_age = 0", ["silent.example"]));
  assert.equal((await edge.test.node.control.reload()).applied, true);
  assert.equal(await told("silent.example"), "max-age=0");
});

test("the age is told in responses that are changed on their way too", async () => {
  edge.test.writeApp("changed", app("changed", 'max_age = "auto"', ["changed.example"], "http_options = { compress = true }"));
  assert.equal((await edge.test.node.control.reload()).applied, true);
  assert.equal(await told("changed.example"), "max-age=300");
});
