// `kittiwake certs dns [NAME…]`: the CNAME record that the owner of a name sets so that its certificate can be had by DNS-01, and whether it
// is set. Works without a running node.

import { createCnameLookup, delegationOf, delegationProblem, formatDelegation } from "../../certs/dns/delegation.ts";
import { canonicalHostname } from "../../config/address.ts";
import { loadConfig } from "../../config/load.ts";
import { ProxyError } from "../../core/errors.ts";
import { configPath, type GlobalOptions, readNodeConfig } from "../config-source.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatTable } from "../table.ts";
import { printJson, type Terminal } from "../terminal.ts";

interface Row {
  readonly name: string;
  /** null: nothing to set, dynamic updates do it. */
  readonly record: { readonly name: string; readonly target: string } | null;
  /** null: nothing is wrong. */
  readonly problem: string | null;
}

/**
 * Fails when a record is not as it must be.
 *
 * @param named none: every wildcard that an app declares
 */
export async function showDelegations(named: readonly string[], options: GlobalOptions, terminal: Terminal): Promise<ExitCode> {
  const path = configPath(options, terminal);
  const { tls } = readNodeConfig(path, ["tls"], terminal.env);
  const dns = tls.issuer === "acme" ? tls.dns : null;
  if (dns === null || (dns.ownZone === null && dns.updates === null)) {
    throw new ProxyError(
      "config_invalid",
      `${path} has no way to answer DNS-01: issuer = "acme" with [tls.acme.dns] or [tls.acme.rfc2136]`,
    );
  }
  const { ownZone, updates } = dns;
  const lookup = createCnameLookup(ownZone?.resolvers ?? []);
  const names = named.length > 0 ? named.map(canonicalName) : declaredWildcards(path, terminal);
  const rows = await Promise.all(
    names.map(async (name): Promise<Row> => {
      const base = name.replace(/^\*\./, "");
      const isUpdated = updates !== null && (updates.zone === null || base === updates.zone || base.endsWith(`.${updates.zone}`));
      if (isUpdated) return { name, record: null, problem: null };
      if (ownZone === null) return { name, record: null, problem: `not in the zone of [tls.acme.rfc2136], and there is no [tls.acme.dns]` };
      const delegation = delegationOf(name, ownZone.zone);
      const problem = await delegationProblem(delegation, lookup, AbortSignal.timeout(30_000)).catch((error: Error) => error.message);
      return { name, record: delegation, problem };
    }),
  );
  if (options.json === true) printJson(terminal, rows.map(toJson));
  else terminal.print(formatTable(["NAME", "RECORD", "STATE"], rows.map(toCells)));
  return rows.every(({ problem }) => problem === null) ? EXIT.ok : EXIT.failure;
}

function declaredWildcards(path: string, { cwd, env }: Terminal): string[] {
  const config = loadConfig(path, { cwd, environment: env });
  if (!config.usable)
    throw new ProxyError("config_invalid", "the configuration has errors; kittiwake check lists them, or name the host names");
  return config.apps.flatMap(({ hostnames }) => hostnames.filter((hostname) => hostname.startsWith("*.")));
}

function canonicalName(text: string): string {
  const star = text.startsWith("*.") ? "*." : "";
  const canonical = canonicalHostname(text.slice(star.length));
  if (canonical === null) throw new ProxyError("bad_request", `expected a host name, got ${JSON.stringify(text)}`);
  return star + canonical;
}

function toCells({ name, record, problem }: Row): string[] {
  const wanted = record === null ? "-" : formatDelegation(record);
  if (problem !== null) return [name, wanted, problem];
  return [name, wanted, record === null ? "nothing to set: dynamic updates do it" : "set"];
}

function toJson({ name, record, problem }: Row): Readonly<Record<string, unknown>> {
  return { name, record: record === null ? null : { name: record.name, type: "CNAME", target: record.target }, problem };
}
