// [kittiwake.hsts]: what browsers are told of coming by HTTPS only. They remember it, so a mistake is refused here rather than sent.

import type { Hsts } from "../core/app.ts";
import type { Findings } from "./findings.ts";
import type { FlyDocument } from "./fly-toml.ts";

const TABLE = ["kittiwake", "hsts"];
/** What the list of browsers asks for (hstspreload.org). */
const YEAR_S = 31_536_000;

/** null where browsers are told nothing; also after an error, which is reported. */
export function toHsts({ kittiwake }: FlyDocument, findings: Findings): Hsts | null {
  const { max_age: maxAge, include_subdomains: includeSubdomains, preload } = kittiwake.hsts;
  if (maxAge === undefined) {
    if (includeSubdomains || preload)
      findings.error([...TABLE, "max_age"], 'missing; without it browsers are told nothing. "auto" is a safe start');
    return null;
  }
  if (preload && (maxAge === "auto" || maxAge < YEAR_S || !includeSubdomains)) {
    findings.error(
      [...TABLE, "preload"],
      `expected max_age of at least ${YEAR_S} and include_subdomains with it, as the list of browsers does`,
    );
    return null;
  }
  return { maxAgeS: maxAge === "auto" ? null : maxAge, includeSubdomains, preload };
}
