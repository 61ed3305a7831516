import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import fc from "fast-check";
import { stringify } from "smol-toml";

import { FLY_DOCUMENT } from "../../src/config/fly-toml.ts";
import type { KeySchema } from "../../src/config/key-schema.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { LoadedConfig } from "../../src/config/load.ts";
import { NODE_DOCUMENT } from "../../src/config/node-schema.ts";
import { HOST, writeFiles } from "./files.ts";

const seed = Number(process.env["FC_SEED"] ?? Date.now() % 2 ** 31);

/** Values that are right for some key and wrong for most. */
const scalar = fc.oneof(
  fc.constantFrom(
    "10s",
    "1h",
    "-5s",
    "",
    "ams",
    "nrt",
    "app",
    "tcp",
    "udp",
    "http",
    "tls",
    "stop",
    "suspend",
    "20,25",
    "80",
    "*.x.example",
    "10.0.0.1:80",
  ),
  fc.constantFrom("__proto__", "constructor", "internal", "acme", "static", "process", "0.0.0.0:1", "/x", "a b", "\0", "é"),
  fc.string({ maxLength: 8 }),
  fc.integer({ min: -2, max: 70_000 }),
  fc.constantFrom(0.5, -0.5, Infinity, Number.NaN, 1e21),
  fc.boolean(),
  fc.constant(new Date(0)),
);

/** A tree of the schema's names with values that fit; with `noise`, also with others. */
function treeOf(schema: KeySchema, noise: boolean, depth = 0): fc.Arbitrary<unknown> {
  const fitting = fittingTree(schema, noise, depth) ?? fc.constant(schema.standIn);
  if (!noise) return fitting;
  const anything = fc.oneof(scalar, fc.array(scalar, { maxLength: 3 }), fc.constant({}), fc.constant({ constructor: 1 }));
  return fc.oneof({ weight: 8, arbitrary: fitting }, { weight: 1, arbitrary: anything });
}

function fittingTree(schema: KeySchema, noise: boolean, depth: number): fc.Arbitrary<unknown> | null {
  if (schema.properties !== undefined) {
    const properties = Object.entries(schema.properties);
    const required = properties.filter(([key]) => schema.required?.includes(key));
    // Few keys below the top, or a tree would have thousands.
    const picked = fc
      .subarray(properties, { maxLength: Math.min(properties.length, depth === 0 ? 12 : 5) })
      .map((some) => (noise ? some : [...required, ...some]))
      .chain((some) => fc.record(Object.fromEntries(some.map(([key, child]) => [key, treeOf(child, noise, depth + 1)]))));
    const names = noise
      ? fc.constantFrom("__proto__", "constructor", "hasOwnProperty", "prot", "intervall", "x y")
      : fc.constant("constructor");
    const mistakes = fc.dictionary(names, scalar, { maxKeys: noise ? 1 : 0 });
    return fc.tuple(picked, mistakes).map((parts) => {
      const entries = parts.flatMap((part) => Object.entries(part));
      return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
    });
  }
  if (schema.items !== undefined) return fc.array(treeOf(schema.items, noise, depth + 1), { maxLength: 2 }).map(present);
  if (schema.additionalProperties) {
    const name = fc.constantFrom("app", "web", "80", "443", "__proto__", "toString", "FLY_X", "X-Y");
    return noise ? fc.dictionary(name, treeOf(schema.additionalProperties, noise, depth + 1), { maxKeys: 3 }) : fc.constant({});
  }
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  return schema.default === undefined ? null : fc.constant(schema.default);
}

test("no configuration makes loading throw: it is usable, or has an error with a place", (t) => {
  const directory = writeFiles(t, {});
  const property = fc.property(
    treeOf(NODE_DOCUMENT.keys, true),
    treeOf(FLY_DOCUMENT.keys, true),
    treeOf(FLY_DOCUMENT.keys, true),
    (...trees) => {
      const [node, one, two] = trees.map((tree) => (isTable(tree) ? tree : {}));
      writeTrees(directory, { ...node, region: "ams", apps: ["?.toml"] }, one!, two!);
      assertSound(loadConfig("kittiwake.toml", { cwd: directory, ...HOST }));
    },
  );
  fc.assert(property, { seed, numRuns: 100 });
});

test("a configuration of fitting values is usable, unless two of them contradict each other", (t) => {
  const directory = writeFiles(t, {});
  let usable = 0;
  const property = fc.property(treeOf(FLY_DOCUMENT.keys, false), treeOf(FLY_DOCUMENT.keys, false), (...trees) => {
    const apps = trees.map((tree, index) => ({ ...(tree as object), app: `app-${index}`, processes: { app: "serve" } }));
    writeTrees(directory, { region: "ams", apps: ["?.toml"] }, apps[0]!, apps[1]!);
    const config = loadConfig("kittiwake.toml", { cwd: directory, ...HOST });
    assertSound(config);
    usable += Number(config.usable);
  });
  fc.assert(property, { seed, numRuns: 100 });
  assert.ok(usable >= 20, `only ${usable} of 100 were usable`);
});

test("no text makes loading throw", (t) => {
  const directory = writeFiles(t, { "kittiwake.toml": 'region = "ams"\napps = ["a.toml"]' });
  const line = fc.oneof(
    fc.constantFrom(
      "[http_service]",
      "[[services]]",
      "[[services.ports]]",
      "[services.ports]",
      "[kittiwake]",
      "[a.b.c]",
      "port = 80",
      "}",
      "[[",
      "a.b = {",
    ),
    fc
      .tuple(
        fc.constantFrom("app", "env.A", "processes", "checks", '"__proto__"', "x.y"),
        fc.constantFrom("1", '"a"', "[", "{ a = 1 }", "nan"),
      )
      .map((pair) => pair.join(" = ")),
    fc.string({ maxLength: 12 }),
  );
  const property = fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
    writeFileSync(join(directory, "a.toml"), lines.join("\n"));
    assertSound(loadConfig("kittiwake.toml", { cwd: directory, ...HOST }));
  });
  fc.assert(property, { seed, numRuns: 200 });
});

function assertSound(config: LoadedConfig): void {
  const errors = config.problems.filter((problem) => problem.severity === "error");
  assert.equal(config.usable, errors.length === 0);
  for (const problem of config.problems) {
    assert.ok(problem.message !== "" && !problem.message.includes("Invalid"), `${problem.key}: ${problem.message}`);
    assert.ok(problem.line > 0 || problem.key === "", `${problem.file} ${problem.key} has no line`);
  }
  if (!config.usable) return;
  for (const app of config.apps) {
    assert.ok(app.services.every((service) => service.groups.length > 0));
    assert.equal(new Set(app.machines.map((machine) => machine.id)).size, app.machines.length);
    assert.deepEqual(structuredClone(app), app);
  }
  assert.deepEqual(structuredClone(config.node), config.node);
}

function writeTrees(directory: string, node: object, one: object, two: object): void {
  writeFileSync(join(directory, "kittiwake.toml"), stringify(node));
  writeFileSync(join(directory, "1.toml"), stringify(one));
  writeFileSync(join(directory, "2.toml"), stringify(two));
}

function isTable(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function present(items: readonly unknown[]): unknown[] {
  return items.filter((item) => item !== undefined);
}
