// The condition that a write carries: what the key must be for the write to happen.

import { ProxyError } from "../core/errors.ts";

/**
 * - any: whatever is there
 * - absent: nothing, or a deleted key
 * - a number: the entry at exactly this revision
 */
export type Expected = "any" | "absent" | number;

/**
 * Throws `store_conflict` when the key is not as expected.
 *
 * @param current revision of the entry, null when there is none
 */
export function assertExpected(key: string, expected: Expected, current: number | null): void {
  if (expected === "any" || expected === (current ?? "absent")) return;
  if (expected === "absent") throw new ProxyError("store_conflict", `"${key}" exists already, at revision ${current}`);
  if (current === null) throw new ProxyError("store_conflict", `"${key}" is gone: expected it at revision ${expected}`);
  throw new ProxyError("store_conflict", `"${key}" is at revision ${current}, not at ${expected}: read it again and decide anew`);
}
