// A document's zod schema, seen as data: its JSON schema with what we add to it. Problems, suggestions, the list of what is not yet in
// force and docs/config.md are all read from here, so that a key is described in one place only.

import { z } from "zod";

import { formatChoice, formatValue, type KeyPath } from "./problems.ts";

/** JSON schema 2020-12, as far as our documents use it, and our own keywords (set with zod's `.meta`). */
export interface KeySchema {
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, KeySchema>>;
  readonly required?: readonly string[];
  /** false: other keys are errors. A schema: a table with free keys. Absent: other keys are warnings. */
  readonly additionalProperties?: false | KeySchema;
  readonly propertyNames?: KeySchema;
  readonly items?: KeySchema;
  readonly anyOf?: readonly KeySchema[];
  readonly default?: unknown;
  /** true: a key of old that has no effect. */
  readonly deprecated?: boolean;
  /** Ours: what is expected, in words, where the type says too little: "a duration". */
  readonly kind?: string;
  /** Ours: the default in words, where it is not a constant: "the host name". */
  readonly fallback?: string;
  /** Ours: stands in for a missing or wrong value while the rest of the document is checked; every required key has one. */
  readonly standIn?: unknown;
  /** Ours: the key, or these values of it, are understood but not yet in force. */
  readonly pending?: true | readonly unknown[];
}

export interface DocumentSchema<Value> {
  readonly zod: z.ZodType<Value>;
  readonly keys: KeySchema;
}

export function defineDocument<Value>(zod: z.ZodType<Value>): DocumentSchema<Value> {
  return { zod, keys: z.toJSONSchema(zod, { io: "input" }) as KeySchema };
}

/** The schema of a key, or undefined where the document has no such key. */
export function schemaAt(root: KeySchema, path: KeyPath): KeySchema | undefined {
  let schema: KeySchema | undefined = root;
  for (const segment of path) {
    if (schema === undefined) return undefined;
    schema = childSchema(schema, segment);
  }
  return schema;
}

/** The schema of one key of a table, or of the items of a list. */
export function childSchema(schema: KeySchema, segment: string | number): KeySchema | undefined {
  if (typeof segment === "number" && schema.items !== undefined) return schema.items;
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, segment)) return schema.properties[segment];
  if (schema.additionalProperties) return schema.additionalProperties;
  for (const option of schema.anyOf ?? []) {
    const child = childSchema(option, segment);
    if (child !== undefined) return child;
  }
  return undefined;
}

/** What a key expects, to go after "expected": `a whole number from 1 to 65535`, `"off", "stop" or "suspend"`. */
export function expectation(schema: KeySchema): string {
  if (schema.kind !== undefined) return schema.kind;
  if (schema.anyOf !== undefined) return formatChoice([...new Set(schema.anyOf.map(expectation))]);
  if (schema.enum !== undefined) return formatChoice(schema.enum.map(formatValue));
  if (Array.isArray(schema.type)) return formatChoice(schema.type.map((type: string) => expectation({ type })));
  switch (schema.type) {
    case "integer":
      return `a whole number${range(schema)}`;
    case "number":
      return `a number${range(schema)}`;
    case "boolean":
      return "true or false";
    case "string":
      return "a string";
    case "array":
      return schema.maxItems === undefined ? "a list" : `a list of at most ${schema.maxItems}`;
    case "object":
      return "a table";
    default:
      return "another value";
  }
}

function range({ minimum = -Infinity, maximum = Infinity }: KeySchema): string {
  // zod writes the bounds of a safe integer where none was asked for.
  const from = minimum > Number.MIN_SAFE_INTEGER ? minimum : null;
  const to = maximum < Number.MAX_SAFE_INTEGER ? maximum : null;
  if (from !== null && to !== null) return ` from ${from} to ${to}`;
  if (from !== null) return ` of at least ${from}`;
  return to === null ? "" : ` of at most ${to}`;
}
