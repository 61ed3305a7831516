// Which Kittiwake this is: the version of the package that this file is part of, in src/ as in dist/.

import { readFileSync } from "node:fs";

export function readVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { readonly version: string };
  return manifest.version;
}
