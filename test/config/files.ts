// Writes a small configuration to a directory of its own, and loads it as a node would.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";

import type { App } from "../../src/core/app.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { LoadedConfig } from "../../src/config/load.ts";
import type { HostFacts } from "../../src/config/node-config.ts";
import { formatProblem } from "../../src/config/problems.ts";

/** Host facts that every test shares. */
export const HOST = { hostname: "node-1", cores: 4 } as const;

/** Writes the files, by name relative to the directory that is returned; gone after the test. */
export function writeFiles(t: TestContext, files: Readonly<Record<string, string | Uint8Array>>): string {
  const directory = mkdtempSync(join(tmpdir(), "kittiwake-config-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
  return directory;
}

/** Writes the files and loads their kittiwake.toml. */
export function loadFiles(
  t: TestContext,
  files: Readonly<Record<string, string | Uint8Array>>,
  host: Partial<HostFacts> = {},
): LoadedConfig {
  return loadConfig("kittiwake.toml", { cwd: writeFiles(t, files), ...HOST, ...host });
}

/** Loads one fly.toml on a node in ams; fails the test unless it is usable. */
export function loadApp(t: TestContext, flyToml: string): { app: App; problems: string[] } {
  const config = loadFiles(t, { "kittiwake.toml": 'region = "ams"', "apps/a.toml": flyToml });
  const problems = linesOf(config);
  if (!config.usable) throw new Error(`not usable:\n${problems.join("\n")}`);
  return { app: config.apps[0]!, problems };
}

/** Every problem as people see it, with its severity in front. */
export function linesOf(config: LoadedConfig): string[] {
  return config.problems.map((problem) => `${problem.severity} ${formatProblem(problem)}`);
}
