// From the http_options of a port to the core's: names in lower case, and nothing kept where nothing is asked for. Reference section 2.6.

import type { HttpOptions, ResponseHeader, SessionRule } from "../core/app.ts";
import type { Findings } from "./findings.ts";
import type { FlyDocument } from "./fly-toml.ts";
import type { KeyPath } from "./problems.ts";

type DocumentOptions = NonNullable<FlyDocument["http_service"]>["http_options"];
type DocumentHeaders = NonNullable<NonNullable<DocumentOptions>["response"]>["headers"];

/** Fields that say where a message ends or what becomes of its connection; only the edge knows that. */
const FRAMING_NAMES: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-authenticate",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** @returns null where every option is at its default */
export function toHttpOptions(options: DocumentOptions, path: KeyPath, findings: Findings): HttpOptions | null {
  if (options === undefined) return null;
  const { headers = {}, pristine = false } = options.response ?? {};
  const responseHeaders = toResponseHeaders(headers, [...path, "response", "headers"], findings);
  const { compress, idle_timeout: idleSeconds = 0, headers_read_timeout: headSeconds = 0 } = options;
  const isDefault = responseHeaders.length === 0 && !pristine && !compress && idleSeconds === 0 && headSeconds === 0;
  if (isDefault) return null;
  return { compress, idleTimeoutMs: idleSeconds * 1000, headTimeoutMs: headSeconds * 1000, responseHeaders, pristine };
}

/**
 * Of `replay_cache`: the longest path first, and of two alike that of a host before that of all.
 *
 * @returns null where there are none
 */
export function toSessionRules(options: DocumentOptions, path: KeyPath, findings: Findings): readonly SessionRule[] | null {
  if (options === undefined || options.replay_cache.length === 0) return null;
  const written = new Map<string, number>();
  const rules = options.replay_cache.flatMap((rule, index): SessionRule[] => {
    const scope = rule.path_prefix;
    const place = `${scope.host ?? ""} ${scope.path}`;
    const earlier = written.get(place);
    if (earlier !== undefined) {
      findings.warning([...path, "replay_cache", index, "path_prefix"], `no effect: replay_cache[${earlier}] is for the same paths`);
      return [];
    }
    written.set(place, index);
    const { type, allow_bypass: allowBypass, ttl_seconds: seconds } = rule;
    return [{ scope, ttlMs: seconds * 1000, type, name: type === "header" ? rule.name.toLowerCase() : rule.name, allowBypass }];
  });
  return rules.toSorted(
    (a, b) => b.scope.path.length - a.scope.path.length || (a.scope.host === null ? 1 : 0) - (b.scope.host === null ? 1 : 0),
  );
}

function toResponseHeaders(headers: DocumentHeaders, path: KeyPath, findings: Findings): ResponseHeader[] {
  const written = new Map<string, string>();
  return Object.entries(headers).map(([key, value]): ResponseHeader => {
    const name = key.toLowerCase();
    const earlier = written.get(name);
    if (FRAMING_NAMES.has(name)) findings.error([...path, key], "this header is the edge's own business; remove it");
    if (earlier !== undefined) findings.error([...path, key], `the same header as ${earlier}; keep one of them`);
    written.set(name, key);
    return { name, values: value === false ? [] : [value].flat().map((text) => text.trim()) };
  });
}
