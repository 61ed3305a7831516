// Which configuration a command works with. Commands that need one setting read that one alone: they must work while an app's file is broken,
// above all `reload` and `status`.

import { resolve } from "node:path";

import type { Environment } from "../config/acme-config.ts";
import { findConfig } from "../config/load.ts";
import { Findings } from "../config/findings.ts";
import { type NodeConfig, toNodeConfig } from "../config/node-config.ts";
import { NODE_DOCUMENT, type NodeDocument } from "../config/node-schema.ts";
import { formatProblem, type Problem } from "../config/problems.ts";
import { readDocument } from "../config/read-document.ts";
import { readTomlFile, TomlFile } from "../config/toml-file.ts";
import { ProxyError } from "../core/errors.ts";
import type { Terminal } from "./terminal.ts";

/** Options that every command takes. */
export interface GlobalOptions {
  /** Path as given. */
  readonly config?: string;
  /** URL of the node's admin API. */
  readonly admin?: string;
  readonly json?: boolean;
}

/** The configuration that is named or found, absolute; null when there is none. */
export function configPathOrNull({ config }: GlobalOptions, { env, cwd }: Terminal): string | null {
  return config === undefined ? findConfig(env, cwd) : resolve(cwd, config);
}

/** The configuration that is named or found, absolute. Throws `config_invalid` when there is none. */
export function configPath(options: GlobalOptions, terminal: Terminal): string {
  const path = configPathOrNull(options, terminal);
  if (path !== null) return path;
  throw new ProxyError("config_invalid", "there is no kittiwake.toml here; name one with --config");
}

/**
 * Reads some keys of kittiwake.toml, and checks only those; the rest of the result has default values. Throws `config_invalid` with every
 * problem of theirs, a line each.
 */
export function readNodeConfig(path: string, keys: readonly (keyof NodeDocument)[], environment: Environment = {}): NodeConfig {
  const file = readTomlFile(path, path);
  if (!(file instanceof TomlFile)) throw invalid([file]);
  const findings = new Findings(file);
  const wanted = Object.fromEntries(keys.map((key) => [key, file.tree[key]]));
  // A region is the one thing without a default.
  const document = readDocument(NODE_DOCUMENT, { region: "ams", ...wanted }, findings);
  if (document === null) throw invalid(findings.toProblems());
  const config = toNodeConfig(document, findings, { hostname: "node", cores: 1, environment });
  if (findings.hasErrors) throw invalid(findings.toProblems());
  return config;
}

function invalid(problems: readonly Problem[]): ProxyError {
  const errors = problems.filter(({ severity }) => severity === "error");
  return new ProxyError("config_invalid", errors.map(formatProblem).join("\n"));
}
