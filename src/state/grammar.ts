// What may go into a store, checked alike by every engine before it touches anything. See store.ts for the rules in prose.

import { ProxyError } from "../core/errors.ts";

/** Longest key or lease name, in characters (all are ASCII). */
export const MAX_KEY_LENGTH = 512;

/** Largest value, in bytes of UTF-8. */
export const MAX_VALUE_BYTES = 1024 * 1024;

const SEGMENTS = /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/;

/** Throws `store_invalid` unless `key` can name an entry or a lease. */
export function assertKey(key: string): void {
  if (key.length <= MAX_KEY_LENGTH && SEGMENTS.test(key)) return;
  throw new ProxyError(
    "store_invalid",
    `the key ${quote(key)} is not one: expected segments of letters, digits, ".", "_" and "-", joined by "/", ` +
      `${MAX_KEY_LENGTH} characters at most`,
  );
}

/** Throws `store_invalid` unless `prefix` is empty or a key followed by `/`. */
export function assertPrefix(prefix: string): void {
  if (prefix === "") return;
  if (!prefix.endsWith("/")) throw new ProxyError("store_invalid", `the prefix ${quote(prefix)} is not one: expected a "/" at its end`);
  assertKey(prefix.slice(0, -1));
}

/** Throws `store_invalid` unless `value` can be stored under `key` and read back as it was. */
export function assertValue(key: string, value: string): void {
  // A lone surrogate has no form in UTF-8: it would come back as another character.
  if (!value.isWellFormed()) throw new ProxyError("store_invalid", `the value for "${key}" is not well-formed text`);
  const bytes = Buffer.byteLength(value);
  if (bytes <= MAX_VALUE_BYTES) return;
  throw new ProxyError(
    "store_invalid",
    `the value for "${key}" has ${bytes} bytes: ${MAX_VALUE_BYTES} is the most; divide it over several keys`,
  );
}

/** Throws `store_invalid` unless `revision` can be one: a whole number, 0 for "before the first change". */
export function assertRevision(revision: number): void {
  if (Number.isSafeInteger(revision) && revision >= 0) return;
  throw new ProxyError("store_invalid", `the revision "${revision}" is not one: expected a whole number from 0`);
}

/** Throws `store_invalid` unless a lease can last `ttlMs`. */
export function assertTtl(name: string, ttlMs: number): void {
  if (Number.isFinite(ttlMs) && ttlMs > 0) return;
  throw new ProxyError("store_invalid", `the lease "${name}" cannot last "${ttlMs}" ms: expected a number above 0`);
}

function quote(text: string): string {
  return JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 80)}…`);
}
