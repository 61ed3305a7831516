// What many certificates cost a node: how much longer it takes to be ready and how much more memory it has then, against the same node with
// an empty store; and how long the first handshake of each name takes. Takes how many there are as its argument:
//
//     node bench/vault.ts [certificates] [lanes]

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { Secret } from "../src/certs/secret.ts";
import { Vault } from "../src/certs/vault.ts";
import { SqliteStore } from "../src/state/sqlite-store.ts";
import { TestAuthority } from "../test/support/test-authority.ts";
import { backendApp, startKittiwake } from "./kittiwake.ts";
import type { FirstHandshakesOptions } from "./load/first-handshakes.ts";
import { runOwnLoad } from "./load/own-program.ts";
import { median, residentMb, unpin } from "./measure.ts";
import { startBackend } from "./start-backend.ts";

const ROUNDS = 3;
/** First handshakes under way at once: with more than one, the one thread of the client is what they wait for. */
const LANES = Number(process.argv[3] ?? 1);
const HANDSHAKES_WITHIN_SECONDS = 300;

const count = Number(process.argv[2] ?? 10_000);
if (!Number.isInteger(count) || count < 1) throw new Error(`expected a number of certificates, got "${process.argv[2]}"`);
const names = Array.from({ length: count }, (_, index) => `app-${index}.example.com`);

const authority = await TestAuthority.create();
await using backend = await startBackend();
const app = backendApp(backend.port).replace('["localhost"]', JSON.stringify(names));
const filled = await makeFiles();

console.log(`${count} certificates, median of ${ROUNDS} starts each`);
const empty = await measureStart({});
const full = await measureStart(filled);
console.log(`ready without any   ${empty.readyMs.toFixed(0)} ms, ${empty.memoryMb.toFixed(0)} MB`);
console.log(`ready with all      ${full.readyMs.toFixed(0)} ms, ${full.memoryMb.toFixed(0)} MB`);
console.log(`more                ${(full.readyMs - empty.readyMs).toFixed(0)} ms, ${(full.memoryMb - empty.memoryMb).toFixed(0)} MB`);

await using node = await startKittiwake({ bench: app }, filled);
await unpin(node.pid);
const options: FirstHandshakesOptions = { port: node.httpsPort, count, rootPem: authority.rootPem, lanes: LANES };
const { p50Ms, p95Ms, p99Ms } = await runOwnLoad("first-handshakes.ts", options, HANDSHAKES_WITHIN_SECONDS);
console.log(`first handshakes    p50 ${p50Ms.toFixed(1)} ms, p95 ${p95Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`);
console.log(`memory after them   ${residentMb(node.pid).toFixed(0)} MB`);

/** Files of a data directory in whose store there are all certificates. */
async function makeFiles(): Promise<Record<string, string | Buffer>> {
  const dir = mkdtempSync(join(tmpdir(), "kittiwake-bench-"));
  try {
    const log = pino({ level: "silent" });
    const secret = await Secret.open({ path: join(dir, "secret.key"), environment: undefined, isInUse: async () => false, log });
    const store = new SqliteStore({ path: join(dir, "state.db") });
    const vault = new Vault({ store, secret, onChanged: () => {}, log });
    const lease = await store.lease("certs/bench", 3_600_000);
    for (const hostname of names) {
      const { pem, keyPem, notBefore, notAfter } = await authority.leaf([hostname], { hasSharedKey: true });
      const certificate = { hostname, certificatePem: pem + authority.intermediatePem, privateKeyPem: keyPem, notBefore, notAfter };
      await vault.putAcme({ ...certificate, directory: "https://ca.example/directory", challenge: "tls-alpn-01" }, lease!);
    }
    await store.close();
    return { "data/secret.key": readFileSync(join(dir, "secret.key"), "utf8"), "data/state.db": readFileSync(join(dir, "state.db")) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measureStart(files: Record<string, string | Buffer>): Promise<{ readonly readyMs: number; readonly memoryMb: number }> {
  const readyMs: number[] = [];
  const memoryMb: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const startedMs = performance.now();
    await using started = await startKittiwake({ bench: app }, files);
    readyMs.push(performance.now() - startedMs);
    memoryMb.push(residentMb(started.pid));
  }
  return { readyMs: median(readyMs), memoryMb: median(memoryMb) };
}
