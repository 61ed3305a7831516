// Which requests write, so that only the primary region can answer them; `[kittiwake.primary]`. Pure.

import type { PrimaryRules } from "../core/app.ts";

/**
 * - write: the primary region is to answer
 * - read: any region, but one that has what its client wrote
 * - exempt: any region, whatever the method
 */
export type DataUse = "write" | "read" | "exempt";

/** @param target path and query, as sent: what is encoded is not decoded */
export function dataUseOf(method: string, target: string, { readMethods, alwaysForward, passthrough }: PrimaryRules): DataUse {
  if (passthrough.length > 0 || alwaysForward.length > 0) {
    const query = target.indexOf("?");
    const path = query === -1 ? target : target.slice(0, query);
    if (passthrough.some((pattern) => isLike(path, pattern))) return "exempt";
    if (alwaysForward.some((pattern) => isLike(path, pattern))) return "write";
  }
  return readMethods.includes(method) ? "read" : "write";
}

/** `*` in a pattern is any text. One pass: nobody can write a path that takes long. */
export function isLike(path: string, pattern: string): boolean {
  const parts = pattern.split("*");
  const first = parts[0]!;
  if (parts.length === 1) return path === first;
  const last = parts.at(-1)!;
  if (path.length < first.length + last.length || !path.startsWith(first) || !path.endsWith(last)) return false;
  const until = path.length - last.length;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = path.indexOf(part, at);
    if (found === -1 || found + part.length > until) return false;
    at = found + part.length;
  }
  return true;
}
