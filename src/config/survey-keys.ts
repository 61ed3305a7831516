// Walks a document beside its schema and reports the keys that the schema does not judge by value: unknown ones, with the name that
// was probably meant, those without effect, and those that are understood but not yet in force.

import { closest, distance } from "fastest-levenshtein";

import type { Findings } from "./findings.ts";
import { childSchema, type KeySchema } from "./key-schema.ts";
import { formatChoice, formatKey, formatValue, type KeyPath } from "./problems.ts";

/** Few enough known names to list them all when none is near. */
const LISTED_NAMES = 8;

/** Reports on `tree` and all below it. */
export function surveyKeys(root: KeySchema, tree: unknown, findings: Findings): void {
  visit(root, tree, [], false);

  function visit(schema: KeySchema, value: unknown, path: KeyPath, isPending: boolean): void {
    if (Array.isArray(value)) {
      if (childSchema(schema, 0) === undefined) return; // no list is expected here, which is reported already
      value.forEach((item, index) => visitChild(schema, item, [...path, index], isPending));
    } else if (isTable(value)) {
      for (const [name, child] of Object.entries(value)) visitChild(schema, child, [...path, name], isPending);
    }
  }

  function visitChild(parent: KeySchema, value: unknown, path: KeyPath, isPending: boolean): void {
    const schema = childSchema(parent, path.at(-1)!);
    if (schema === undefined) return reportUnknown(parent, path);
    // zod leaves this key out of every table with free keys, without a word.
    if (path.at(-1) === "__proto__") return findings.error(path, "this name cannot be used");
    if (schema.deprecated) return findings.warning(path, "an old key without effect; remove it");
    const isNewlyPending = !isPending && isPendingValue(schema, value);
    if (isNewlyPending) findings.pending(path, schema.pending === true ? "" : `${formatValue(value)} is `);
    visit(schema, value, path, isPending || isNewlyPending);
  }

  function reportUnknown(parent: KeySchema, path: KeyPath): void {
    const known = knownNames(parent);
    if (known.names.length === 0) return; // a scalar's place, or a table whose keys are not ours to judge
    const message = `unknown key${suggestion(String(path.at(-1)), known.names, root)}`;
    if (known.isClosed) findings.error(path, message);
    else findings.warning(path, message);
  }
}

function isPendingValue(schema: KeySchema, value: unknown): boolean {
  return schema.pending === true || (schema.pending ?? []).includes(value);
}

function knownNames(schema: KeySchema): { names: string[]; isClosed: boolean } {
  if (schema.properties !== undefined) return { names: Object.keys(schema.properties), isClosed: schema.additionalProperties === false };
  const options = (schema.anyOf ?? []).map(knownNames).filter((option) => option.names.length > 0);
  return { names: options.flatMap((option) => option.names), isClosed: options.some((option) => option.isClosed) };
}

function suggestion(name: string, known: readonly string[], root: KeySchema): string {
  const near = closest(name, known);
  if (distance(name, near) <= 1 + name.length / 4) return `; did you mean ${near}?`;
  const longer = known.filter((other) => name.length >= 3 && (other.includes(name) || name.includes(other)));
  if (longer.length > 0) return `; did you mean ${closest(name, longer)}?`;
  const elsewhere = findElsewhere(root, name);
  if (elsewhere !== null) return `; did you mean ${formatKey(elsewhere)}?`;
  return known.length <= LISTED_NAMES ? `; known here: ${formatChoice(known, "and")}` : "";
}

/** A key of the same name in another table: most often the key slipped under the wrong header. The table that is least deep is likeliest. */
function findElsewhere(root: KeySchema, name: string): KeyPath | null {
  const tables: { readonly schema: KeySchema; readonly path: KeyPath }[] = [{ schema: root, path: [] }];
  // Grows meanwhile: breadth first.
  for (const { schema, path } of tables) {
    const properties = schema.properties ?? schema.items?.properties ?? {};
    if (Object.hasOwn(properties, name)) return [...path, name];
    for (const [key, child] of Object.entries(properties)) tables.push({ schema: child, path: [...path, key] });
  }
  return null;
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !(value instanceof Date);
}
