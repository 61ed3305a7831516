// [tls.acme] as the composition root gets it, its files read and checked. Part of node-config.ts.

import { X509Certificate } from "node:crypto";

import { isLoopback } from "./address.ts";
import { type DnsChallenges, toDnsChallenges } from "./dns-challenges.ts";
import type { Findings } from "./findings.ts";
import type { NodeDocument } from "./node-schema.ts";
import { formatValue } from "./problems.ts";
import { readTextFile } from "./text-file.ts";

export interface AcmeConfig {
  readonly issuer: "acme";
  readonly directory: string;
  /** null: names that fail are tried with the real one alone. */
  readonly stagingDirectory: string | null;
  readonly email: string | null;
  readonly termsAgreed: boolean;
  /** Absolute. */
  readonly caFile: string | null;
  /** In the order in which they are tried. */
  readonly challenges: readonly ("tls-alpn-01" | "http-01" | "dns-01")[];
  readonly key: "ecdsa-p256" | "rsa-2048";
  /** null: the authority's default. */
  readonly profile: string | null;
  /** New names under one registered domain within a week; 0: any number. */
  readonly newNamesPerWeek: number;
  /** null: the authority gives accounts to everybody. */
  readonly externalAccount: { readonly kid: string; readonly hmacKey: string } | null;
  /** How TXT records for DNS-01 are set. */
  readonly dns: DnsChallenges;
}

export type Environment = Readonly<Record<string, string | undefined>>;

type AcmeDocument = NodeDocument["tls"]["acme"];

const AT = ["tls", "acme"];
const EAB_VARIABLE = "KITTIWAKE_EAB_HMAC";
const MIN_HMAC_LENGTH = 22;
/** Its own limit, reference 2.4. */
const LETS_ENCRYPT_NAMES_PER_WEEK = 50;

export function toAcme(acme: AcmeDocument, findings: Findings, absolute: (path: string) => string, environment: Environment): AcmeConfig {
  const { directory, challenges, key } = acme;
  warnOfPlainHttp("directory", directory, findings);
  if (acme.staging_directory !== undefined) warnOfPlainHttp("staging_directory", acme.staging_directory, findings);
  if (acme.staging_directory === directory) findings.error([...AT, "staging_directory"], "expected another one than directory");
  return {
    issuer: "acme",
    directory,
    stagingDirectory: acme.staging_directory ?? null,
    email: acme.email ?? null,
    termsAgreed: acme.terms_agreed,
    caFile: toCaFile(acme.ca_file, findings, absolute),
    challenges: [...new Set(challenges)],
    key,
    profile: acme.profile ?? null,
    newNamesPerWeek: acme.new_names_per_week ?? (isLetsEncrypt(directory) ? LETS_ENCRYPT_NAMES_PER_WEEK : 0),
    externalAccount: toExternalAccount(acme, findings, absolute, environment),
    dns: toDnsChallenges(acme, findings, absolute),
  };
}

function isLetsEncrypt(directory: string): boolean {
  return new URL(directory).hostname.endsWith(".api.letsencrypt.org");
}

function warnOfPlainHttp(key: "directory" | "staging_directory", url: string, findings: Findings): void {
  const { protocol, hostname } = new URL(url);
  if (protocol === "https:" || isLoopback(hostname.replace(/^\[|\]$/g, ""))) return;
  findings.warning([...AT, key], "whoever is on the way to an authority without https can have certificates for your names");
}

function toCaFile(path: string | undefined, findings: Findings, absolute: (path: string) => string): string | null {
  if (path === undefined) return null;
  const text = readTextFile(absolute(path));
  if (typeof text !== "string") findings.error([...AT, "ca_file"], `${text.failure}: ${formatValue(path)}`);
  else if (!isCertificate(text)) findings.error([...AT, "ca_file"], `expected a certificate in PEM in ${formatValue(path)}`);
  return absolute(path);
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).ca;
  } catch {
    return false;
  }
}

function toExternalAccount(
  { eab_kid: kid, eab_hmac_file: file }: AcmeDocument,
  findings: Findings,
  absolute: (path: string) => string,
  environment: Environment,
): AcmeConfig["externalAccount"] {
  if (kid === undefined) {
    if (file !== undefined) findings.error([...AT, "eab_kid"], "missing; eab_hmac_file is of no use without it");
    return null;
  }
  const hmacKey = file === undefined ? environment[EAB_VARIABLE]?.trim() : readHmacKey(file, findings, absolute);
  if (hmacKey === undefined) findings.error([...AT, "eab_hmac_file"], `missing; eab_kid needs its key, in this file or in ${EAB_VARIABLE}`);
  else if (file === undefined && !isHmacKey(hmacKey)) findings.error([...AT, "eab_kid"], `expected a key in Base64url in ${EAB_VARIABLE}`);
  return { kid, hmacKey: hmacKey ?? "" };
}

function readHmacKey(file: string, findings: Findings, absolute: (path: string) => string): string {
  const text = readTextFile(absolute(file));
  if (typeof text !== "string") {
    findings.error([...AT, "eab_hmac_file"], `${text.failure}: ${formatValue(file)}`);
    return "";
  }
  const key = text.trim();
  if (!isHmacKey(key)) findings.error([...AT, "eab_hmac_file"], `expected a key in Base64url in ${formatValue(file)}`);
  return key;
}

function isHmacKey(text: string): boolean {
  return text.length >= MIN_HMAC_LENGTH && /^[A-Za-z0-9_+/-]+={0,2}$/.test(text);
}
