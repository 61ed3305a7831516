// The certificates of the fleet: what the state store holds of them, in memory on the main thread and kept up to date by a watch. Their
// keys stay sealed until somebody is served. With the store out of reach, what is known goes on being served.
//
//     load ──► known as of a revision ──run──► followed ──the watch was left behind──► loaded anew, and compared with what was known

import type { Logger } from "pino";

import { Alarm, type StartTimer } from "../core/alarm.ts";
import type { Component } from "../core/component.ts";
import { ProxyError } from "../core/errors.ts";
import type { Fence, Store } from "../state/store.ts";
import { logFailure } from "../telemetry/log.ts";
import { CertificateIndex, type KnownCertificate } from "./certificate-index.ts";
import type { IssuedCertificate } from "./issuer.ts";
import type { Secret } from "./secret.ts";
import { ACME_PREFIX, acmeKey, CERTS_PREFIX, IMPORTED_PREFIX, importedKey } from "./store-keys.ts";
import {
  type CertificateSource,
  formOf,
  HeldCertificate,
  readForm,
  SharedTexts,
  type StoredCertificate,
  type StoredForm,
} from "./stored-certificate.ts";

export interface VaultOptions {
  readonly store: Store;
  readonly secret: Secret;
  /** Other certificates serve these names now, or none do. A wildcard stands for every name below it. Must not throw. */
  onChanged(names: readonly string[]): void;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly startTimer?: StartTimer;
}

/** What an order brought. */
export interface NewAcmeCertificate extends IssuedCertificate {
  readonly directory: string;
  /** The type that proved the name. */
  readonly challenge: string;
}

/** A certificate of the operator's, found to be in order (bundle.ts). */
export interface NewImportedCertificate {
  readonly names: readonly string[];
  readonly certificatePem: string;
  /** PKCS #8. */
  readonly privateKeyPem: string;
}

export interface Imported {
  readonly certificate: StoredCertificate;
  readonly replaced: readonly StoredCertificate[];
}

/** A certificate this close to its end may be too old once it reaches the client. */
const LAST_MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

export class Vault implements Component {
  readonly name = "vault";
  readonly #options: VaultOptions;
  readonly #now: () => number;
  #index = new CertificateIndex();
  #shared = new SharedTexts();
  /** Certificates that are not valid yet: from their first moment on they change what a name is served with. */
  #later = new Set<StoredCertificate>();
  readonly #alarm: Alarm;
  /** All changes up to here are known; null: nothing is. */
  #position: number | null = null;

  constructor(options: VaultOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    const { startTimer } = options;
    this.#alarm = new Alarm({ now: this.#now, longestMs: DAY_MS, startTimer });
  }

