// A real CA for tests: Pebble (Debian's `pebble`), which validates over the network and refuses some nonces, as it does by default. Every
// name it looks up is 127.0.0.1, and it validates on ports of our choice.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Address } from "../../src/core/app.ts";
import { createLeaf, createRoot, createSigner } from "../../src/certs/sign.ts";
import { createPrivateKey } from "node:crypto";
import { freePort } from "./backend.ts";
import { eventually } from "./eventually.ts";
import { NameServer } from "./name-server.ts";

export interface PebbleOptions {
  /** Where it looks for HTTP-01 and TLS-ALPN-01; by default where nobody listens. */
  readonly httpPort?: number;
  readonly tlsPort?: number;
  /** Accounts must be bound to one of these: key identifiers with HMAC keys in Base64url. */
  readonly externalAccounts?: Readonly<Record<string, string>>;
  /** TXT records for DNS-01: values by name. */
  readonly texts?: (name: string) => readonly string[];
  /** Whom it asks for names instead: a resolver. */
  readonly resolver?: Address;
  /** Its port, if it must be that of an earlier one. */
  readonly port?: number;
  /** Keep the files of an earlier one. */
  readonly dir?: string;
}

/** The reason why there is no Pebble, for the `skip` of a test; false where there is one. */
export const noPebble: string | false =
  spawnSync("pebble", ["-version"]).error === undefined ? false : "there is no pebble here; apt-get install pebble";

const DAY_MS = 86_400_000;

export class Pebble implements AsyncDisposable {
  readonly directory: string;
  /** The root of its API's certificate: for `ca_file`. */
  readonly caFile: string;
  readonly port: number;
  readonly dir: string;
  readonly #process: ChildProcess;
  readonly #names: NameServer;
  readonly #managementPort: number;
  readonly #ownsDir: boolean;
  /** What it has logged. */
  readonly lines: string[] = [];

  private constructor(process: ChildProcess, names: NameServer, ports: { api: number; management: number }, dir: string, ownsDir: boolean) {
    this.#process = process;
    this.#names = names;
    this.#managementPort = ports.management;
    this.#ownsDir = ownsDir;
    this.port = ports.api;
    this.dir = dir;
    this.directory = `https://127.0.0.1:${ports.api}/dir`;
    this.caFile = join(dir, "root.pem");
    for (const stream of [process.stdout!, process.stderr!]) createInterface(stream).on("line", (line) => this.lines.push(line));
  }

  static async start(options: PebbleOptions = {}): Promise<Pebble> {
    const dir = options.dir ?? mkdtempSync(join(tmpdir(), "kittiwake-pebble-"));
    if (options.dir === undefined) await writeCertificate(dir);
    const ports = { api: options.port ?? (await freePort()), management: await freePort() };
    const names = await NameServer.start(options.texts ?? (() => []));
    const nowhere = await freePort();
    const pebble = {
      listenAddress: `127.0.0.1:${ports.api}`,
      managementListenAddress: `127.0.0.1:${ports.management}`,
      certificate: join(dir, "api.pem"),
      privateKey: join(dir, "api.key"),
      httpPort: options.httpPort ?? nowhere,
      tlsPort: options.tlsPort ?? nowhere,
      externalAccountBindingRequired: options.externalAccounts !== undefined,
      externalAccountMACKeys: options.externalAccounts ?? {},
    };
    const config = join(dir, "pebble.json");
    writeFileSync(config, JSON.stringify({ pebble }));
    const { host, port } = options.resolver ?? { host: "127.0.0.1", port: names.port };
    const child = spawn("pebble", ["-config", config, "-dnsserver", `${host}:${port}`], {
      // Of its own accord it sleeps for up to 15 seconds before it validates.
      env: { ...process.env, PEBBLE_VA_NOSLEEP: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const started = new Pebble(child, names, ports, dir, options.dir === undefined);
    await eventually(() => started.#isListening, "pebble to listen");
    return started;
  }

  /** The root that its certificates are under: what a browser would have. */
  async root(): Promise<string> {
    const asked = request({ host: "127.0.0.1", port: this.#managementPort, path: "/roots/0", rejectUnauthorized: false }).end();
    const [response] = (await once(asked, "response")) as [AsyncIterable<Buffer>];
    return Buffer.concat(await Array.fromAsync(response)).toString();
  }

  /** How many orders were placed. */
  get orders(): number {
    return this.lines.filter((line) => /Added order "/.test(line)).length;
  }

  /** How many certificates were issued. */
  get certificates(): number {
    return this.lines.filter((line) => /Issued certificate serial/.test(line)).length;
  }

  get #isListening(): boolean {
    if (this.#process.exitCode !== null) throw new Error(`pebble ended: ${this.lines.join("\n")}`);
    return this.lines.some((line) => line.includes("ACME directory available"));
  }

  /** Ends it and keeps its files; it forgets all accounts and orders. */
  async end(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill("SIGKILL");
      await once(this.#process, "exit");
    }
    await this.#names[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    if (this.#ownsDir) rmSync(this.dir, { recursive: true, force: true });
  }
}

async function writeCertificate(dir: string): Promise<void> {
  const validity = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) };
  const root = await createRoot(validity);
  const leaf = await createLeaf("127.0.0.1", validity, createSigner(root.certificatePem, createPrivateKey(root.privateKeyPem)));
  writeFileSync(join(dir, "root.pem"), root.certificatePem);
  writeFileSync(join(dir, "api.pem"), leaf.certificatePem);
  writeFileSync(join(dir, "api.key"), leaf.privateKeyPem);
}
