// What the admin API and the CLI may ask about certificates and have done with them, answered from the vault and the state store.

import { X509Certificate } from "node:crypto";

import type { Logger } from "pino";
import { z } from "zod";

import { ProxyError } from "../core/errors.ts";
import type { Store } from "../state/store.ts";
import { readBundle } from "../certs/bundle.ts";
import { lifetimeState } from "../certs/lifetime.ts";
import { nameOfKey } from "../certs/name-key.ts";
import { rotateSecret } from "../certs/seal-anew.ts";
import type { Renewer } from "../certs/renewer.ts";
import type { Secret } from "../certs/secret.ts";
import { canonicalServerName } from "../certs/server-name.ts";
import { CERTS_PREFIX } from "../certs/store-keys.ts";
import type { StoredCertificate } from "../certs/stored-certificate.ts";
import type { Vault } from "../certs/vault.ts";
import { wildcardOf } from "../certs/wildcard.ts";
import {
  REVOCATION_REASONS,
  type CertificateChoice,
  type CertificateControl,
  type CertificateDetails,
  type CertificateStatus,
  type ExportedCertificate,
  type ImportResult,
  type RotateResult,
  type RevocationReason,
} from "../admin/control.ts";

export interface CertificatesControlOptions {
  readonly vault: Vault;
  readonly secret: Secret;
  readonly store: Store;
  /** null: no authority is configured. */
  readonly renewer: Pick<Renewer, "renew" | "revoke" | "missing"> | null;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** A certificate may have hundreds. */
const MAX_LOGGED_NAMES = 20;

/** What of the renewer's records is shown. */
const attempt = z.object({ failures: z.number(), error: z.string(), retryAtMs: z.number() });
const renewal = z.object({ fingerprint: z.string(), renewAtMs: z.number(), explanationUrl: z.string().nullable() });

/** By name. */
interface Records {
  readonly attempts: ReadonlyMap<string, z.infer<typeof attempt>>;
  readonly renewals: ReadonlyMap<string, z.infer<typeof renewal>>;
  /** Names that wait for their first order: when that is to be. */
  readonly missing: ReadonlyMap<string, number>;
}

export class CertificatesControl implements CertificateControl {
  readonly #options: CertificatesControlOptions;
  #rotating: Promise<RotateResult> | null = null;

  constructor(options: CertificatesControlOptions) {
    this.#options = options;
  }

  async list(): Promise<readonly CertificateStatus[]> {
    const records = await this.#records();
    const found = this.#options.vault.list().map((certificate) => this.#status(certificate, records));
    const failed = [...records.attempts.keys()].filter((name) => this.#options.vault.acme(name) === null);
    const missing = new Set([...failed, ...records.missing.keys()]);
    return [...found, ...[...missing].map((name) => withoutCertificate(name, records))].toSorted(byName);
  }

  async show(name: string): Promise<readonly CertificateDetails[]> {
    const records = await this.#records();
    const found = this.#shown(name).map((certificate): CertificateDetails => {
      const { issuer, serialNumber } = new X509Certificate(certificate.certificatePem);
      return { ...this.#status(certificate, records), issuer, serialNumber };
    });
    if (this.#options.vault.acme(name) === null && (records.attempts.has(name) || records.missing.has(name))) {
      found.push({ ...withoutCertificate(name, records), issuer: null, serialNumber: null });
    }
    if (found.length === 0) throw notFound(name);
    return found.toSorted(byName);
  }

  async import(pem: string): Promise<ImportResult> {
    const { vault, log, now } = this.#options;
    const { notes, ...bundle } = readBundle(pem, now());
    const { certificate, replaced } = await vault.putImported(bundle);
    const status = this.#status(certificate, await this.#records());
    log.info(
      {
        hostname: status.hostname,
        names: status.names.slice(0, MAX_LOGGED_NAMES),
        notAfter: status.notAfter,
        fingerprint: status.fingerprint,
      },
      "imported a certificate",
    );
    return { certificate: status, notes, replaced: replaced.map(idOf) };
  }

  export(choice: CertificateChoice, withKey: boolean): ExportedCertificate {
    const { vault, log } = this.#options;
    const certificate = this.#one(choice);
    if (!withKey) return { certificatePem: certificate.certificatePem, privateKeyPem: null };
    const { certificatePem, privateKeyPem } = vault.open(certificate);
    log.warn({ hostname: certificate.hostname, id: idOf(certificate) }, "a private key was exported through the admin API");
    return { certificatePem, privateKeyPem };
  }

  async delete(choice: CertificateChoice): Promise<CertificateStatus> {
    const { vault, log } = this.#options;
    const certificate = this.#one(choice);
    const status = this.#status(certificate, await this.#records());
    await vault.delete(certificate);
    log.info({ hostname: certificate.hostname, id: idOf(certificate) }, "deleted a certificate");
    return status;
  }

  async renew(name: string): Promise<CertificateStatus> {
    await this.#renewer().renew(hostnameOf(name));
    return await this.#own(hostnameOf(name));
  }

  async revoke(name: string, reason: RevocationReason): Promise<CertificateStatus> {
    await this.#renewer().revoke(hostnameOf(name), REVOCATION_REASONS[reason]);
    return await this.#own(hostnameOf(name));
  }

