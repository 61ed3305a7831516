// `kittiwake certs list|show|export|delete|rotate-secret`: the certificates of the fleet, asked of the running node.

import type { AdminClient } from "../../admin/client.ts";
import { ProxyError } from "../../core/errors.ts";
import type { GlobalOptions } from "../config-source.ts";
import { connect, refusePlainWay } from "../connect.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatTable, printable } from "../table.ts";
import { printJson, type Terminal } from "../terminal.ts";

type Choice = Parameters<AdminClient["deleteCertificate"]>[0];
type Certificate = Awaited<ReturnType<AdminClient["certificates"]>>[number];

export interface ChoiceOptions extends GlobalOptions {
  /** As given. */
  readonly source?: string;
}

export interface ExportOptions extends ChoiceOptions {
  readonly privateKey?: boolean;
}

const DAY_MS = 86_400_000;

export async function listCertificates(options: GlobalOptions, terminal: Terminal): Promise<ExitCode> {
  await using client = await connect(options, terminal);
  const certificates = await client.certificates();
  if (options.json === true) printJson(terminal, certificates);
  else
    terminal.print(
      formatTable(["NAME", "SOURCE", "STATE", "EXPIRES", "CHALLENGE", "RENEWAL", "LAST ERROR", "NEXT ATTEMPT"], certificates.map(toRow)),
    );
  return EXIT.ok;
}

/** @param name of a certificate, or its id */
export async function showCertificate(name: string, options: GlobalOptions, terminal: Terminal): Promise<ExitCode> {
  await using client = await connect(options, terminal);
  const certificates = await client.certificate(name);
  if (options.json === true) printJson(terminal, certificates);
  else terminal.print(certificates.map((certificate) => describeCertificate(certificate)).join("\n\n"));
  return EXIT.ok;
}

/** PEM on stdout: certificate and intermediates, and the private key first where it is asked for. */
export async function exportCertificate(name: string, options: ExportOptions, terminal: Terminal): Promise<ExitCode> {
  await using client = await connect(options, terminal);
  const withKey = options.privateKey === true;
  if (withKey) refusePlainWay(client.url);
  const exported = await client.exportCertificate(choiceOf(name, options), withKey);
  if (options.json === true) printJson(terminal, exported);
  else terminal.print(`${exported.private_key_pem ?? ""}${exported.certificate_pem}`.trimEnd());
  return EXIT.ok;
}

export async function deleteCertificate(name: string, options: ChoiceOptions, terminal: Terminal): Promise<ExitCode> {
  await using client = await connect(options, terminal);
  const deleted = await client.deleteCertificate(choiceOf(name, options));
  if (options.json === true) printJson(terminal, deleted);
  else terminal.print(`deleted the ${deleted.source} certificate for ${deleted.names.map(printable).join(", ")}`);
  return EXIT.ok;
}

export async function rotateSecret(options: GlobalOptions, terminal: Terminal): Promise<ExitCode> {
  await using client = await connect(options, terminal);
  const result = await client.rotateSecret();
  if (options.json === true) printJson(terminal, result);
  else terminal.print(`sealed ${result.sealed} entries anew with the secret ${result.secret_id}`);
  if (result.unopened.length === 0) return EXIT.ok;
  terminal.complain(`kittiwake: the secret of these is not here, so they are as they were: ${result.unopened.map(printable).join(", ")}`);
  return EXIT.failure;
}

/** A line for each thing that there is to say. */
export function describeCertificate(
  certificate: Certificate & { readonly issuer?: string | null; readonly serial_number?: string | null },
): string {
  const lines: readonly (readonly [string, string | number | null | undefined])[] = [
    ["names", certificate.names.join(", ")],
    ["id", certificate.id],
    ["source", certificate.source],
    ["state", `${stateText(certificate)}${certificate.is_served || certificate.state === "missing" ? "" : ", not served: another one is"}`],
    ["valid from", certificate.not_before],
    ["valid until", certificate.not_after],
    ["issuer", certificate.issuer?.split("\n").join(", ")],
    ["serial number", certificate.serial_number],
    ["fingerprint", certificate.fingerprint],
    ["directory", certificate.directory],
    ["challenge", certificate.challenge],
    ["renewal", certificate.renew_at],
    ["explanation", certificate.explanation_url],
    ["failures", certificate.failures === 0 ? null : certificate.failures],
    ["last error", certificate.last_error],
    ["next attempt", certificate.next_attempt_at],
  ];
  const said = lines.filter(([, value]) => value !== null && value !== undefined);
  return said.map(([head, value]) => `${`${head}:`.padEnd(15)}${printable(String(value))}`).join("\n");
}

function toRow(certificate: Certificate): string[] {
  const { names, source, state, not_after: notAfter, challenge, renew_at: renewAt, last_error: error, next_attempt_at: next } = certificate;
  const name = names.length === 1 ? names[0]! : `${names[0]} and ${names.length - 1} more`;
  return [name, source, state.replaceAll("_", " "), daysUntil(notAfter), challenge ?? "-", dayOf(renewAt), error ?? "-", next ?? "-"];
}

function stateText({ state, not_after: notAfter }: Certificate): string {
  return `${state.replaceAll("_", " ")}${notAfter === null ? "" : `, ${daysUntil(notAfter)}`}`;
}

/** `2030-01-31 (in 30 d)`. */
function daysUntil(time: string | null): string {
  if (time === null) return "-";
  const days = (Date.parse(time) - Date.now()) / DAY_MS;
  const distance = `${Math.abs(days) < 10 ? Math.abs(days).toFixed(1) : Math.round(Math.abs(days))} d`;
  return `${dayOf(time)} (${days < 0 ? `${distance} ago` : `in ${distance}`})`;
}

function dayOf(time: string | null): string {
  return time === null ? "-" : time.slice(0, 10);
}

function choiceOf(name: string, { source }: ChoiceOptions): Choice {
  if (source === undefined) return { name, source: null };
  if (source === "acme" || source === "imported") return { name, source };
  throw new ProxyError("bad_request", `expected --source acme or --source imported, got ${JSON.stringify(source)}`);
}
