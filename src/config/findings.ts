// Collects what is found wrong in one file, in any order, and hands it out as problems in the order of the file's lines.

import { formatKey, formatPlace, type KeyPath, type Problem, type Severity } from "./problems.ts";
import type { TomlFile } from "./toml-file.ts";

interface Finding {
  readonly severity: Severity;
  readonly path: KeyPath;
  readonly message: string;
}

/** The order within a line. */
const SEVERITIES: readonly Severity[] = ["error", "warning", "pending"];

export class Findings {
  readonly file: TomlFile;
  readonly #asWritten: (path: KeyPath) => KeyPath;
  readonly #findings: Finding[] = [];
  readonly #replaced: KeyPath[] = [];

  /** @param asWritten from where a value is in the tree that was checked to where it is in the file; fly.toml has aliases */
  constructor(file: TomlFile, asWritten: (path: KeyPath) => KeyPath = (path) => path) {
    this.file = file;
    this.#asWritten = asWritten;
  }

  error(path: KeyPath, message: string): void {
    this.#add({ severity: "error", path, message });
  }

  warning(path: KeyPath, message: string): void {
    this.#add({ severity: "warning", path, message });
  }

  /** @param what what exactly is meant, where the key alone does not say it */
  pending(path: KeyPath, what = ""): void {
    this.#add({ severity: "pending", path, message: `${what}understood, not yet in force` });
  }

  get hasErrors(): boolean {
    return this.#findings.some((finding) => finding.severity === "error");
  }

  /** States that a value was wrong, so that the checks to come see another in its place. */
  replaced(path: KeyPath): void {
    this.#replaced.push(path);
  }

  /** Is this value, or one that it is part of, known to be wrong? */
  hasErrorAt(path: KeyPath): boolean {
    if (this.#replaced.some((ancestor) => isWithin(path, ancestor))) return true;
    return this.#findings.some((finding) => finding.severity === "error" && isWithin(path, finding.path));
  }

  /** `config/apps/hello.toml:14`, to name this place in a problem of another one. */
  placeOf(path: KeyPath): string {
    return formatPlace(this.file.name, this.file.lineOf(this.#asWritten(path)));
  }

  toProblems(): Problem[] {
    const problems = this.#findings.map(({ severity, path, message }) => {
      const written = this.#asWritten(path);
      return { severity, file: this.file.name, line: this.file.lineOf(written), key: formatKey(written), message };
    });
    return problems.sort((a, b) => a.line - b.line || SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
  }

  /** Once a value is wrong, nothing more is said about it: the rest was checked with a stand-in for it. */
  #add(finding: Finding): void {
    if (!this.hasErrorAt(finding.path)) this.#findings.push(finding);
  }
}

function isWithin(path: KeyPath, ancestor: KeyPath): boolean {
  return ancestor.length <= path.length && ancestor.every((segment, index) => segment === path[index]);
}
