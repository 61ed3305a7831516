// BIND's named with the zones of a test: a primary that takes signed updates, and a resolver.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Address } from "../../src/core/app.ts";
import { NameDaemon } from "./name-daemon.ts";

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

/** Resolves when it answers. */
export function startBind(zones: Readonly<Record<string, NamedZone>>, keys: readonly NamedKey[] = []): Promise<NameDaemon> {
  return NameDaemon.start({
    program: "named",
    describe: (directory, port) => {
      const files: Record<string, string> = { "named.conf": configuration(directory, port, zones, keys) };
      for (const [name, zone] of Object.entries(zones)) if (zone.forwardTo === undefined) files[`${name}.zone`] = zoneFile(zone);
      return { args: ["-g", "-n", "1", "-c", join(directory, "named.conf")], files };
    },
    ready: [/ running$/m],
  });
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