  /** Reads everything. Throws `store_unavailable`; what was known stays known then. */
  async load(): Promise<void> {
    const { store } = this.#options;
    const position = await store.revision();
    const entries = position === 0 ? [] : [...(await store.list(ACME_PREFIX)), ...(await store.list(IMPORTED_PREFIX))];
    const before = this.#index;
    this.#index = new CertificateIndex();
    this.#later = new Set();
    this.#shared = new SharedTexts();
    const changed = new Set<string>();
    for (const { key, value, revision } of entries) {
      const earlier = before.get(key);
      // What has not changed is not read again.
      if (earlier?.revision === revision) this.#add(earlier);
      else this.#read(key, value, revision);
      noteChange(changed, earlier, this.#index.get(key));
    }
    for (const known of before.all) if (this.#index.get(known.certificate.storeKey) === undefined) noteChange(changed, known, undefined);
    this.#position = position;
    this.#tell(changed);
    this.#complainOfSecrets();
  }

  /** Follows the store until `signal` aborts. Throws `store_unavailable`; started anew it goes on where it was. */
  async run(signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const announcing = this.#announce(AbortSignal.any([signal, ended.signal]));
    try {
      while (!signal.aborted) await this.#followOnce(signal);
    } finally {
      ended.abort();
      await announcing;
    }
  }

  /** What a handshake for this name is to get: an imported certificate, its own, a wildcard's; null when none is valid for a minute more. */
  serving(name: string): StoredCertificate | null {
    const nowMs = this.#now();
    return this.#index.candidates(name).find((certificate) => isUsable(certificate, nowMs)) ?? null;
  }

  /**
   * The same with its key, or the next best whose key can be had. Throws `secret_unavailable` or `certificate_unavailable` when there are
   * some and none can be opened: then none should be ordered either.
   */
  issued(name: string): IssuedCertificate | null {
    const nowMs = this.#now();
    let failure: unknown = null;
    for (const certificate of this.#index.candidates(name)) {
      if (!isUsable(certificate, nowMs)) continue;
      try {
        return this.open(certificate);
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== null) throw failure;
    return null;
  }

  /** The ACME certificate of a name or wildcard, valid or not. */
  acme(name: string): StoredCertificate | null {
    return this.#index.acme(name);
  }

  /** The same from the store, which may know more: for the holder of the name's lease. Throws `store_unavailable`. */
  async fetchAcme(name: string): Promise<StoredCertificate | null> {
    const key = acmeKey(name);
    const known = this.#index.get(key);
    const entry = await this.#options.store.get(key);
    if (entry === null) this.#forget(key, known);
    else this.#apply(key, entry.value, entry.revision);
    return this.acme(name);
  }

  /** What serves a name, or would, besides its own ACME certificate: an imported one, or a wildcard's. */
  cover(name: string): StoredCertificate | null {
    const nowMs = this.#now();
    const own = acmeKey(name);
    return this.#index.candidates(name).find((certificate) => certificate.storeKey !== own && isUsable(certificate, nowMs)) ?? null;
  }

  /** Is it what one of its names is served with? A wildcard's names are those below it, most of which nobody knows. */
  isServed({ names, storeKey }: StoredCertificate): boolean {
    return names.some((name) => this.serving(name)?.storeKey === storeKey);
  }

  /** All certificates, in no particular order. */
  list(): readonly StoredCertificate[] {
    return Array.from(this.#index.all, ({ certificate }) => certificate);
  }

  /** With its key. Throws `secret_unavailable`, or `certificate_unavailable` when it was damaged. */
  open({ storeKey, hostname, certificatePem, sealedKey, notBefore, notAfter }: StoredCertificate): IssuedCertificate {
    return { hostname, certificatePem, privateKeyPem: this.#options.secret.open(storeKey, sealedKey), notBefore, notAfter };
  }

  /** Takes the place of the one that the name had. Throws `lease_lost`, `store_unavailable`, `secret_unavailable`. */
  async putAcme(certificate: NewAcmeCertificate, fence: Fence): Promise<void> {
    const { hostname, certificatePem, privateKeyPem, directory, challenge } = certificate;
    const storeKey = acmeKey(hostname);
    const own = formOf(certificatePem);
    const key = this.#options.secret.seal(storeKey, privateKeyPem);
    await this.#put(storeKey, { ...own, names: [hostname], key, directory, challenge }, fence);
  }

  /** Wins over ACME ones, and takes the place of earlier imported ones with the very same names. Throws as putAcme. */
  async putImported({ names, certificatePem, privateKeyPem }: NewImportedCertificate): Promise<Imported> {
    const own = formOf(certificatePem);
    const storeKey = importedKey(own.fingerprint.slice(0, 32));
    const key = this.#options.secret.seal(storeKey, privateKeyPem);
    const certificate = await this.#put(storeKey, { ...own, names: [...names], key });
    const wanted = namesKey(names);
    const replaced = this.list().filter((one) => one.source === "imported" && one.storeKey !== storeKey && namesKey(one.names) === wanted);
    for (const old of replaced) await this.delete(old);
    return { certificate, replaced };
  }

  /** As `delete`, of the ACME certificate of a name. */
  async deleteAcme(name: string, fence?: Fence): Promise<void> {
    await this.delete({ storeKey: acmeKey(name) }, fence);
  }

  /** Deleting what is not there is no change. Throws `lease_lost`, `store_unavailable`. */
  async delete({ storeKey }: Pick<StoredCertificate, "storeKey">, fence?: Fence): Promise<void> {
    const known = this.#index.get(storeKey);
    await this.#options.store.delete(storeKey, fence === undefined ? {} : { fence });
    this.#forget(storeKey, known);
  }

  async #followOnce(signal: AbortSignal): Promise<void> {
    if (this.#position === null) await this.load();
    try {
      await this.#follow(signal);
      if (!signal.aborted) throw new ProxyError("store_unavailable", "the state store was closed");
    } catch (error) {
      if (!(error instanceof ProxyError) || error.code !== "store_compacted") throw error;
      this.#options.log.info("the certificates have changed too much since they were looked at, reading them all");
      this.#position = null;
    }
  }

  /** Tells of certificates that become valid. */
  async #announce(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const nowMs = this.#now();
      const begun = [...this.#later].filter(({ notBefore }) => notBefore.getTime() <= nowMs);
      for (const certificate of begun) this.#later.delete(certificate);
      this.#tell(new Set(begun.flatMap(({ names }) => names)));
      await this.#alarm.sleep(Math.min(Infinity, ...[...this.#later].map(({ notBefore }) => notBefore.getTime())), signal);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for await (const { key, value, revision } of this.#options.store.watch(CERTS_PREFIX, this.#position!, signal)) {
      this.#apply(key, value, revision);
      this.#position = revision;
    }
  }

  async #put(storeKey: string, form: StoredForm, fence?: Fence): Promise<StoredCertificate> {
    const value = JSON.stringify(form);
    const revision = await this.#options.store.put(storeKey, value, fence === undefined ? {} : { fence });
    // Whoever put it finds it at once; the watch will bring it once more.
    this.#apply(storeKey, value, revision);
    return this.#index.get(storeKey)!.certificate;
  }

  /** What was known before the store was asked is gone from there; news that came meanwhile is newer than its answer. */
  #forget(storeKey: string, known: KnownCertificate | undefined): void {
    if (this.#index.get(storeKey) === known) this.#apply(storeKey, null, Infinity);
  }

  /** @param value null: it was deleted */
  #apply(key: string, value: string | null, revision: number): void {
    const earlier = this.#index.get(key);
    // What was put here is known already, and may be newer than what the watch brings.
    if (value !== null && earlier !== undefined && revision <= earlier.revision) return;
    if (earlier !== undefined) {
      this.#index.delete(earlier);
      this.#later.delete(earlier.certificate);
    }
    if (value !== null) this.#read(key, value, revision);
    const changed = new Set<string>();
    noteChange(changed, earlier, this.#index.get(key));
    this.#tell(changed);
  }

  #read(key: string, value: string, revision: number): void {
    const source = sourceOf(key);
    if (source === null) return;
    const form = readForm(value);
    if (form === null) this.#options.log.warn({ key }, "a stored certificate cannot be read, going on without it");
    else this.#add({ certificate: new HeldCertificate(key, source, form, this.#shared), revision });
  }

  #add(known: KnownCertificate): void {
    this.#index.add(known);
    const beginsMs = known.certificate.notBefore.getTime();
    if (beginsMs <= this.#now()) return;
    this.#later.add(known.certificate);
    this.#alarm.wakeBy(beginsMs);
  }

  #tell(changed: ReadonlySet<string>): void {
    if (changed.size > 0) this.#options.onChanged([...changed]);
  }

  /** Better heard at the start than from the first client. */
  #complainOfSecrets(): void {
    const { secret, log } = this.#options;
    const closed = this.list().find(({ sealedKey }) => !secret.canOpen(sealedKey));
    if (closed === undefined) return;
    try {
      this.open(closed);
    } catch (error) {
      logFailure(log, error, { hostname: closed.hostname });
    }
  }
}

function isUsable({ notBefore, notAfter }: StoredCertificate, nowMs: number): boolean {
  return notBefore.getTime() <= nowMs && notAfter.getTime() - nowMs > LAST_MINUTE_MS;
}

function sourceOf(key: string): CertificateSource | null {
  if (key.startsWith(ACME_PREFIX)) return "acme";
  return key.startsWith(IMPORTED_PREFIX) ? "imported" : null;
}

function namesKey(names: readonly string[]): string {
  return names.toSorted().join(" ");
}

/** The same certificate, only sealed anew, is nothing that a client would see. */
function noteChange(changed: Set<string>, before: KnownCertificate | undefined, after: KnownCertificate | undefined): void {
  if (before?.certificate.fingerprint === after?.certificate.fingerprint) return;
  for (const known of [before, after]) for (const name of known?.certificate.names ?? []) changed.add(name);
}
