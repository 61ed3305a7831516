// On which line of a TOML document a key is. Built only when there is something to report, from a parser that keeps positions.

import { type AST, parseTOML } from "toml-eslint-parser";

import type { KeyPath } from "./problems.ts";

interface Place {
  readonly line: number;
  readonly below: Map<string | number, Place>;
}

export class LineIndex {
  readonly #root: Place = { line: 1, below: new Map() };

  /** @param text a document that another parser accepted already, of bounded depth; should this one refuse it, every key is on line 0 */
  constructor(text: string) {
    try {
      for (const entry of parseTOML(text, { tomlVersion: "1.1" }).body[0].body) {
        if (entry.type === "TOMLKeyValue") this.#addEntry([], entry);
        else this.#addTable(entry);
      }
    } catch {
      this.#root = { line: 0, below: new Map() };
    }
  }

  /** The line of the key, or of its nearest ancestor that is written down. */
  lineOf(path: KeyPath): number {
    let place = this.#root;
    for (const segment of path) {
      const next = place.below.get(segment);
      if (next === undefined) break;
      place = next;
    }
    return place.line;
  }

  #addTable(table: AST.TOMLTable): void {
    this.#add(table.resolvedKey, table.loc.start.line);
    for (const entry of table.body) this.#addEntry(table.resolvedKey, entry);
  }

  #addEntry(parent: KeyPath, entry: AST.TOMLKeyValue): void {
    const path = [...parent, ...entry.key.keys.map((key) => (key.type === "TOMLBare" ? key.name : key.value))];
    this.#add(path, entry.loc.start.line);
    this.#addValue(path, entry.value);
  }

  #addValue(path: KeyPath, value: AST.TOMLContentNode): void {
    if (value.type === "TOMLInlineTable") for (const entry of value.body) this.#addEntry(path, entry);
    if (value.type !== "TOMLArray") return;
    value.elements.forEach((element, index) => {
      this.#add([...path, index], element.loc.start.line);
      this.#addValue([...path, index], element);
    });
  }

  /** The first mention counts, so that `[a.b]` followed by `[a]` finds `a` at the first. */
  #add(path: KeyPath, line: number): void {
    let place = this.#root;
    for (const segment of path) {
      let next = place.below.get(segment);
      if (next === undefined) place.below.set(segment, (next = { line, below: new Map() }));
      place = next;
    }
  }
}
