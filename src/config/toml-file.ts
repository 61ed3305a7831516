// One TOML file: read, parsed, bounded in depth, and able to say on which line a key is.

import { dirname } from "node:path";

import { parse, TomlError, type TomlTable } from "smol-toml";

import { LineIndex } from "./line-index.ts";
import type { KeyPath, Problem } from "./problems.ts";
import { readTextFile } from "./text-file.ts";

/** Nothing we know nests deeper than ten levels; a bound here lets everything after it recurse. */
const MAX_DEPTH = 64;

export class TomlFile {
  /** Absolute path. */
  readonly path: string;
  /** How problems name it. */
  readonly name: string;
  readonly tree: TomlTable;
  readonly #text: string;
  #lines: LineIndex | undefined;

  constructor(path: string, name: string, text: string, tree: TomlTable) {
    this.path = path;
    this.name = name;
    this.tree = tree;
    this.#text = text;
  }

  /** Relative paths in the document start here. */
  get directory(): string {
    return dirname(this.path);
  }

  /** The line of a key as written, or of its nearest ancestor. */
  lineOf(path: KeyPath): number {
    this.#lines ??= new LineIndex(this.#text);
    return this.#lines.lineOf(path);
  }
}

/** Reads and parses a file; whatever stops that is returned as the problem to report. */
export function readTomlFile(path: string, name: string): TomlFile | Problem {
  const text = readTextFile(path);
  if (typeof text !== "string") return problem(text.failure);
  try {
    const tree = parse(text);
    if (isDeeperThan(MAX_DEPTH, tree)) return problem(`expected tables and lists at most ${MAX_DEPTH} levels deep`);
    return new TomlFile(path, name, text, tree);
  } catch (error) {
    return { ...problem(explainSyntax(error)), line: error instanceof TomlError ? error.line : 0 };
  }

  function problem(message: string): Problem {
    return { severity: "error", file: name, line: 0, key: "", message };
  }
}

function explainSyntax(error: unknown): string {
  if (!(error instanceof TomlError)) return `cannot be parsed: ${(error as Error).message}`;
  // The library's message goes on with an excerpt; the line number says as much.
  const reason = error.message.split("\n", 1)[0]!.replace("Invalid TOML document: ", "").replace(/\.$/, "");
  return `expected valid TOML: ${reason}, in column ${error.column}`;
}

/** Level by level: dotted keys can nest a tree deeper than a stack is. */
function isDeeperThan(levels: number, tree: unknown): boolean {
  let level = [tree];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > levels) return true;
    level = level.flatMap((node) => Object.values(node as object)).filter((node) => typeof node === "object" && !(node instanceof Date));
  }
  return false;
}
