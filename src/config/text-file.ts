// A small text file that an operator wrote, or the reason why it cannot be read, in words that name the next step.

import { readFileSync, statSync } from "node:fs";

/** A configuration is written by people; anything larger is the wrong file. */
const MAX_BYTES = 1_000_000;

/** Reads UTF-8 text of at most a megabyte, or less. Never throws: a reason comes back as `failure`. */
export function readTextFile(path: string, maxBytes = MAX_BYTES): string | { readonly failure: string } {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return { failure: `expected a file, got ${stat.isDirectory() ? "a directory" : "a device or pipe"}` };
    if (stat.size > maxBytes) {
      const doubt = maxBytes === MAX_BYTES ? "; is this a configuration file?" : "";
      return { failure: `expected at most ${maxBytes} bytes, got ${stat.size}${doubt}` };
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    return { failure: explainReading(error) };
  }
}

function explainReading(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case "ENOENT":
    case "ENOTDIR":
      return "there is no such file";
    case "EACCES":
    case "EPERM":
      return "permission to read it is denied";
    case "ERR_ENCODING_INVALID_ENCODED_DATA":
      return "expected UTF-8 text";
    default:
      return `cannot be read: ${(error as Error).message}`;
  }
}
