import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { parse } from "smol-toml";

import { Findings } from "../../src/config/findings.ts";
import { FLY_DOCUMENT } from "../../src/config/fly-toml.ts";
import type { DocumentSchema, KeySchema } from "../../src/config/key-schema.ts";
import { loadConfig } from "../../src/config/load.ts";
import { NODE_DOCUMENT } from "../../src/config/node-schema.ts";
import { formatProblem } from "../../src/config/problems.ts";
import { readDocument } from "../../src/config/read-document.ts";
import { TomlFile } from "../../src/config/toml-file.ts";

const root = join(import.meta.dirname, "../..");
const ANNOTATED: [file: string, document: DocumentSchema<unknown>][] = [
  ["config/examples/kittiwake.annotated.toml", NODE_DOCUMENT],
  ["config/examples/fly.annotated.toml", FLY_DOCUMENT],
];

test("the demo's configuration has no problem of any kind", () => {
  const config = loadConfig("config/kittiwake.toml", { cwd: root, hostname: "demo" });
  assert.deepEqual(config.problems.map(formatProblem), []);
  assert.ok(config.usable);
  assert.deepEqual(
    config.apps.map((app) => [app.name, app.machines.map((machine) => machine.name)]),
    [
      ["hello", ["ams", "nrt", "ord"]],
      ["slow", ["ams"]],
    ],
  );
  assert.deepEqual(config.node.edge.ports, { 80: 8080, 443: 8443 });
});

test("what the annotated examples do not comment out is the default", () => {
  for (const [file, document] of ANNOTATED) {
    for (const { path, schema, value, isRequired } of leaves(document.keys, parse(readFileSync(join(root, file), "utf8")))) {
      if (!isRequired) assert.deepEqual(value, schema.default, `${file}: ${path}`);
    }
  }
});

test("the annotated examples have every key, and with all comments taken away every key is valid", () => {
  for (const [file, document] of ANNOTATED) {
    const text = readFileSync(join(root, file), "utf8").replaceAll(/^#(?=[\w-]+ *=|\[)/gm, "");
    const tree = parse(text);
    const findings = new Findings(new TomlFile(join(root, file), file, text, tree));
    readDocument(document, tree, findings);
    const problems = findings.toProblems().filter((problem) => problem.severity !== "pending");
    assert.deepEqual(problems.map(formatProblem), []);

    const present = new Set(Array.from(leaves(document.keys, tree), ({ path }) => path));
    assert.deepEqual(
      allKeys(document.keys).filter((path) => !present.has(path)),
      [],
      file,
    );
  }
});

interface Leaf {
  /** Without indices and without the names of free keys. */
  readonly path: string;
  readonly schema: KeySchema;
  readonly value: unknown;
  readonly isRequired: boolean;
}

/** Every key of a document that is no table of further known keys. */
function* leaves(schema: KeySchema, value: unknown, path = ""): Generator<Leaf> {
  for (const [key, child] of Object.entries(schema.properties ?? {})) {
    const inner = (value as Record<string, unknown>)[key];
    if (inner === undefined) continue;
    const childPath = `${path}.${key}`;
    const isRequired = schema.required?.includes(key) ?? false;
    if (child.properties !== undefined) yield* leaves(child, inner, childPath);
    else if (child.items?.properties !== undefined) for (const item of inner as unknown[]) yield* leaves(child.items, item, childPath);
    else if (isNamed(child)) for (const item of Object.values(inner as object)) yield* leaves(child.additionalProperties, item, childPath);
    else yield { path: childPath, schema: child, value: inner, isRequired };
  }
}

function allKeys(schema: KeySchema, path = ""): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const below =
      child.properties !== undefined
        ? child
        : child.items?.properties !== undefined
          ? child.items
          : isNamed(child)
            ? child.additionalProperties
            : null;
    if (child.deprecated) return [];
    return below === null ? [`${path}.${key}`] : allKeys(below, `${path}.${key}`);
  });
}

function isNamed(schema: KeySchema): schema is KeySchema & { readonly additionalProperties: KeySchema } {
  return (
    schema.additionalProperties !== undefined &&
    schema.additionalProperties !== false &&
    schema.additionalProperties.properties !== undefined
  );
}
