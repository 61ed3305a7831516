// The certificate that all contestants serve: made by Kittiwake's own local authority, whose root is then put where Kittiwake looks for it.
// Leaf keys stay in the memory of a node (docs/decisions/002), so Kittiwake has a leaf of its own from the same root, of the same kind: P-256, no chain.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { LocalCa } from "../src/certs/local-ca.ts";

export const HOST = "bench.localhost";

export interface BenchCertificate extends Disposable {
  /** A directory for whatever the contestants need. */
  readonly dir: string;
  readonly certificatePath: string;
  readonly keyPath: string;
  /** Key and certificate in one file, as HAProxy wants it. */
  readonly bundlePath: string;
  /** Files of a node's configuration directory that make it sign with the same root. */
  readonly root: Readonly<Record<string, string>>;
}

export async function makeCertificate(): Promise<BenchCertificate> {
  const dir = mkdtempSync(join(tmpdir(), "kittiwake-bench-"));
  const ca = await LocalCa.open(join(dir, "ca"), { log: pino({ level: "silent" }) });
  const { certificatePem, privateKeyPem } = await ca.issue(HOST);
  const write = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const rootFiles = ["root.pem", "root-key.pem"].map((name) => [`data/ca/${name}`, readFileSync(join(dir, "ca", name), "utf8")]);
  return {
    dir,
    certificatePath: write("leaf.pem", certificatePem),
    keyPath: write("leaf-key.pem", privateKeyPem),
    bundlePath: write("bundle.pem", certificatePem + privateKeyPem),
    root: Object.fromEntries(rootFiles) as Record<string, string>,
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}
