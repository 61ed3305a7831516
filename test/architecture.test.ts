// Holds the shape of the source tree: who may import whom (docs/architecture.md has the same table), what a file may be called
// and how it begins, and what may not stand on the hot path. Every rule is a pure function of a path and its text.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, posix } from "node:path";
import { describe, test } from "node:test";

interface Row {
  /** Folders of src/, or files directly in it without their extension. */
  readonly parts: readonly string[];
  /** Besides themselves and core. A path such as `admin/client` is that folder alone. */
  readonly mayImport: readonly string[];
  /** Why no more than that. */
  readonly because: string;
}

const BELOW_THE_EDGE = ["telemetry", "http", "state", "catalog", "certs", "routing", "health", "wake", "upstream", "mesh", "dns"];

/** Lowest row first. Rows never import sideways; add a folder here when you add it to src/. */
const ROWS: readonly Row[] = [
  { parts: ["core"], mayImport: [], because: "core is the words that everything else uses, so it uses nothing of ours" },
  { parts: ["telemetry", "http"], mayImport: [], because: "the wire and the logs know the words and nothing else" },
  { parts: ["config", "state"], mayImport: ["telemetry"], because: "documents and stores stand beside each other" },
  { parts: ["catalog", "certs"], mayImport: ["telemetry", "state"], because: "they are views of the store" },
  {
    parts: ["routing", "health", "wake", "mesh", "dns"],
    mayImport: ["telemetry", "catalog"],
    because: "neighbours on this row meet only in a composition root",
  },
  {
    parts: ["upstream"],
    mayImport: ["telemetry", "catalog", "http"],
    because: "it speaks HTTP to machines, and meets its neighbours only in a composition root",
  },
  {
    parts: ["edge"],
    mayImport: BELOW_THE_EDGE.filter((part) => part !== "state"),
    because: "a request is decided from memory: the edge never sees state or config",
  },
  {
    parts: ["simulate"],
    mayImport: ["telemetry", "catalog", "routing", "wake"],
    because: "it runs the decisions of routing and waking, and nothing that has effects",
  },
  { parts: ["deploy"], mayImport: BELOW_THE_EDGE, because: "only the composition roots and cli see config" },
  {
    parts: ["admin"],
    mayImport: [...BELOW_THE_EDGE, "deploy"],
    because: "the admin API is another door to the node: it never sees the edge, nor config",
  },
  {
    parts: ["start-worker", "start-node", "node"],
    mayImport: [...BELOW_THE_EDGE, "config", "edge", "deploy", "admin", "start-worker", "start-node", "node"],
    because: "the composition roots and their parts wire what is below them",
  },
  {
    parts: ["cli", "main"],
    mayImport: [
      "config",
      "simulate",
      "admin/client",
      "catalog/latency",
      "certs/local-ca",
      "certs/plain-pem",
      "certs/dns",
      "start-node",
      "cli",
    ],
    because:
      "the command line reads config, tables and files of certificates, prints the local CA and what DNS needs, simulates, asks a node by its API, or starts one",
  },
];

