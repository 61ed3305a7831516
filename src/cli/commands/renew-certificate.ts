// `kittiwake certs renew|revoke`: what an operator has the ACME authority do out of turn.

import type { GlobalOptions } from "../config-source.ts";
import { connect } from "../connect.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { printable } from "../table.ts";
import { printJson, type Terminal } from "../terminal.ts";

export interface RevokeOptions extends GlobalOptions {
  readonly reason: string;
}

/** Resolves when the new certificate is there. */
export async function renewCertificate(name: string, options: GlobalOptions, terminal: Terminal): Promise<ExitCode> {
  await using client = await connect(options, terminal);
  const renewed = await client.renewCertificate(name);
  if (options.json === true) printJson(terminal, renewed);
  else terminal.print(`renewed the certificate for ${printable(renewed.hostname)}, valid until ${renewed.not_after}`);
  return EXIT.ok;
}

export async function revokeCertificate(name: string, options: RevokeOptions, terminal: Terminal): Promise<ExitCode> {
  await using client = await connect(options, terminal);
  // The API has underscores throughout, the command line hyphens.
  const revoked = await client.revokeCertificate(name, options.reason.replaceAll("-", "_"));
  if (options.json === true) printJson(terminal, revoked);
  else terminal.print(`revoked the certificate for ${printable(revoked.hostname)}; it is served until another one is there`);
  return EXIT.ok;
}
