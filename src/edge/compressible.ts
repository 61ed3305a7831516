// Which content types gain by compression: text in all its forms, and the few binary ones that nobody has compressed before. Pictures,
// sound, video, archives and web fonts (woff, woff2) are compressed already. docs/http.md has the same list.

const TYPES: ReadonlySet<string> = new Set([
  "application/dart",
  "application/ecmascript",
  "application/graphql",
  "application/javascript",
  "application/json",
  "application/jsonl",
  "application/postscript",
  "application/rtf",
  "application/sql",
  "application/toml",
  "application/vnd.ms-fontobject",
  "application/wasm",
  "application/x-javascript",
  "application/x-ndjson",
  "application/x-sh",
  "application/x-yaml",
  "application/xml",
  "application/yaml",
  "font/otf",
  "font/ttf",
  "image/bmp",
  "image/vnd.microsoft.icon",
  "image/x-icon",
]);

/** @param contentType the value of the field, parameters and all; null when there is none, which nobody can judge */
export function isCompressible(contentType: string | null): boolean {
  if (contentType === null) return false;
  const [name = ""] = contentType.split(";", 1);
  const type = name.trim().toLowerCase();
  // A stream of events lasts for hours, and each would hold a compressor for a few bytes now and then.
  if (type.startsWith("text/")) return type !== "text/event-stream";
  // Messages of gRPC have a compression of their own, in whichever format they are.
  if (type.startsWith("application/grpc")) return false;
  return TYPES.has(type) || type.endsWith("+json") || type.endsWith("+xml") || type.endsWith("+text") || type.endsWith("+yaml");
}
