// `kittiwake check`: reads the whole configuration and prints every problem, warning and key that is understood but not yet in force.

import { relative } from "node:path";

import { checkFile, loadConfig } from "../../config/load.ts";
import { formatProblem, type Problem, type Severity } from "../../config/problems.ts";
import { configPath, type GlobalOptions } from "../config-source.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { printJson, type Terminal } from "../terminal.ts";

/** @param named files to check each by itself, kittiwake.toml or fly.toml; none: the configuration of the node */
export function check(named: readonly string[], options: GlobalOptions, terminal: Terminal): ExitCode {
  if (named.length > 0) return checkFiles(named, options, terminal);
  const path = configPath(options, terminal);
  const loaded = loadConfig(path, { cwd: terminal.cwd, environment: terminal.env });
  const { problems, files, usable } = loaded;
  const apps = loaded.usable ? loaded.apps.map(({ name, machines }) => ({ name, machines: machines.length })) : [];
  if (options.json === true) printJson(terminal, { valid: usable, files, apps, problems });
  else {
    for (const problem of problems) terminal.print(describeProblem(problem));
    const machines = apps.reduce((sum, app) => sum + app.machines, 0);
    const verdict = usable ? `valid, ${count(apps.length, "app")}, ${count(machines, "machine")}` : "invalid";
    terminal.print(`${relative(terminal.cwd, path)}: ${[verdict, ...totals(problems)].join(", ")}`);
  }
  return usable ? EXIT.ok : EXIT.invalid;
}

function checkFiles(named: readonly string[], { json }: GlobalOptions, terminal: Terminal): ExitCode {
  const checked = named.map((path) => ({ path, problems: checkFile(path, { cwd: terminal.cwd, environment: terminal.env }) }));
  const problems = checked.flatMap((file) => file.problems);
  const isValid = problems.every(({ severity }) => severity !== "error");
  if (json === true) printJson(terminal, { valid: isValid, files: named, problems });
  for (const file of json === true ? [] : checked) {
    for (const problem of file.problems) terminal.print(describeProblem(problem));
    const verdict = file.problems.some(({ severity }) => severity === "error") ? "invalid" : "valid";
    terminal.print(`${file.path}: ${[verdict, ...totals(file.problems)].join(", ")}`);
  }
  return isValid ? EXIT.ok : EXIT.invalid;
}

/** `error: config/apps/hello.toml:14 http_service.internal_port: expected a port, got 0`. */
export function describeProblem(problem: Problem): string {
  return `${problem.severity}: ${formatProblem(problem)}`;
}

function totals(problems: readonly Problem[]): string[] {
  const names: Readonly<Record<Severity, string>> = { error: "error", warning: "warning", pending: "key" };
  return (["error", "warning", "pending"] as const).flatMap((severity) => {
    const { length } = problems.filter((problem) => problem.severity === severity);
    if (length === 0) return [];
    return [count(length, names[severity]) + (severity === "pending" ? " not yet in force" : "")];
  });
}

function count(amount: number, what: string): string {
  return `${amount} ${what}${amount === 1 ? "" : "s"}`;
}
