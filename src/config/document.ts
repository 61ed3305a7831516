// docs/config.md and the JSON schemas, both made from the schemas that check the files. Run this file to print them:
//
//     node src/config/document.ts > docs/config.md
//     node src/config/document.ts --schema fly > fly.schema.json          (or --schema kittiwake)

import { FLY_DOCUMENT } from "./fly-toml.ts";
import { expectation } from "./key-schema.ts";
import type { KeySchema } from "./key-schema.ts";
import { NODE_DOCUMENT } from "./node-schema.ts";
import { formatValue } from "./problems.ts";

/** JSON schemas (2020-12) of both documents, for editors. fly.toml's is that of the canonical spelling. */
export const JSON_SCHEMAS = { kittiwake: NODE_DOCUMENT.keys, fly: FLY_DOCUMENT.keys } as const;

const INTRODUCTION = `# Configuration

<!-- Made by src/config/document.ts from the schemas; change those instead. -->

A node is configured by \`kittiwake.toml\`, an app by a \`fly.toml\`. Both are [TOML](https://toml.io). \`kittiwake check\` reads all of them
and reports every problem at once, with file, line and key. Annotated examples with all defaults are in \`config/examples/\`.

- The node's file is the first of: \`$KITTIWAKE_CONFIG\`, \`./kittiwake.toml\`, \`./config/kittiwake.toml\`, \`/etc/kittiwake/kittiwake.toml\`.
- Paths in a file are relative to that file.
- Durations are in Go's syntax, such as \`"1m21s"\`, \`"800ms"\` or \`"1.5h"\`.
- An unknown key is an error with a suggestion. In \`fly.toml\` it is a warning, because Fly ignores it; under \`[kittiwake]\` it is an error.
- "Not yet" in the last column: the key is read and checked, and does nothing in this version. \`kittiwake check\` lists each use of one.
  A node does not start with \`engine = "nats"\` or an app whose driver is not in force.
`;

const FLY_NOTES = `Fly's other spellings are understood too:

- \`[[services]]\`, \`ports\`, checks, \`[[restart]]\`, \`[[statics]]\`, \`[[files]]\`, \`[[vm]]\`, \`[[mounts]]\` and \`[[metrics]]\` may be single tables;
  \`[mount]\`, \`[metric]\`, \`[compute]\` and \`[computes]\` are the same as \`[mounts]\`, \`[metrics]\`, \`[vm]\`
- ports may be strings of digits; \`concurrency = "20,25"\` is soft and hard limit of requests
- \`[[env]]\`, \`[[processes]]\` (\`name\`, \`command\`), \`[[checks]]\` (\`name\`) and lists of \`{ name, value }\` for headers
- \`kill_timeout\`, \`metrics_port\` and \`metrics_path\` under \`[experimental]\`
`;

/** The text of docs/config.md. */
export function describeConfiguration(): string {
  return [
    INTRODUCTION,
    "## kittiwake.toml\n",
    ...describeTable(NODE_DOCUMENT.keys, "", false),
    "## fly.toml\n",
    FLY_NOTES,
    ...describeTable(FLY_DOCUMENT.keys, "", false),
  ].join("\n");
}

/** One section for a table, and one for each table below it. */
function describeTable(table: KeySchema, heading: string, isPending: boolean): string[] {
  const rows: string[] = [];
  const sections: string[] = [];
  for (const [key, schema] of Object.entries(table.properties ?? {})) {
    const path = heading.replaceAll(/[[\]]/g, "");
    const below = tableBelow(schema, path === "" ? key : `${path}.${key}`);
    const isKeyPending = isPending || schema.pending === true;
    if (below === null) rows.push(describeKey(key, schema, table, isKeyPending));
    else sections.push(...describeTable({ description: schema.description ?? "", ...below.table }, below.heading, isKeyPending));
  }
  const own = [
    ...(heading === "" ? [] : [`### \`${heading}\`\n`, `${table.description}${isPending ? " Not yet in force." : ""}\n`]),
    ...(rows.length === 0 ? [] : ["| key | type | default | meaning | in force |", "|---|---|---|---|---|", ...rows, ""]),
  ];
  return [...own, ...sections];
}

function tableBelow(schema: KeySchema, path: string): { table: KeySchema; heading: string } | null {
  const description = schema.description ?? "";
  if (schema.properties !== undefined) return { table: schema, heading: `[${path}]` };
  if (schema.items?.properties !== undefined) return { table: { ...schema.items, description }, heading: `[[${path}]]` };
  const named = schema.additionalProperties;
  return named && named.properties !== undefined ? { table: { ...named, description }, heading: `[${path}.<name>]` } : null;
}

function describeKey(key: string, schema: KeySchema, table: KeySchema, isPending: boolean): string {
  const isRequired = table.required?.includes(key) ?? false;
  const cells = [
    `\`${key}\``,
    typeOf(schema),
    isRequired ? "required" : defaultOf(schema),
    schema.description ?? "",
    inForce(schema, isPending),
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function typeOf(schema: KeySchema): string {
  if (schema.deprecated) return "anything";
  if (schema.kind === undefined && schema.items !== undefined) return `list: ${typeOf(schema.items)}`;
  return expectation(schema).replace(/^an? /, "");
}

function defaultOf(schema: KeySchema): string {
  if (schema.fallback !== undefined) return schema.fallback;
  const isEmpty =
    schema.default === undefined || (typeof schema.default === "object" && Object.keys(schema.default as object).length === 0);
  return isEmpty ? "none" : `\`${toToml(schema.default)}\``;
}

function toToml(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(formatValue).join(", ")}]` : formatValue(value);
}

function inForce(schema: KeySchema, isPending: boolean): string {
  if (schema.deprecated) return "no effect";
  if (isPending) return "not yet";
  const values = schema.pending ?? schema.items?.pending;
  return Array.isArray(values) ? `not yet: ${values.map((value) => `\`${formatValue(value)}\``).join(", ")}` : "yes";
}

if (import.meta.main) {
  const [option, name] = process.argv.slice(2);
  const schema = option === "--schema" ? JSON_SCHEMAS[name as keyof typeof JSON_SCHEMAS] : undefined;
  process.stdout.write(schema === undefined ? describeConfiguration() : `${JSON.stringify(schema, null, 2)}\n`);
}
