// What the entries of certificates are called in the state store; docs/decisions/009-certificates.md says what is in each of them.

import { nameKey } from "./name-key.ts";

/** Everything that certificates need is under it. */
export const CERTS_PREFIX = "certs/";
export const ACME_PREFIX = `${CERTS_PREFIX}acme/`;
export const IMPORTED_PREFIX = `${CERTS_PREFIX}imported/`;

export function acmeKey(name: string): string {
  return ACME_PREFIX + nameKey(name);
}

export function importedKey(id: string): string {
  return IMPORTED_PREFIX + id;
}
