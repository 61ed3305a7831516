// [kittiwake.tls]: whose certificates an app takes of its clients. The files are read and checked with the configuration, so that a handshake
// never finds them missing or damaged.

import { createHash, X509Certificate } from "node:crypto";
import { resolve } from "node:path";
import { createSecureContext } from "node:tls";

import type { ClientAuth, Service } from "../core/app.ts";
import type { Findings } from "./findings.ts";
import { documentServices, portPath } from "./fly-services.ts";
import type { FlyDocument } from "./fly-toml.ts";
import { formatValue } from "./problems.ts";
import { readTextFile } from "./text-file.ts";
import type { TomlFile } from "./toml-file.ts";

/** Every worker keeps them in memory, and gets them anew with every change of the app. */
const MAX_BYTES = 262_144;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
const TABLE = ["kittiwake", "tls"];

/** null where the app asks for none; also after an error, which is reported. */
export function readClientAuth(document: FlyDocument, services: readonly Service[], findings: Findings): ClientAuth | null {
  const { client_ca: caFile, client_auth: mode, client_crl: crlFile } = document.kittiwake.tls;
  if (caFile === undefined) {
    if (mode !== undefined)
      findings.error([...TABLE, "client_auth"], "client_ca is missing; name the file of those who issue the certificates");
    if (crlFile !== undefined) findings.error([...TABLE, "client_crl"], "client_ca is missing; revocation is only looked at with it");
    return null;
  }
  const ca = readPem("client_ca", caFile, findings, problemOfCa);
  const crl = crlFile === undefined ? null : readPem("client_crl", crlFile, findings, problemOfCrl);
  if (ca === undefined || crl === undefined) return null;
  warnOfPortsWithout(document, services, findings);
  const rules = { mode: mode ?? "required", ca, crl } as const;
  return { id: createHash("sha256").update(JSON.stringify(rules)).digest("base64url"), ...rules };
}

/** Absolute paths of what a document names here. */
export function clientAuthFiles({ kittiwake }: FlyDocument, file: TomlFile): string[] {
  const { client_ca: ca, client_crl: crl } = kittiwake.tls;
  return [ca, crl].filter((path) => path !== undefined).map((path) => resolve(file.directory, path));
}

/** undefined after a problem, which is reported. */
function readPem(key: string, path: string, findings: Findings, problemOf: (pem: string) => string | null): string | undefined {
  const text = readTextFile(resolve(findings.file.directory, path), MAX_BYTES);
  const problem = typeof text === "string" ? problemOf(text) : text.failure;
  if (problem === null) return text as string;
  findings.error([...TABLE, key], `${problem}: ${formatValue(path)}`);
  return undefined;
}

function problemOfCa(pem: string): string | null {
  if (pem.includes("PRIVATE KEY")) return "expected certificates only, got a private key too, which must not be here";
  const certificates = pem.match(CERTIFICATE) ?? [];
  if (certificates.length === 0) return "expected certificates in PEM";
  const bad = certificates.findIndex((certificate) => !isCertificate(certificate));
  return bad === -1 ? null : `certificate ${bad + 1} of ${certificates.length} cannot be read`;
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== "";
  } catch {
    return false;
  }
}

function problemOfCrl(pem: string): string | null {
  if (!pem.includes("-----BEGIN X509 CRL-----")) return "expected revocation lists in PEM";
  try {
    createSecureContext({ crl: pem });
    return null;
  } catch (error) {
    return `a revocation list cannot be read (${(error as Error).message})`;
  }
}

/** Where the edge does not end TLS there is nobody to ask for a certificate, and the port is open to all. */
function warnOfPortsWithout(document: FlyDocument, services: readonly Service[], findings: Findings): void {
  const placed = documentServices(document);
  for (const [index, { ports }] of services.entries()) {
    for (const [at, { handlers }] of ports.entries()) {
      if (handlers.some((handler) => handler === "tls" || handler === "pg_tls" || handler === "http")) continue;
      findings.warning(
        portPath(placed[index]!, at),
        "client_ca has no effect here, where TLS does not end at the edge: anybody can connect",
      );
    }
  }
}
