import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { describeConfiguration, JSON_SCHEMAS } from "../../src/config/document.ts";
import type { KeySchema } from "../../src/config/key-schema.ts";

test("docs/config.md is what the schemas say; otherwise run node src/config/document.ts > docs/config.md", () => {
  assert.equal(readFileSync(join(import.meta.dirname, "../../docs/config.md"), "utf8"), describeConfiguration());
});

test("every key has a sentence, and every required key a stand-in", () => {
  for (const [document, root] of Object.entries(JSON_SCHEMAS)) {
    for (const { path, schema, isRequired } of keysOf(root)) {
      assert.match(schema.description ?? "", /^[A-Z`"].*\.$/, `${document}: ${path}`);
      if (isRequired) assert.notEqual(schema.standIn, undefined, `${document}: ${path}`);
    }
  }
});

test("the JSON schemas are plain data with a dialect", () => {
  for (const schema of Object.values(JSON_SCHEMAS)) {
    assert.deepEqual(JSON.parse(JSON.stringify(schema)), schema);
    assert.equal((schema as { $schema?: string }).$schema, "https://json-schema.org/draft/2020-12/schema");
  }
  assert.equal(JSON_SCHEMAS.kittiwake.additionalProperties, false);
  assert.equal(JSON_SCHEMAS.fly.additionalProperties, undefined);
  assert.equal(JSON_SCHEMAS.fly.properties?.["kittiwake"]?.additionalProperties, false);
});

test("what later versions do is marked in the schema and shows in the docs", () => {
  const text = describeConfiguration();
  const row = (key: string) => text.split("\n").find((line) => line.startsWith(`| \`${key}\` |`));
  assert.match(row("engine")!, /not yet: `"nats"` \|$/);
  assert.match(row("swap_size_mb")!, /not yet \|$/);
  assert.match(row("force_https")!, /yes \|$/);
  assert.match(row("script_checks")!, /no effect \|$/);
});

function* keysOf(schema: KeySchema, path = ""): Generator<{ path: string; schema: KeySchema; isRequired: boolean }> {
  for (const [key, child] of Object.entries(schema.properties ?? {})) {
    yield { path: `${path}.${key}`, schema: child, isRequired: schema.required?.includes(key) ?? false };
    yield* keysOf(child, `${path}.${key}`);
  }
  if (schema.items !== undefined) yield* keysOf(schema.items, `${path}[]`);
  if (schema.additionalProperties) yield* keysOf(schema.additionalProperties, `${path}.*`);
}
