// [kittiwake.error_pages]: the app's own pages for errors, read with the configuration so that nothing is read when one is needed.

import { resolve } from "node:path";

import type { Findings } from "./findings.ts";
import type { FlyDocument } from "./fly-toml.ts";
import { formatValue } from "./problems.ts";
import { readTextFile } from "./text-file.ts";
import type { TomlFile } from "./toml-file.ts";

/** Every worker keeps the pages of every app in memory. */
const MAX_PAGE_BYTES = 65_536;
const MAX_PAGES = 16;

/** The pages as text, by what they are for; one that cannot be read is reported and left out. */
export function readErrorPages({ kittiwake }: FlyDocument, findings: Findings): Record<string, string> {
  const pages = Object.entries(kittiwake.error_pages);
  const table = ["kittiwake", "error_pages"];
  if (pages.length > MAX_PAGES) findings.error(table, `expected at most ${MAX_PAGES} pages, got ${pages.length}`);
  const texts: Record<string, string> = {};
  for (const [key, path] of pages.slice(0, MAX_PAGES)) {
    const text = readTextFile(resolve(findings.file.directory, path), MAX_PAGE_BYTES);
    if (typeof text === "string") texts[key] = text;
    else findings.error([...table, key], `${text.failure}: ${formatValue(path)}`);
  }
  return texts;
}

/** Absolute paths of the pages of a document. */
export function errorPageFiles({ kittiwake }: FlyDocument, file: TomlFile): string[] {
  return Object.values(kittiwake.error_pages).map((path) => resolve(file.directory, path));
}
