// From a parsed TOML tree to the value that its schema promises, with a finding for everything that is wrong. A wrong value does not
// hide the mistakes further on: it is replaced by its default, or by the schema's stand-in, so that the checks that need a whole
// document can go on and report theirs in the same run.

import type { z } from "zod";

import type { Findings } from "./findings.ts";
import { type DocumentSchema, expectation, type KeySchema, schemaAt } from "./key-schema.ts";
import { formatValue, type KeyPath } from "./problems.ts";
import { surveyKeys } from "./survey-keys.ts";

/** Each round of repair can uncover another problem only where a replaced table was incomplete itself. */
const MAX_REPAIRS = 4;

type Issue = z.core.$ZodIssue;

/**
 * @returns the value, complete and typed even if findings has errors now; null only where no stand-in could make it whole
 */
export function readDocument<Value>(document: DocumentSchema<Value>, tree: unknown, findings: Findings): Value | null {
  const value = parseRepairing(document, tree, findings);
  surveyKeys(document.keys, tree, findings);
  return value;
}

function parseRepairing<Value>(document: DocumentSchema<Value>, tree: unknown, findings: Findings): Value | null {
  let candidate = tree;
  for (let repairs = 0; repairs <= MAX_REPAIRS; repairs++) {
    const result = document.zod.safeParse(candidate);
    if (result.success) return result.data;
    const issues = result.error.issues.filter((issue) => issue.code !== "unrecognized_keys");
    for (const issue of issues) findings.error(keyPath(issue), explain(issue, document.keys, candidate));
    for (const issue of issues) findings.replaced(replacedPath(issue, document.keys));
    candidate = repaired(candidate, result.error.issues, document.keys);
  }
  return null;
}

function keyPath(issue: Issue): KeyPath {
  return issue.path.map((segment) => (typeof segment === "number" ? segment : String(segment)));
}

function explain(issue: Issue, keys: KeySchema, tree: unknown): string {
  if (issue.code === "custom") return issue.message;
  const path = keyPath(issue);
  const parent = schemaAt(keys, path.slice(0, -1)) ?? {};
  if (issue.code === "invalid_key") return `expected ${expectation(parent.propertyNames ?? {})} as the key`;
  const expected = expectation(schemaAt(keys, path) ?? {});
  const value = valueAt(tree, path);
  return value === undefined ? `missing; expected ${expected}` : `expected ${expected}, got ${formatValue(value)}`;
}

function valueAt(tree: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((node, segment) => {
    return typeof node === "object" && node !== null && Object.hasOwn(node, segment)
      ? (node as Record<string, unknown>)[segment]
      : undefined;
  }, tree);
}

/** A copy of the tree without what the issues complain about. */
function repaired(tree: unknown, issues: readonly Issue[], keys: KeySchema): unknown {
  const copy = structuredClone(tree);
  for (const issue of issues) {
    if (issue.code === "unrecognized_keys") for (const key of issue.keys) replace(copy, [...keyPath(issue), key], undefined);
    else if (issue.code === "invalid_key") replace(copy, keyPath(issue), undefined);
    else replaceWithStandIn(copy, issue, keys);
  }
  return copy;
}

function replaceWithStandIn(tree: unknown, issue: Issue, keys: KeySchema): void {
  const path = replacedPath(issue, keys);
  replace(tree, path, schemaAt(keys, path)?.standIn);
}

/** The value itself, or the whole list where it is an item without a stand-in: removing one would renumber the others. */
function replacedPath(issue: Issue, keys: KeySchema): KeyPath {
  const path = keyPath(issue);
  if (schemaAt(keys, path)?.standIn !== undefined) return path;
  return path.slice(0, path.findLastIndex((segment) => typeof segment === "string") + 1);
}

function replace(tree: unknown, path: KeyPath, value: unknown): void {
  const parent = valueAt(tree, path.slice(0, -1));
  if (typeof parent !== "object" || parent === null) return;
  if (value === undefined) Reflect.deleteProperty(parent, path.at(-1)!);
  else Object.defineProperty(parent, path.at(-1)!, { value, writable: true, enumerable: true, configurable: true });
}
