// The whole configuration of a node: kittiwake.toml, the region file and every app's fly.toml, read and checked together so that all
// problems of all files are known at once.

import { existsSync, globSync } from "node:fs";
import { availableParallelism, hostname } from "node:os";
import { isAbsolute, relative, resolve } from "node:path";

import type { App } from "../core/app.ts";
import { REGIONS } from "../core/region-table.ts";
import { reportConflicts } from "./app-conflicts.ts";
import type { LoadedApp } from "./app-conflicts.ts";
import { clientAuthFiles } from "./client-auth.ts";
import { errorPageFiles } from "./error-pages.ts";
import { Findings } from "./findings.ts";
import { CanonicalFlyTree } from "./fly-aliases.ts";
import { toApp } from "./fly-app.ts";
import type { AppContext } from "./fly-app.ts";
import { unknownRegion } from "./fly-machine-rules.ts";
import { FLY_DOCUMENT } from "./fly-toml.ts";
import { toNodeConfig } from "./node-config.ts";
import type { HostFacts, NodeConfig } from "./node-config.ts";
import { NODE_DOCUMENT } from "./node-schema.ts";
import { formatValue } from "./problems.ts";
import type { Problem } from "./problems.ts";
import { readDocument } from "./read-document.ts";
import { isRegionFile, readRegionFile } from "./region-file.ts";
import type { RegionFile } from "./region-file.ts";
import { readTomlFile, TomlFile } from "./toml-file.ts";
import { reportUnprovableNames } from "./unprovable-names.ts";

/** Usable, perhaps with warnings and keys not yet in force; or not usable, with at least one error. */
export type LoadedConfig = UsableConfig | UnusableConfig;

export interface UsableConfig {
  readonly usable: true;
  readonly node: NodeConfig;
  /** In the order of `apps` and of file names. */
  readonly apps: readonly App[];
  /** What the region file adds to the built-in table. */
  readonly regions: RegionFile;
  /** Warnings and keys not yet in force. */
  readonly problems: readonly Problem[];
  /** Absolute paths of all files that were read. */
  readonly files: readonly string[];
}

export interface UnusableConfig {
  readonly usable: false;
  readonly problems: readonly Problem[];
  readonly files: readonly string[];
}

export interface LoadOptions extends Partial<HostFacts> {
  /** Problems name files relative to it. Default: the working directory. */
  readonly cwd?: string;
}

const NO_REGION_FILE: RegionFile = { regions: [], measured: [] };

/** Loads and checks everything. Never throws: what is wrong is in `problems`, ordered by file and line. */
export function loadConfig(path: string, options: LoadOptions = {}): LoadedConfig {
  const { cwd = process.cwd() } = options;
  const host: HostFacts = {
    hostname: options.hostname ?? hostname(),
    cores: options.cores ?? availableParallelism(),
    environment: options.environment ?? {},
  };
  const file = readTomlFile(resolve(cwd, path), displayName(resolve(cwd, path), cwd));
  if (!(file instanceof TomlFile)) return { usable: false, problems: [file], files: [] };

  const findings = new Findings(file);
  const document = readDocument(NODE_DOCUMENT, file.tree, findings);
  if (document === null) return { usable: false, problems: findings.toProblems(), files: [file.path] };
  const node = toNodeConfig(document, findings, host);

  const regionFile = node.regionTable === null ? NO_REGION_FILE : readRegionFile(node.regionTable, displayName(node.regionTable, cwd));
  const regions = isRegionFile(regionFile) ? regionFile : NO_REGION_FILE;
  const codes = new Set([...REGIONS, ...regions.regions].map(({ code }) => code));
  if (!codes.has(node.region) && isRegionFile(regionFile)) findings.error(["region"], unknownRegion(node.region, codes));

  const appFiles = findApps(document.apps, findings).map((appPath) => readTomlFile(appPath, displayName(appPath, cwd)));
  const context: AppContext = { node: node.node, region: node.region, domain: node.domain, regions: codes };
  const apps = appFiles.map((appFile) => (appFile instanceof TomlFile ? readApp(appFile, context) : appFile));
  reportConflicts(apps.filter(isLoaded), node.edge);
  reportUnprovableNames(apps.filter(isLoaded), node.tls);

  const problems = [
    ...findings.toProblems(),
    ...(isRegionFile(regionFile) ? [] : regionFile),
    ...apps.flatMap((app) => ("findings" in app ? app.findings.toProblems() : [app])),
  ];
  const readFiles = appFiles.filter((appFile) => appFile instanceof TomlFile).map((appFile) => appFile.path);
  const named = apps
    .filter(isLoaded)
    .flatMap(({ document: app, findings: { file: appFile } }) => [...errorPageFiles(app, appFile), ...clientAuthFiles(app, appFile)]);
  const files = [file.path, ...(node.regionTable === null ? [] : [node.regionTable]), ...readFiles, ...named];
  if (problems.some((problem) => problem.severity === "error")) return { usable: false, problems, files };
  return { usable: true, node, apps: apps.filter(isLoaded).map(({ app }) => app), regions, problems, files };
}

