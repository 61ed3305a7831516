// BIND's named on free ports of loopback, with the zones of a test: a primary that takes signed updates, and a resolver. Ended at the end of
// the test.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Address } from "../../src/core/app.ts";
import { freeDnsPort } from "./dns-port.ts";

/** The reason to skip, or false. */
export const WITHOUT_NAMED = spawnSync("named", ["-v"]).error === undefined ? false : "needs named (apt-get install bind9)";

export interface NamedZone {
  /** Records beyond SOA and NS, as zone files have them. */
  readonly records?: readonly string[];
  /** A line of named's configuration, such as `update-policy { … };`. */
  readonly policy?: string;
  /** Another server that answers for the zone. */
  readonly forwardTo?: Address;
}

export interface NamedKey {
  readonly name: string;
  readonly algorithm: string;
  readonly secret: Buffer;
}

export function newKey(name: string, algorithm = "hmac-sha256"): NamedKey {
  return { name, algorithm, secret: randomBytes(32) };
}

export class Named implements AsyncDisposable {
  readonly address: Address;
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(child: ChildProcess, address: Address, directory: string) {
    this.#child = child;
    this.address = address;
    this.#directory = directory;
  }

  /** Resolves when it answers. */
  static async start(zones: Readonly<Record<string, NamedZone>>, keys: readonly NamedKey[] = []): Promise<Named> {
    const port = await freeDnsPort();
    const directory = mkdtempSync(join(tmpdir(), "kittiwake-named-"));
    writeFileSync(join(directory, "named.conf"), configuration(directory, port, zones, keys));
    for (const [name, zone] of Object.entries(zones))
      if (zone.forwardTo === undefined) writeFileSync(join(directory, `${name}.zone`), zoneFile(zone));
    const child = spawn("named", ["-g", "-n", "1", "-c", join(directory, "named.conf")], { stdio: ["ignore", "ignore", "pipe"] });
    const named = new Named(child, { host: "127.0.0.1", port }, directory);
    try {
      await runs(child);
      return named;
    } catch (error) {
      await named[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await exited;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Resolves when it says that it runs; rejects with what it says when it ends before. */
async function runs(child: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let said = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    if (/ running$/m.test(said)) resolve();
  });
  child.once("exit", () => reject(new Error(`named did not start:\n${said}`)));
  await promise;
}

function configuration(directory: string, port: number, zones: Readonly<Record<string, NamedZone>>, keys: readonly NamedKey[]): string {
  const blocks = Object.entries(zones).map(([name, { policy = "", forwardTo }]) =>
    forwardTo === undefined
      ? `zone "${name}" { type primary; file "${name}.zone"; ${policy} };`
      : `zone "${name}" { type forward; forward only; forwarders { ${forwardTo.host} port ${forwardTo.port}; }; };`,
  );
  const secrets = keys.map(
    ({ name, algorithm, secret }) => `key "${name}" { algorithm ${algorithm}; secret "${secret.toString("base64")}"; };`,
  );
  return `options {
  directory "${directory}"; pid-file none; session-keyfile none; managed-keys-directory "${directory}";
  listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };
  recursion yes; allow-recursion { 127.0.0.1; }; dnssec-validation no; max-cache-size 8m; empty-zones-enable no; notify no;
};
controls { };
${secrets.join("\n")}
zone "." { type hint; file "/dev/null"; };
${blocks.join("\n")}
`;
}

function zoneFile({ records = [] }: NamedZone): string {
  return ["$TTL 5", "@ SOA ns.invalid. root.invalid. 1 3600 600 86400 1", "@ NS ns.invalid.", ...records, ""].join("\n");
}
