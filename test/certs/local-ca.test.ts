// The local CA: what it leaves on disk, what it issues, and what it refuses.

import assert from "node:assert/strict";
import { fork, spawnSync } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync, chmodSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { LocalCa } from "../../src/certs/local-ca.ts";
import { recordingLog, ScratchDirectory, silent, TlsServer } from "./fixtures.ts";

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2030, 0, 1, 12, 0, 0);
const now = (): number => NOW;

const opensslVersion = spawnSync("openssl", ["version"], { encoding: "utf8" }).stdout;
const withoutOpenssl = opensslVersion ? false : "the openssl program is not installed";

test("a new CA is two files that only its owner can use, and nothing else", async () => {
  using scratch = new ScratchDirectory();
  const directory = join(scratch.path, "data", "ca");
  const ca = await LocalCa.open(directory, { log: silent });
  assert.deepEqual(readdirSync(directory).sort(), ["root-key.pem", "root.pem"]);
  assert.deepEqual(readdirSync(join(scratch.path, "data")), ["ca"]);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.equal(statSync(join(directory, "root-key.pem")).mode & 0o777, 0o600);
  assert.equal(readFileSync(join(directory, "root.pem"), "utf8"), ca.rootPem);
});

test("the root is a CA for ten years that may sign leaves only", async () => {
  using scratch = new ScratchDirectory();
  const ca = await LocalCa.open(join(scratch.path, "ca"), { log: silent, now });
  const root = new X509Certificate(ca.rootPem);
  assert.match(root.subject, /^CN=Kittiwake Local CA [0-9a-f]{8}$/);
  assert.equal(root.issuer, root.subject);
  assert.ok(root.ca && root.verify(root.publicKey));
  assert.equal(root.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
  assert.equal(Math.round((root.validToDate.getTime() - NOW) / DAY_MS), 3652);
  assert.equal(root.validFromDate.getTime(), NOW - 3_600_000);
});

test("opening it again loads the same CA", async () => {
  using scratch = new ScratchDirectory();
  const directory = join(scratch.path, "ca");
  const first = await LocalCa.open(directory, { log: silent });
  const second = await LocalCa.open(directory, { log: silent });
  assert.equal(second.rootPem, first.rootPem);
  const leaf = new X509Certificate((await second.issue("hello.localhost")).certificatePem);
  assert.ok(leaf.verify(new X509Certificate(first.rootPem).publicKey));
});

test("an empty directory, also behind a link, is where a CA can be made", async () => {
  using scratch = new ScratchDirectory();
  const [real, link] = [join(scratch.path, "real"), join(scratch.path, "link")];
  mkdirSync(real);
  symlinkSync(real, link);
  const ca = await LocalCa.open(link, { log: silent });
  assert.equal(readFileSync(join(real, "root.pem"), "utf8"), ca.rootPem);
});

test("a leaf is for one name, for seven days, and is signed by the root", async () => {
  using scratch = new ScratchDirectory();
  const ca = await LocalCa.open(join(scratch.path, "ca"), { log: silent, now });
  const issued = await ca.issue("Hello.Localhost.");
  assert.equal(issued.hostname, "hello.localhost");
  assert.equal(issued.notBefore.getTime(), NOW - 3_600_000);
  assert.equal(issued.notAfter.getTime(), NOW + 7 * DAY_MS);
  const leaf = new X509Certificate(issued.certificatePem);
  const root = new X509Certificate(ca.rootPem);
  assert.ok(leaf.checkIssued(root) && leaf.verify(root.publicKey));
  assert.equal(leaf.ca, false);
  assert.equal(leaf.subjectAltName, "DNS:hello.localhost");
  assert.equal(leaf.checkHost("hello.localhost"), "hello.localhost");
  assert.equal(leaf.checkHost("other.localhost"), undefined);
  assert.deepEqual(leaf.keyUsage, ["1.3.6.1.5.5.7.3.1"]);
  assert.equal(leaf.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
  assert.equal(leaf.validToDate.getTime(), issued.notAfter.getTime());
});

test("a leaf can be for an IP address", async () => {
  using scratch = new ScratchDirectory();
  const ca = await LocalCa.open(join(scratch.path, "ca"), { log: silent });
  for (const address of ["127.0.0.1", "::1"]) {
    const leaf = new X509Certificate((await ca.issue(address)).certificatePem);
    assert.equal(leaf.checkIP(address), address);
    assert.equal(leaf.checkHost(address), undefined);
  }
});

test("a leaf can be for a wildcard", async () => {
  using scratch = new ScratchDirectory();
  const ca = await LocalCa.open(join(scratch.path, "ca"), { log: silent });
  const { hostname, certificatePem } = await ca.issue("*.Hello.localhost");
  assert.equal(hostname, "*.hello.localhost");
  const leaf = new X509Certificate(certificatePem);
  assert.deepEqual([leaf.subjectAltName, leaf.checkHost("any.hello.localhost")], ["DNS:*.hello.localhost", "*.hello.localhost"]);
});

test("serial numbers are positive, long and never the same", async () => {
  using scratch = new ScratchDirectory();
  const ca = await LocalCa.open(join(scratch.path, "ca"), { log: silent });
  const issued = await Promise.all(Array.from({ length: 32 }, () => ca.issue("hello.localhost")));
  const serials = issued.map(({ certificatePem }) => new X509Certificate(certificatePem).serialNumber);
  assert.equal(new Set(serials).size, 32);
  for (const serial of serials) assert.match(serial, /^[0-9A-F]{20,32}$/);
  assert.equal(new Set(issued.map(({ privateKeyPem }) => privateKeyPem)).size, 32);
});

test("what is no host name gets no certificate", async () => {
  using scratch = new ScratchDirectory();
  const ca = await LocalCa.open(join(scratch.path, "ca"), { log: silent });
  for (const name of [
    "",
    ".",
    "a..b",
    "-a.example",
    "a\0b.example",
    "*.",
    "*.*.example.com",
    "www.*.example.com",
    "a b",
    "über.example",
    `${"a".repeat(64)}.example`,
  ]) {
    await assert.rejects(ca.issue(name), { code: "certificate_unavailable", message: /is not a host name$/ }, name);
  }
});

test("a client that trusts the root accepts the leaf for its name, and for no other", async () => {
  using scratch = new ScratchDirectory();
  const ca = await LocalCa.open(join(scratch.path, "ca"), { log: silent });
  const { certificatePem, privateKeyPem } = await ca.issue("hello.localhost");
  await using server = new TlsServer({ cert: certificatePem, key: privateKeyPem });
  assert.ok((await server.connect({ ca: ca.rootPem, servername: "hello.localhost" })).authorized);
  await assert.rejects(server.connect({ ca: ca.rootPem, servername: "other.localhost" }), { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
  await assert.rejects(server.connect({ servername: "hello.localhost" }), { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" });
});

test("openssl verifies root and leaf by the letter of RFC 5280", { skip: withoutOpenssl }, async () => {
  using scratch = new ScratchDirectory();
  const ca = await LocalCa.open(join(scratch.path, "ca"), { log: silent });
  for (const [name, check] of [
    ["hello.localhost", "-verify_hostname"],
    ["127.0.0.1", "-verify_ip"],
    ["::1", "-verify_ip"],
  ] as const) {
    const file = join(scratch.path, "leaf.pem");
    writeFileSync(file, (await ca.issue(name)).certificatePem);
    const root = join(scratch.path, "ca", "root.pem");
    const args = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", root, check, name, file];
    const { status, stdout, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
  }
});

test("processes that start at once end up with one CA", async () => {
  using scratch = new ScratchDirectory();
  const directory = join(scratch.path, "ca");
  const openers = Array.from({ length: 4 }, () => fork(join(import.meta.dirname, "ca-opener.ts"), [directory]));
  await Promise.all(openers.map((opener) => once(opener, "message")));
  const roots = Promise.all(openers.map(async (opener) => (await once(opener, "message"))[0] as string));
  const exits = Promise.all(openers.map((opener) => once(opener, "exit")));
  for (const opener of openers) opener.send("open");
  assert.equal(new Set(await roots).size, 1);
  assert.deepEqual(
    await exits,
    openers.map(() => [0, null]),
  );
  assert.deepEqual(readdirSync(scratch.path), ["ca"]);
});

test("as many openings in one process end up with one CA as well", async () => {
  using scratch = new ScratchDirectory();
  const directory = join(scratch.path, "ca");
  const cas = await Promise.all(Array.from({ length: 8 }, () => LocalCa.open(directory, { log: silent })));
  assert.equal(new Set(cas.map(({ rootPem }) => rootPem)).size, 1);
  assert.deepEqual(readdirSync(scratch.path), ["ca"]);
});

const DAMAGES: readonly (readonly [what: string, damage: (directory: string, other: string) => void, message: RegExp])[] = [
  ["without its key", (directory) => rmSync(join(directory, "root-key.pem")), /lacks root-key\.pem; restore it from a backup/],
  ["without its certificate", (directory) => rmSync(join(directory, "root.pem")), /lacks root\.pem; restore it from a backup/],
  ["with an empty key", (directory) => writeFileSync(join(directory, "root-key.pem"), ""), /root-key\.pem is damaged; restore/],
  ["with half a certificate", (directory) => truncate(join(directory, "root.pem")), /root\.pem is damaged; restore/],
  ["with half a key", (directory) => truncate(join(directory, "root-key.pem")), /root-key\.pem is damaged; restore/],
  [
    "with another CA's key",
    (directory, other) => copy(other, directory, "root-key.pem"),
    /root-key\.pem does not belong to root\.pem; restore/,
  ],
  ["with a leaf as its root", (directory, other) => copy(other, directory, "leaf.pem", "root.pem"), /does not belong|not a self-signed CA/],
  ["with a key of another kind", (directory) => writeFileSync(join(directory, "root-key.pem"), rsaKey()), /is not an EC key on P-256/],
];

for (const [what, damage, message] of DAMAGES) {
  test(`a CA ${what} is refused, and left as it is`, async () => {
    using scratch = new ScratchDirectory();
    const [directory, other] = [join(scratch.path, "ca"), join(scratch.path, "other")];
    await LocalCa.open(directory, { log: silent });
    const otherCa = await LocalCa.open(other, { log: silent });
    writeFileSync(join(other, "leaf.pem"), (await otherCa.issue("hello.localhost")).certificatePem);
    damage(directory, other);
    const before = contentOf(directory);
    await assert.rejects(LocalCa.open(directory, { log: silent }), { name: "ProxyError", code: "certificate_unavailable", message });
    assert.deepEqual(contentOf(directory), before);
  });
}

test("a self-signed certificate that is no CA is refused, even with its key", async () => {
  using scratch = new ScratchDirectory();
  const directory = join(scratch.path, "ca");
  const ca = await LocalCa.open(join(scratch.path, "other"), { log: silent });
  const leaf = await ca.issue("hello.localhost");
  mkdirSync(directory);
  writeFileSync(join(directory, "root.pem"), leaf.certificatePem);
  writeFileSync(join(directory, "root-key.pem"), leaf.privateKeyPem);
  await assert.rejects(LocalCa.open(directory, { log: silent }), { message: /root\.pem is not a self-signed CA certificate; restore/ });
});

test("a directory with other files in it is not taken for a CA", async () => {
  using scratch = new ScratchDirectory();
  const directory = join(scratch.path, "ca");
  mkdirSync(directory);
  writeFileSync(join(directory, "notes.txt"), "mine");
  await assert.rejects(LocalCa.open(directory, { log: silent }), {
    code: "certificate_unavailable",
    message: /holds other files; empty it first$/,
  });
  assert.deepEqual(readdirSync(scratch.path), ["ca"]);
  assert.deepEqual(readdirSync(directory), ["notes.txt"]);
});

test("a place that cannot be written is an error that names it", async () => {
  using scratch = new ScratchDirectory();
  const file = join(scratch.path, "file");
  writeFileSync(file, "");
  await assert.rejects(LocalCa.open(join(file, "ca"), { log: silent }), {
    code: "certificate_unavailable",
    message: /the local CA.*file\/ca/,
  });
});

test("a key that others can read is warned of", async () => {
  using scratch = new ScratchDirectory();
  const directory = join(scratch.path, "ca");
  await LocalCa.open(directory, { log: silent });
  chmodSync(join(directory, "root-key.pem"), 0o644);
  const { log, messages } = recordingLog();
  await LocalCa.open(directory, { log });
  assert.match(messages.join(), /others than its owner can read the local CA's key/);
});

test("a root in its last month is warned of once a day, and leaves end with it", async () => {
  using scratch = new ScratchDirectory();
  const directory = join(scratch.path, "ca");
  const { rootPem } = await LocalCa.open(directory, { log: silent, now });
  const endMs = new X509Certificate(rootPem).validToDate.getTime();
  let nowMs = endMs - 30 * DAY_MS;
  const { log, messages } = recordingLog();
  const ca = await LocalCa.open(directory, { log, now: () => nowMs });
  assert.deepEqual(messages, []);
  nowMs = endMs - 3 * DAY_MS - 1;
  const leaf = await ca.issue("hello.localhost");
  await ca.issue("other.localhost");
  assert.equal(messages.length, 1);
  assert.match(messages[0]!, /the local CA expires in 3 days/);
  assert.equal(leaf.notAfter.getTime(), endMs);
  nowMs += DAY_MS;
  await ca.issue("hello.localhost");
  assert.equal(messages.length, 2);
});

test("an expired root is refused, at the start and later", async () => {
  using scratch = new ScratchDirectory();
  const directory = join(scratch.path, "ca");
  let nowMs = NOW;
  const ca = await LocalCa.open(directory, { log: silent, now: () => nowMs });
  nowMs = new X509Certificate(ca.rootPem).validToDate.getTime();
  const expired = { code: "certificate_unavailable", message: /expired on 2040-01-01T.*move the directory away/ };
  await assert.rejects(ca.issue("hello.localhost"), expired);
  await assert.rejects(LocalCa.open(directory, { log: silent, now: () => nowMs }), expired);
});

test("a clock before the root's time is named as the cause", async () => {
  using scratch = new ScratchDirectory();
  const directory = join(scratch.path, "ca");
  await LocalCa.open(directory, { log: silent, now });
  await assert.rejects(LocalCa.open(directory, { log: silent, now: () => 0 }), { message: /is not valid before 2030-.*check the clock/ });
});

function truncate(path: string): void {
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.slice(0, text.length / 2));
}

function copy(from: string, to: string, name: string, as: string = name): void {
  writeFileSync(join(to, as), readFileSync(join(from, name)));
}

function contentOf(directory: string): Readonly<Record<string, string>> {
  return Object.fromEntries(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), "utf8")]));
}

function rsaKey(): string {
  return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}
