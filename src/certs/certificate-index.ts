// Which certificates there are for a name, best first: the vault's certificates, found by the keys of their entries and by their names.

import { acmeKey } from "./store-keys.ts";
import type { StoredCertificate } from "./stored-certificate.ts";
import { wildcardOf } from "./wildcard.ts";

/** A certificate as of a revision of its entry. */
export interface KnownCertificate {
  readonly certificate: StoredCertificate;
  readonly revision: number;
}

export class CertificateIndex {
  readonly #byKey = new Map<string, KnownCertificate>();
  /** Imported ones by each of their names, the last to expire first. */
  readonly #imported = new Map<string, readonly StoredCertificate[]>();

  get(storeKey: string): KnownCertificate | undefined {
    return this.#byKey.get(storeKey);
  }

  get all(): Iterable<KnownCertificate> {
    return this.#byKey.values();
  }

  /** The ACME certificate of a name or wildcard. */
  acme(name: string): StoredCertificate | null {
    return this.#byKey.get(acmeKey(name))?.certificate ?? null;
  }

  /** Best first: imported before ACME, the very name before the wildcard. Whether they are valid is for the caller to see. */
  candidates(name: string): readonly StoredCertificate[] {
    const wildcard = wildcardOf(name);
    const names = wildcard === null ? [name] : [name, wildcard];
    const candidates = names.flatMap((one) => this.#imported.get(one) ?? []);
    for (const one of names) {
      const certificate = this.acme(one);
      if (certificate !== null) candidates.push(certificate);
    }
    return candidates;
  }

  /** There must be none with this key. */
  add(known: KnownCertificate): void {
    const { certificate } = known;
    this.#byKey.set(certificate.storeKey, known);
    if (certificate.source === "acme") return;
    for (const name of certificate.names) {
      const all = [...(this.#imported.get(name) ?? []), certificate];
      this.#imported.set(
        name,
        all.toSorted((one, other) => other.notAfter.getTime() - one.notAfter.getTime()),
      );
    }
  }

  delete({ certificate }: KnownCertificate): void {
    this.#byKey.delete(certificate.storeKey);
    if (certificate.source === "acme") return;
    for (const name of certificate.names) {
      const others = (this.#imported.get(name) ?? []).filter((one) => one !== certificate);
      if (others.length === 0) this.#imported.delete(name);
      else this.#imported.set(name, others);
    }
  }
}
