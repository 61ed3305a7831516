// What programs that look for weak TLS find at an edge: testssl.sh nothing of MEDIUM or above, sslscan nothing but TLS 1.2 and 1.3 with
// authenticated encryption and sound groups. Needs both.

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { promisify } from "node:util";
import { startBackend, staticApp } from "../support/backend.ts";
import { HOST } from "../support/edge.ts";
import { startTestNode } from "../support/node.ts";

interface Finding {
  readonly id: string;
  readonly severity: "OK" | "INFO" | "LOW" | "MEDIUM" | "HIGH" | "CRITICAL" | "WARN" | "FATAL";
  readonly finding: string;
}

/** What testssl.sh cannot do here: it is about the program's own OpenSSL. */
const OF_NO_INTEREST = ["engine_problem"];
/** Protocols, ciphers, vulnerabilities; sslscan looks at every cipher and group by itself. */
const CHECKS = ["-p", "-s", "-U"];
/** Seconds that it waits for an answer where a sound server gives none. */
const WAITS = { HEARTBLEED_MAX_WAITSOCK: "2", CCS_MAX_WAITSOCK: "2", MAX_WAITSOCK: "5" };
const SCAN_MS = 180_000;

describe("a scanner for weak TLS", { concurrency: true, timeout: SCAN_MS }, async () => {
  const dir = mkdtempSync(join(tmpdir(), "kittiwake-scan-"));
  const backend = await startBackend((_, answer) => answer.end("well"));
  // With a certificate for clients that name no host, as some checks of testssl.sh do.
  const app = staticApp("hello", backend.port).replace("internal_port", "tls_options = { default_self_signed = true }\ninternal_port");
  const edge = await startTestNode({ apps: { hello: app } });
  after(async () => {
    await edge[Symbol.asyncDispose]();
    await backend[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  test("testssl.sh finds nothing among protocols, ciphers and vulnerabilities", { skip: whyNot("testssl"), timeout: SCAN_MS }, async () => {
    const file = join(dir, "findings.json");
    const options = ["--quiet", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1", "--jsonfile", file];
    const line = [...options, ...CHECKS, `https://${HOST}:${edge.httpsPort}`];
    // Its exit code counts what it found, in a way of its own.
    await promisify(execFile)("testssl", line, { env: { ...process.env, ...WAITS } }).catch(() => {});
    const findings = JSON.parse(readFileSync(file, "utf8")) as Finding[];
    for (const id of ["TLS1_3", "cipherlist_AVERAGE", "heartbleed", "secure_renego", "RC4"]) {
      assert.ok(
        findings.some((finding) => finding.id.startsWith(id)),
        `it has looked at ${id}`,
      );
    }
    const harmless = new Set(["OK", "INFO", "LOW"]);
    const found = findings.filter(({ id, severity }) => !harmless.has(severity) && !OF_NO_INTEREST.includes(id));
    assert.deepEqual(found, []);
  });

  test("sslscan agrees", { skip: whyNot("sslscan") }, async () => {
    const line = ["--xml=-", `--sni-name=${HOST}`, `127.0.0.1:${edge.httpsPort}`];
    const { stdout } = await promisify(execFile)("sslscan", line);
    const all = (expression: RegExp): string[] => [...stdout.matchAll(expression)].map(([, text]) => text!);
    assert.deepEqual(all(/<protocol type="\w+" version="([\d.]+)" enabled="1"/g), ["1.2", "1.3"]);
    const ciphers = all(/<cipher [^>]*cipher="([^"]+)"/g);
    assert.equal(ciphers.length, 6);
    for (const cipher of ciphers) assert.match(cipher, /^(TLS_|ECDHE-ECDSA-).*(GCM|CHACHA20)/);
    assert.deepEqual(new Set(all(/<group [^>]*name="([^"]+)"/g)), new Set(["secp256r1 (NIST P-256)", "secp384r1 (NIST P-384)", "x25519"]));
    assert.deepEqual(
      all(/<heartbleed [^>]*vulnerable="(\d)"/g).filter((vulnerable) => vulnerable !== "0"),
      [],
    );
    assert.match(stdout, /<renegotiation supported="0"/);
  });
});

function whyNot(program: string): string | false {
  return spawnSync(program, ["--version"]).error === undefined ? false : `${program} is not installed`;
}