  rotateSecret(): Promise<RotateResult> {
    this.#rotating ??= this.#rotate().finally(() => {
      this.#rotating = null;
    });
    return this.#rotating;
  }

  async #rotate(): Promise<RotateResult> {
    const { store, secret, log } = this.#options;
    const { count, unopened } = await rotateSecret(store, secret);
    log.info({ secretId: secret.keyId, sealed: count, unopened }, "sealed the private keys in the state store anew");
    return { secretId: secret.keyId, sealed: count, unopened };
  }

  #renewer(): Pick<Renewer, "renew" | "revoke" | "missing"> {
    const { renewer } = this.#options;
    if (renewer === null) throw new ProxyError("bad_request", 'there is no ACME authority here; set tls.issuer = "acme"');
    return renewer;
  }

  async #own(name: string): Promise<CertificateStatus> {
    const own = this.#options.vault.acme(name);
    if (own === null) throw notFound(name);
    return this.#status(own, await this.#records());
  }

  /** Those for the very name; else the wildcards that it is served with. */
  #shown(name: string): StoredCertificate[] {
    const found = this.#find({ name, source: null });
    const wildcard = wildcardOf(name);
    return found.length > 0 || wildcard === null ? found : this.#find({ name: wildcard, source: null });
  }

  #find({ name, source }: CertificateChoice): StoredCertificate[] {
    const wanted = name.toLowerCase();
    return this.#options.vault
      .list()
      .filter((one) => (one.names.includes(wanted) || idOf(one) === wanted) && (source === null || one.source === source));
  }

  #one(choice: CertificateChoice): StoredCertificate {
    const [found, ...others] = this.#find(choice);
    if (found === undefined) throw notFound(choice.name);
    if (others.length === 0) return found;
    const ids = [found, ...others].map((one) => `${idOf(one)} (${one.source})`);
    throw new ProxyError("bad_request", `there are several certificates for "${choice.name}": name one by its id, ${ids.join(" or ")}`);
  }

  #status(certificate: StoredCertificate, { attempts, renewals }: Records): CertificateStatus {
    const { hostname, names, source, notBefore, notAfter, fingerprint, challenge = null, directory = null } = certificate;
    const failed = source === "acme" ? attempts.get(hostname) : undefined;
    const planned = source === "acme" ? renewals.get(hostname) : undefined;
    const plan = planned?.fingerprint === fingerprint ? planned : undefined;
    return {
      id: idOf(certificate),
      hostname,
      names,
      source,
      state: lifetimeState(certificate, this.#options.now()),
      isServed: this.#options.vault.isServed(certificate),
      notBefore: notBefore.toISOString(),
      notAfter: notAfter.toISOString(),
      fingerprint,
      challenge,
      directory,
      renewAt: plan === undefined ? null : timeOf(plan.renewAtMs),
      explanationUrl: plan?.explanationUrl ?? null,
      ...failureOf(failed),
    };
  }

  /** With the store out of reach the certificates are shown without them. */
  async #records(): Promise<Records> {
    const missing = new Map((this.#options.renewer?.missing ?? []).map(({ name, atMs }) => [name, Math.max(atMs, this.#options.now())]));
    return { attempts: await this.#recordsOf("attempts/", attempt), renewals: await this.#recordsOf("renewals/", renewal), missing };
  }

  async #recordsOf<Value>(kind: string, schema: z.ZodType<Value>): Promise<ReadonlyMap<string, Value>> {
    const prefix = CERTS_PREFIX + kind;
    const found = new Map<string, Value>();
    const entries = await this.#options.store.list(prefix).catch(() => []);
    for (const { key, value } of entries) {
      const record = schema.safeParse(jsonOf(value));
      if (record.success) found.set(nameOfKey(key.slice(prefix.length)), record.data);
    }
    return found;
  }
}

function withoutCertificate(name: string, { attempts, missing }: Records): CertificateStatus {
  const nothing = {
    notBefore: null,
    notAfter: null,
    fingerprint: null,
    challenge: null,
    directory: null,
    renewAt: null,
    explanationUrl: null,
  };
  const waiting = { failures: 0, lastError: null, nextAttemptAt: timeOf(missing.get(name) ?? Number.NaN) };
  const failed = attempts.has(name) ? failureOf(attempts.get(name)) : waiting;
  return { id: name, hostname: name, names: [name], source: "acme", state: "missing", isServed: false, ...nothing, ...failed };
}

function failureOf(failed: z.infer<typeof attempt> | undefined): Pick<CertificateStatus, "failures" | "lastError" | "nextAttemptAt"> {
  if (failed === undefined) return { failures: 0, lastError: null, nextAttemptAt: null };
  return { failures: failed.failures, lastError: failed.error, nextAttemptAt: timeOf(failed.retryAtMs) };
}

/** Of an imported one that of its entry, since several may have the same names; an ACME one is the only one of its name. */
function idOf({ storeKey, hostname, source }: StoredCertificate): string {
  return source === "acme" ? hostname : storeKey.slice(storeKey.lastIndexOf("/") + 1);
}

function byName(one: CertificateStatus, other: CertificateStatus): number {
  return one.hostname < other.hostname ? -1 : one.hostname > other.hostname ? 1 : one.source < other.source ? -1 : 1;
}

function timeOf(ms: number): string | null {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Of people, who write them as they like; what is none is refused where it is looked up. */
function hostnameOf(name: string): string {
  if (!name.startsWith("*.")) return canonicalServerName(name) ?? name;
  const above = canonicalServerName(name.slice(2));
  return above === null ? name : `*.${above}`;
}

function notFound(name: string): ProxyError {
  return new ProxyError("certificate_not_found", `there is no certificate for ${JSON.stringify(name)}`);
}
