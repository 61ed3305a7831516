// What is wrong with a configuration, in the one form that every reader of it uses: place, key, sentence.

/**
 * - error: the configuration cannot be used
 * - warning: it can, but something in it has no effect or is changed
 * - pending: understood, but this version does nothing about it yet
 */
export type Severity = "error" | "warning" | "pending";

/** Where a value is in a document: `["http_service", "checks", 0, "interval"]`. */
export type KeyPath = readonly (string | number)[];

export interface Problem {
  readonly severity: Severity;
  /** As people would name it from where they are: relative to the working directory where that is shorter. */
  readonly file: string;
  /** From 1; 0 where there is no line, such as for a missing file. */
  readonly line: number;
  /** `http_service.checks[0].interval`; empty where the whole document is meant. */
  readonly key: string;
  /** Lower case, without a full stop; says what was expected and what was found. */
  readonly message: string;
}

/** `config/apps/hello.toml:14 http_service.checks[0].interval: expected a duration, got "15 parsecs"`. */
export function formatProblem(problem: Problem): string {
  return `${formatPlace(problem.file, problem.line)}${problem.key === "" ? "" : ` ${problem.key}`}: ${problem.message}`;
}

/** `config/apps/hello.toml:14`, or the file alone where the line is unknown. */
export function formatPlace(file: string, line: number): string {
  return line === 0 ? file : `${file}:${line}`;
}

/** Writes a path as TOML would: bare keys with dots, other keys quoted, indices in brackets. */
export function formatKey(path: KeyPath): string {
  let text = "";
  for (const segment of path) {
    if (typeof segment === "number") text += `[${segment}]`;
    else text += (text === "" ? "" : ".") + (/^[\w-]+$/.test(segment) ? segment : JSON.stringify(segment));
  }
  return text;
}

/** A list as prose: `"off", "stop" or "suspend"`. */
export function formatChoice(words: readonly string[], last = "or"): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`;
}

/** A value from a document as a message shows it: scalars as TOML has them, the rest by kind. */
export function formatValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 59)}…` : value);
  if (value === undefined) return "nothing";
  if (value instanceof Date) return `the date ${value.toJSON()}`;
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  return typeof value === "object" ? "a table" : String(value);
}
