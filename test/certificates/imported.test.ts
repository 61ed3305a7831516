// Certificates of the operator's on a running node: imported by the command line, served by every worker at once, looked at, exported and
// deleted; and what a fleet of two nodes on one store makes of them.

import assert from "node:assert/strict";
import { randomBytes, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, describe, test } from "node:test";
import { connect } from "node:tls";

import { Directory, kittiwake, type Ended } from "../cli/command.ts";
import { rootOf, startEdge, type Edge, type EdgeOptions } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { TestAuthority, type TestCertificate } from "../support/test-authority.ts";

const TOKEN = "0123456789abcdef";
const NAME = "hello.localhost";
const WITH_TOKEN = { admin: `token = "${TOKEN}"` };

describe("an imported certificate", () => {
  let ca: TestAuthority;
  before(async () => {
    ca = await TestAuthority.create();
  });

  function start(options: EdgeOptions = {}): Promise<Edge> {
    const hostnames = '[kittiwake]\nhostnames = ["a.example.com", "b.example.com"]';
    return startEdge({ ...WITH_TOKEN, edit: (app) => app.replace("[kittiwake]", hostnames), ...options });
  }

  async function certs(edge: Edge, ...args: string[]): Promise<Ended> {
    using directory = new Directory();
    return await kittiwake(["--admin", edge.test.adminUrl, "certs", ...args], directory.path, { KITTIWAKE_TOKEN: TOKEN });
  }

  /** Writes the parts to a file of the node's directory. */
  function file(edge: Edge, name: string, ...parts: (string | Buffer)[]): string {
    const path = join(edge.test.dir, name);
    writeFileSync(path, Buffer.concat(parts.map((part) => Buffer.from(part))));
    return path;
  }

  async function importAll(edge: Edge, certificate: TestCertificate, more = ca.intermediatePem): Promise<void> {
    const { code, stderr } = await certs(edge, "import", file(edge, "import.pem", certificate.keyPem, more, certificate.pem));
    assert.deepEqual([code, stderr], [0, ""]);
  }

  /** Serial numbers of the certificates that so many new connections get; each may end at another worker. */
  async function served(edge: Edge, servername: string, count = 1): Promise<Set<string>> {
    const handshakes = Array.from({ length: count }, async () => {
      const trusted = [ca.rootPem, rootOf(edge.test)];
      const socket = connect({ port: edge.test.httpsPort, host: "127.0.0.1", servername, ca: trusted, session: undefined });
      await once(socket, "secureConnect");
      const { fingerprint256 } = socket.getPeerX509Certificate()!;
      socket.destroy();
      return fingerprint256.replaceAll(":", "").toLowerCase();
    });
    return new Set(await Promise.all(handshakes));
  }

  async function fingerprintOf(edge: Edge, name: string, source: string): Promise<string> {
    const all = JSON.parse((await certs(edge, "show", name, "--json")).stdout) as { source: string; fingerprint: string }[];
    return all.find((one) => one.source === source)!.fingerprint;
  }

  test("takes the place of the local CA's on every worker at once, and gives it back when it is deleted", async () => {
    await using edge = await start({ workers: 2 });
    const before = await served(edge, NAME, 20);
    await importAll(edge, await ca.leaf([NAME]));
    const fingerprint = await fingerprintOf(edge, NAME, "imported");
    assert.deepEqual(await served(edge, NAME, 20), new Set([fingerprint]));
    assert.equal(before.has(fingerprint), false);

    const deleted = await certs(edge, "delete", NAME);
    assert.deepEqual([deleted.code, deleted.stdout], [0, `deleted the imported certificate for ${NAME}\n`]);
    assert.equal((await served(edge, NAME, 20)).has(fingerprint), false);
    assert.deepEqual((await certs(edge, "show", NAME)).stderr, `kittiwake: there is no certificate for "${NAME}"\n`);
  });

  test("for a wildcard serves the names below it that apps declare, also those that workers have another certificate for", async () => {
    await using edge = await start();
    const before = await served(edge, "a.example.com");
    await importAll(edge, await ca.leaf(["*.example.com"]));
    const wildcard = await fingerprintOf(edge, "b.example.com", "imported");
    assert.deepEqual(await served(edge, "a.example.com"), new Set([wildcard]));
    assert.deepEqual(await served(edge, "b.example.com"), new Set([wildcard]));
    assert.ok(!before.has(wildcard));
    await importAll(edge, await ca.leaf(["a.example.com"]));
    assert.deepEqual(await served(edge, "a.example.com"), new Set([await fingerprintOf(edge, "a.example.com", "imported")]));
    await certs(edge, "delete", "*.example.com");
    assert.ok(!(await served(edge, "b.example.com")).has(wildcard));
  });

  test("is exchanged under load without a failed handshake, and new connections get the new one at once", async () => {
    await using edge = await start({ workers: 2 });
    await importAll(edge, await ca.leaf([NAME]));
    const current = { fingerprints: new Set([await fingerprintOf(edge, NAME, "imported")]) };
    let isOver = false;
    let handshakes = 0;
    // Each fails the test where its handshake does, or where its certificate was gone before it began.
    const lane = async (): Promise<void> => {
      while (!isOver) {
        const allowed = current.fingerprints;
        const got = await served(edge, NAME);
        assert.ok(got.isSubsetOf(allowed.union(current.fingerprints)), "a certificate of the past");
        handshakes++;
      }
    };
    const lanes = Promise.all(Array.from({ length: 4 }, lane));
    for (let round = 0; round < 5; round++) {
      const next = await ca.leaf([NAME]);
      const fingerprint = new X509Certificate(next.pem).fingerprint256.replaceAll(":", "").toLowerCase();
      current.fingerprints = current.fingerprints.union(new Set([fingerprint]));
      await importAll(edge, next);
      current.fingerprints = new Set([fingerprint]);
      const before = handshakes;
      await eventually(() => handshakes >= before + 8, "more handshakes");
    }
    isOver = true;
    await lanes;
    assert.ok(handshakes >= 40);
  });

  test("is still there after a restart, and in the store only sealed", async () => {
    const certificate = await ca.leaf([NAME]);
    using directory = new Directory();
    let fingerprint = "";
    {
      await using edge = await start({ dir: directory.path });
      await importAll(edge, certificate);
      fingerprint = await fingerprintOf(edge, NAME, "imported");
    }
    const secretLine = certificate.keyPem.split("\n")[1]!;
    for (const name of ["data/state.db", "node.log"]) {
      assert.ok(!readFileSync(join(directory.path, name)).includes(secretLine), name);
    }
    await using edge = await start({ dir: directory.path });
    assert.deepEqual(await served(edge, NAME), new Set([fingerprint]));
  });

  test("is listed, shown and exported; its key only when it is asked for, and only with a token", async () => {
    await using edge = await start();
    const certificate = await ca.leaf([NAME, "a.example.com"], { notAfter: new Date(Date.now() + 30.5 * 86_400_000) });
    await importAll(edge, certificate);
    const list = await certs(edge, "list");
    assert.match(list.stdout, /^NAME +SOURCE +STATE +EXPIRES +CHALLENGE +RENEWAL +LAST ERROR +NEXT ATTEMPT$/m);
    assert.match(list.stdout, /^hello\.localhost and 1 more +imported +valid +\d{4}-\d\d-\d\d \(in 30 d\) +- +- +- +-$/m);
    const shown = await certs(edge, "show", "A.example.com");
    assert.match(shown.stdout, /^names: +hello\.localhost, a\.example\.com$/m);
    assert.match(shown.stdout, /^issuer: +CN=Test Intermediate$/m);

    const exported = await certs(edge, "export", NAME);
    assert.equal(exported.stdout, certificate.pem + ca.intermediatePem);
    const withKey = await certs(edge, "export", NAME, "--private-key");
    assert.equal(withKey.stdout, certificate.keyPem + certificate.pem + ca.intermediatePem);

    await using open = await start({ admin: "" });
    await importAll(open, certificate);
    const refused = await certs(open, "export", NAME, "--private-key");
    assert.deepEqual([refused.code, refused.stdout], [1, ""]);
    assert.match(refused.stderr, /only where the admin API asks for a token/);
    await edge.test.node.stop();
    const log = readFileSync(join(edge.test.dir, "node.log"), "utf8");
    assert.match(log, /a private key was exported through the admin API/);
    assert.ok(!log.includes("PRIVATE KEY") && !log.includes(certificate.keyPem.split("\n")[1]!));
  });

  test("that cannot be used is refused with the reason, and nothing of its key is said or logged", async () => {
    await using edge = await start();
    const [good, other] = [await ca.leaf([NAME]), await ca.leaf([NAME])];
    const expired = await ca.leaf([NAME], { notBefore: new Date(0), notAfter: new Date(86_400_000) });
    const cases: [string[], RegExp][] = [
      [[file(edge, "a.pem", good.pem)], /there is no private key.*--key/],
      [[file(edge, "b.pem", good.keyPem)], /there is no certificate/],
      [[file(edge, "c.pem", good.pem, other.keyPem)], /does not belong to the certificate for "hello\.localhost"/],
      [[file(edge, "d.pem", expired.pem, expired.keyPem)], /expired on 1970-01-02T/],
      [
        [file(edge, "e.pem", good.pem, good.keyPem.replace(/.{20}\n-----END/, "\n-----END"))],
        /the private key cannot be read: it is damaged/,
      ],
      [[join(edge.test.dir, "nowhere.pem")], /cannot read .*nowhere\.pem/],
      [[file(edge, "f.p12", Buffer.alloc(100, 0xff))], /f\.p12: the file is neither PEM, nor a certificate in DER, nor PKCS #12/],
      [[file(edge, "g.p12", Buffer.from("3003020101", "hex"))], /g\.p12: the file cannot be read as PKCS #12/],
    ];
    for (const [files, reason] of cases) {
      const { code, stdout, stderr } = await certs(edge, "import", ...files);
      assert.notEqual(code, 0, files.join());
      assert.equal(stdout, "");
      assert.match(stderr, reason);
      assert.ok(!stderr.includes("BEGIN") && !stderr.includes(good.keyPem.split("\n")[1]!), stderr);
    }
    assert.deepEqual(JSON.parse((await certs(edge, "list", "--json")).stdout), []);
    await edge.test.node.stop();
    const log = readFileSync(join(edge.test.dir, "node.log"), "utf8");
    for (const { keyPem } of [good, other, expired]) assert.ok(!log.includes(keyPem.split("\n")[1]!));
  });

  test("reaches the other nodes of a store by itself, though their machines have the same ids", async () => {
    using shared = new Directory();
    const secret = randomBytes(32).toString("base64");
    const options = { tables: `[state]\npath = "${join(shared.path, "state.db")}"`, secret };
    await using one = await start({ ...options, name: "one" });
    await using other = await start({ ...options, name: "other" });
    await served(other, NAME);
    await importAll(one, await ca.leaf([NAME]));
    const expected = new Set([await fingerprintOf(one, NAME, "imported")]);
    await eventually(async () => (await served(other, NAME)).isSubsetOf(expected), "the certificate", 3000);
    // The machine of one is not that of the other.
    await one.test.node.stop();
    assert.equal(other.test.node.control.machines("hello")[0]?.state, "started");
  });

  test("says who lacks the secret, on the node that lacks it", async () => {
    using shared = new Directory();
    const tables = `[state]\npath = "${join(shared.path, "state.db")}"`;
    await using one = await start({ tables, name: "one" });
    await importAll(one, await ca.leaf([NAME]));
    await using other = await start({ tables, name: "other" });
    await assert.rejects(served(other, NAME));
    await served(other, "a.example.com");
    const refused = await certs(other, "export", NAME, "--private-key");
    assert.match(
      refused.stderr,
      /sealed with the secret [0-9a-f]{8}, which is not here; put back ".*secret\.key" from a copy, or give this node/,
    );
    // Lost for good: a new one is made, which leaves the rest as it is, and what is imported anew is served.
    const rotated = await certs(other, "rotate-secret");
    assert.equal(rotated.code, 1);
    assert.match(rotated.stderr, /so they are as they were: .*certs\/imported\//);
    await importAll(other, await ca.leaf([NAME]));
    await served(other, NAME);
    await other.test.node.stop();
    const log = readFileSync(join(other.test.dir, "node.log"), "utf8");
    assert.match(log, /there is no secret here/);
    assert.ok(!log.includes("sealed:1:"), "what is sealed is in the log");
  });

  test("is served while the store cannot be written, and what is imported meanwhile is refused with the reason", async () => {
    await using edge = await start();
    await importAll(edge, await ca.leaf([NAME]));
    const before = await served(edge, NAME);
    const other = await ca.leaf(["a.example.com"]);
    const database = new DatabaseSync(join(edge.test.dir, "data/state.db"));
    database.exec("BEGIN IMMEDIATE");
    const refused = await certs(edge, "import", file(edge, "other.pem", other.pem, other.keyPem));
    assert.deepEqual([refused.code, refused.stdout], [1, ""]);
    assert.match(refused.stderr, /state\.db/);
    assert.deepEqual(await served(edge, NAME), before);
    assert.match((await certs(edge, "list")).stdout, /^hello\.localhost +imported +valid/m);
    // A worker that is new knows nothing, and is told from memory.
    edge.test.node.crashWorker(0);
    await edge.test.event("worker_replaced");
    await eventually(() => edge.test.node.control.isReady(), "the next worker");
    assert.deepEqual(await served(edge, NAME), before);
    database.exec("ROLLBACK");
    database.close();
    await importAll(edge, other);
    await edge.test.node.stop();
    const log = readFileSync(join(edge.test.dir, "node.log"), "utf8");
    assert.ok(!log.includes(other.keyPem.split("\n")[1]!));
  });

  test("survives an exchange of the secret under traffic, and a restart after it", async () => {
    const certificate = await ca.leaf([NAME]);
    using directory = new Directory();
    const secretOf = (): string => readFileSync(join(directory.path, "data/secret.key"), "utf8");
    {
      await using edge = await start({ dir: directory.path });
      await importAll(edge, certificate);
      const before = secretOf();
      const [rotated] = await Promise.all([certs(edge, "rotate-secret"), served(edge, NAME, 10)]);
      assert.match(rotated.stdout, /^sealed \d entries anew with the secret [0-9a-f]{8}$/m);
      assert.notEqual(secretOf(), before);
      assert.equal((await certs(edge, "export", NAME, "--private-key")).stdout, certificate.keyPem + certificate.pem + ca.intermediatePem);
    }
    await using edge = await start({ dir: directory.path });
    assert.equal((await served(edge, NAME)).size, 1);
    assert.equal((await certs(edge, "export", NAME, "--private-key")).code, 0);
  });

  test("is in the metrics, with the moment of its end", async () => {
    await using edge = await start();
    const dayMs = 86_400_000;
    const certificate = await ca.leaf([NAME], { notBefore: new Date(Date.now() - 89 * dayMs), notAfter: new Date(Date.now() + dayMs) });
    await importAll(edge, certificate);
    const { text: all } = await edge.test.node.control.metrics();
    const text = all
      .split("\n")
      .filter((line) => line.startsWith("kittiwake_certificate"))
      .join("\n");
    assert.match(text, /^kittiwake_certificates\{.*source="imported",state="expires_soon"\} 1$/m);
    const seconds = certificate.notAfter.getTime() / 1000;
    assert.match(
      text,
      new RegExp(`^kittiwake_certificate_expiry_timestamp_seconds\\{.*hostname="${NAME}",source="imported"\\} ${seconds}$`, "m"),
    );
  });
});