const FORBIDDEN_NAMES = ["util", "utils", "helper", "helpers", "common", "misc", "type", "types", "index"];
const MAX_LINES = 500;
const BAD_FORM = [
  { pattern: /^export default\b/m, reason: "has a default export; export by name" },
  { pattern: /^export (?:type )?(?:\*|\{[^}]*\} from)/m, reason: "passes on another file's exports; import them from where they are" },
  { pattern: /^(?:export )?(?:let|var) /m, reason: "holds module state; several nodes live in one process, so it belongs to an instance" },
  { pattern: /\bclass (?:\w+ )?extends (?!\w*Error\b)/, reason: "inherits; only errors may" },
] as const;
/** Whatever waits or makes a promise; names of properties (`wait.async`) are none of these. */
const NOT_ON_THE_HOT_PATH = /(?<![.\w])(?:async|await)\b(?!\s*:)|\bnew Promise\b|\.then\(/;

describe("the source tree", () => {
  const sources = globSync("src/**/*.ts").toSorted();

  test("is there", () => assert.notEqual(sources.length, 0));

  test("imports only downwards", () => assertNone(sources, importViolations));

  test("has files and folders with names of their own, in kebab-case", () => assertNone(sources, nameViolations));

  test("has files that say in a comment where the reader is, export by name, and hold no state", () => assertNone(sources, formViolations));

  test("does not wait on the hot path", () => assertNone(sources, hotPathViolations));

  test("has no file above 500 lines, nor have tests and benchmarks", () => {
    assertNone([...sources, ...globSync("test/**/*.ts"), ...globSync("bench/**/*.ts")], lengthViolations);
  });
});

test("every runtime dependency has its paragraph in docs/decisions/003-runtime-dependencies.md, and no other has", () => {
  const manifest = JSON.parse(readFileSync("package.json", "utf8")) as { dependencies: Record<string, string> };
  const page = readFileSync("docs/decisions/003-runtime-dependencies.md", "utf8");
  const paragraphs = [...page.matchAll(/^## (.+)$/gm)].map(([, name]) => name);
  assert.deepEqual(paragraphs, Object.keys(manifest.dependencies).toSorted());
});

describe("the checks themselves", () => {
  const opening = "// A file.\n\n";

  test("find a forbidden import, however it is written, and give the reason", () => {
    for (const statement of [
      'import { Store } from "../state/store.ts";',
      'import type { Store } from "../state/store.ts";',
      'import {\n  type Change,\n  type Store,\n} from "../state/store.ts";',
      'import * as store from "../state/store.ts";',
      'import "../state/store.ts";',
      'const store = await import("../state/store.ts");',
      'let store: import("../state/store.ts").Store;',
      'const worker = new URL("../state/store.ts", import.meta.url);',
    ]) {
      assert.deepEqual(
        importViolations("src/edge/listener.ts", opening + statement),
        ["src/edge/listener.ts imports src/state/store.ts: a request is decided from memory: the edge never sees state or config"],
        statement,
      );
    }
  });

  test("hold every exception of the table", () => {
    assert.deepEqual(forbidden("src/upstream/forward.ts", "../http/message.ts", "../catalog/snapshot.ts", "../core/errors.ts"), []);
    assert.deepEqual(forbidden("src/routing/router.ts", "../http/message.ts"), ["src/http/message.ts"]);
    assert.deepEqual(forbidden("src/routing/router.ts", "../wake/gate.ts"), ["src/wake/gate.ts"]);
    assert.deepEqual(forbidden("src/upstream/forward.ts", "../wake/gate.ts"), ["src/wake/gate.ts"]);
    assert.deepEqual(forbidden("src/wake/drivers/process.ts", "../driver.ts", "../../catalog/x.ts"), []);
    assert.deepEqual(forbidden("src/edge/respond.ts", "../config/load.ts", "../wake/gate.ts"), ["src/config/load.ts"]);
    assert.deepEqual(forbidden("src/edge/respond.ts", "../deploy/plan.ts"), ["src/deploy/plan.ts"]);
    assert.deepEqual(forbidden("src/admin/server.ts", "../edge/respond.ts", "../state/store.ts"), ["src/edge/respond.ts"]);
    assert.deepEqual(forbidden("src/core/app.ts", "../telemetry/log.ts"), ["src/telemetry/log.ts"]);
    assert.deepEqual(forbidden("src/start-node.ts", "./config/load.ts", "./edge/drain.ts", "./start-worker.ts"), []);
    assert.deepEqual(forbidden("src/start-node.ts", "./cli/cli.ts"), ["src/cli/cli.ts"]);
    assert.deepEqual(forbidden("src/cli/commands/run.ts", "../../start-node.ts", "../../core/errors.ts", "../cli.ts"), []);
    assert.deepEqual(forbidden("src/cli/commands/list.ts", "../../admin/client/client.ts", "../../admin/server.ts"), [
      "src/admin/server.ts",
    ]);
    assert.deepEqual(forbidden("src/main.ts", "./cli/cli.ts", "./start-worker.ts"), ["src/start-worker.ts"]);
  });

  test("find a folder without a row, and a way out of src/", () => {
    assert.match(importViolations("src/lab/try.ts", opening)[0] ?? "", /^src\/lab\/try\.ts: lab has no row/);
    assert.match(importViolations("src/core/app.ts", 'import "../../test/x.ts";')[0] ?? "", /imports test\/x\.ts: it is outside of src/);
  });

  test("are not taken in by comments, packages and texts", () => {
    const harmless = [
      '// import { Store } from "../state/store.ts";',
      '/* import "../state/store.ts"; */',
      'import { z } from "zod";',
      'export function f() {\n  return read(new URL("../../package.json", import.meta.url));\n}',
      "const url = \"https://example.com/import('../state/store.ts')\";",
    ];
    assert.deepEqual(importViolations("src/edge/listener.ts", harmless.join("\n")), []);
  });

  test("find bad names", () => {
    for (const path of ["src/core/utils.ts", "src/core/types.ts", "src/http/index.ts", "src/helpers/x.ts", "src/core/someThing.ts"]) {
      assert.equal(nameViolations(path).length, 1, path);
    }
    assert.deepEqual(nameViolations("src/core/single-flight.ts"), []);
    assert.deepEqual(nameViolations("src/http/http1/fields.ts"), []);
  });

  test("find bad form", () => {
    const bad = {
      "const a = 1;\n": /opens with no comment/,
      [`${opening}export default 1;`]: /a default export/,
      [`${opening}export * from "./a.ts";`]: /passes on/,
      [`${opening}export { a } from "./a.ts";`]: /passes on/,
      [`${opening}export type { A } from "./a.ts";`]: /passes on/,
      [`${opening}let count = 0;`]: /module state/,
      [`${opening}class Pool extends Map {}`]: /inherits/,
    };
    for (const [source, reason] of Object.entries(bad)) {
      const found = formViolations("src/core/a.ts", source);
      assert.equal(found.length, 1, source);
      assert.match(found[0] ?? "", reason);
    }
    assert.deepEqual(formViolations("src/core/a.ts", `${opening}export class ProxyError extends Error {}\nexport { b };\n`), []);
  });

  test("find what waits on the hot path, only where the file says that it is on it", () => {
    const hot = "// Hot path. A file.\n\n";
    for (const line of ["async run() {}", "async () => 1", "await x;", "new Promise(f)", "x.then(f)", "for await (const a of b) {}"]) {
      assert.equal(hotPathViolations("src/edge/a.ts", hot + line).length, 1, line);
      assert.deepEqual(hotPathViolations("src/edge/a.ts", opening + line), []);
    }
    const harmless = ["wait.async ? 1 : 2;", "// await nothing", 'const text = "async";', "awaited();"];
    assert.deepEqual(hotPathViolations("src/edge/a.ts", hot + harmless.join("\n")), []);
  });

  test("find long files", () => {
    assert.deepEqual(lengthViolations("a.ts", "\n".repeat(500)), []);
    assert.equal(lengthViolations("a.ts", "\n".repeat(501)).length, 1);
  });

  function forbidden(path: string, ...imports: string[]): string[] {
    const source = imports.map((specifier) => `import ${JSON.stringify(specifier)};`).join("\n");
    return importViolations(path, source).map((violation) => violation.split(" ")[2]?.replace(/:$/, "") ?? violation);
  }
});

function assertNone(paths: readonly string[], check: (path: string, source: string) => string[]): void {
  const found = paths.flatMap((path) => check(path, readFileSync(path, "utf8")));
  assert.equal(found.length, 0, `\n${found.join("\n")}`);
}

function importViolations(path: string, source: string): string[] {
  const part = partOf(path);
  const row = ROWS.find((candidate) => candidate.parts.includes(part));
  if (row === undefined) return [`${path}: ${part} has no row in test/architecture.test.ts; add one`];
  return importedFiles(path, source).flatMap((target) => {
    if (!target.startsWith("src/")) return [`${path} imports ${target}: it is outside of src/`];
    const allowed = ["core", part, ...row.mayImport].some((to) => target === `src/${to}.ts` || target.startsWith(`src/${to}/`));
    return allowed ? [] : [`${path} imports ${target}: ${row.because}`];
  });
}

/** `src/edge/listener.ts` is part `edge`, `src/start-node.ts` is part `start-node`. */
function partOf(path: string): string {
  return (path.split("/")[1] ?? "").replace(/\.ts$/, "");
}

/** Files of ours that a source names in any form of import, relative to the repository. */
function importedFiles(path: string, source: string): string[] {
  const specifiers = withoutComments(source).matchAll(
    /^(?:import\s*|(?:import|export)\b[^"'();=]*\bfrom\s*)"(\.[^"]+)"|\bimport\(\s*"(\.[^"]+)"|\bnew URL\(\s*"(\.[^"]+\.ts)"/gm,
  );
  return [...specifiers].map(([, plain, dynamic, url]) => posix.join(posix.dirname(path), plain ?? dynamic ?? url ?? ""));
}

/** Comments are blanked, texts are kept as they are. */
function withoutComments(source: string): string {
  return source.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (_, text?: string) => text ?? "",
  );
}

function nameViolations(path: string): string[] {
  const names = path.replace(/\.ts$/, "").split("/").slice(1);
  return names.flatMap((name) => {
    if (FORBIDDEN_NAMES.includes(name)) return [`${path}: "${name}" says nothing; name what it is`];
    return /^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(name) ? [] : [`${path}: "${name}" is not in kebab-case`];
  });
}

function formViolations(path: string, source: string): string[] {
  const code = withoutComments(source);
  const opening = /^\/\/ \S/.test(source) ? [] : [`${path} opens with no comment; say in one to five lines what it is and where it stands`];
  return [...opening, ...BAD_FORM.filter(({ pattern }) => pattern.test(code)).map(({ reason }) => `${path} ${reason}`)];
}

function hotPathViolations(path: string, source: string): string[] {
  if (!/^\/\/ Hot path\b/.test(source)) return [];
  const lines = withoutComments(source).split("\n");
  return lines.flatMap((line, index) => {
    const match = NOT_ON_THE_HOT_PATH.exec(line.replace(/"(?:\\.|[^"\\])*"/g, '""'));
    return match === null ? [] : [`${path}:${index + 1}: ${match[0].trim()} on the hot path; move it to a file that may wait`];
  });
}

function lengthViolations(path: string, source: string): string[] {
  const lines = source.split("\n").length - 1;
  return lines <= MAX_LINES ? [] : [`${basename(path)}: ${lines} lines; ask which two things it is`];
}