/**
 * Problems of one file, whichever of the two kinds it is: a fly.toml alone, as an app of a node with the built-in regions, or a
 * kittiwake.toml with all that belongs to it.
 */
export function checkFile(path: string, options: LoadOptions = {}): readonly Problem[] {
  const { cwd = process.cwd() } = options;
  const file = readTomlFile(resolve(cwd, path), displayName(resolve(cwd, path), cwd));
  if (!(file instanceof TomlFile)) return [file];
  if (!Object.hasOwn(file.tree, "app") || Object.hasOwn(file.tree, "apps")) return loadConfig(path, options).problems;
  const regions = new Set(REGIONS.map(({ code }) => code));
  const app = readApp(file, { node: options.hostname ?? hostname(), region: "ams", domain: "localhost", regions });
  return app.findings.toProblems();
}

/** One app by itself, as if a node with these regions had it. @returns it, or all that is wrong with its file */
export function loadApp(path: string, regions: ReadonlySet<string>): App | readonly Problem[] {
  const file = readTomlFile(path, path);
  if (!(file instanceof TomlFile)) return [file];
  const { app, findings } = readApp(file, { node: "node", region: "ams", domain: "localhost", regions });
  return app === null || findings.hasErrors ? findings.toProblems() : app;
}

/** Where a node looks for its configuration when none is named: the first of these that exists, null if none does. */
export function findConfig(env: Readonly<Record<string, string | undefined>>, cwd: string): string | null {
  if (env["KITTIWAKE_CONFIG"]) return resolve(cwd, env["KITTIWAKE_CONFIG"]);
  const places = ["kittiwake.toml", "config/kittiwake.toml", "/etc/kittiwake/kittiwake.toml"];
  return places.map((place) => resolve(cwd, place)).find((place) => existsSync(place)) ?? null;
}

function displayName(path: string, cwd: string): string {
  const name = relative(cwd, path);
  return name.startsWith("..") || isAbsolute(name) ? path : name;
}

/** The files that the patterns match: each once, sorted within its pattern. */
function findApps(patterns: readonly string[], findings: Findings): string[] {
  const found = new Set<string>();
  for (const [index, pattern] of patterns.entries()) {
    const paths = search(pattern, findings.file.directory);
    if (paths.length === 0 && /[*?{[]/.test(pattern)) findings.warning(["apps", index], `${formatValue(pattern)} matches no file`);
    else if (paths.length === 0) findings.error(["apps", index], `there is no file ${formatValue(pattern)}`);
    for (const path of paths.sort()) if (path !== findings.file.path) found.add(path);
  }
  return [...found];
}

function search(pattern: string, directory: string): string[] {
  try {
    return globSync(pattern, { cwd: directory }).map((path) => resolve(directory, path));
  } catch {
    return []; // a directory on the way that may not be read: nothing was found in it
  }
}

interface ReadApp {
  /** null where the document is too broken to say what app it is. */
  readonly app: LoadedApp["app"] | null;
  readonly document: LoadedApp["document"] | null;
  readonly findings: Findings;
}

function readApp(file: TomlFile, context: AppContext): ReadApp {
  const canonical = new CanonicalFlyTree(file.tree);
  const findings = new Findings(file, (path) => canonical.asWritten(path));
  for (const { path, message } of canonical.omissions) findings.error(path, message);
  const document = readDocument(FLY_DOCUMENT, canonical.tree, findings);
  return { app: document === null ? null : toApp(document, findings, context), document, findings };
}

function isLoaded(app: ReadApp | Problem): app is LoadedApp {
  return "findings" in app && app.app !== null;
}
