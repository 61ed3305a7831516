// From the http_options of a port to the core's: names in lower case, and nothing kept where nothing is asked for. Reference section 2.6.

import type { HttpOptions, ResponseHeader } from "../core/app.ts";
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
