// Whether a response is compressed on its way to a client, and what of its head changes with that. Pure, but for the head itself.

import { chooseCoding, type Coding } from "../http/content-coding.ts";
import type { EditedFields, EditedHead } from "../http/edited-head.ts";
import { FIELD } from "../http/field-names.ts";
import { joinedValue } from "../http/joined-value.ts";
import type { RequestHead } from "../http/message.ts";
import { isCompressible } from "./compressible.ts";

/** Below it a response fits into one packet anyway. */
const MIN_BYTES = 1024;
const NO_TRANSFORM = /(?:^|,)\s*no-transform\s*(?:,|$)/i;
/** Whoever digested the bytes vouches for these and no others. */
const DIGESTS = ["content-digest", "content-md5", "digest", "repr-digest"];

/**
 * Decides, and changes the head accordingly: the coding is named, the length is unknown from now on, and caches are told what the answer
 * depended on.
 *
 * @param mayCompress whether there is room for one more compressor
 * @returns what the body is to be compressed with, if it has one
 */
export function negotiateCompression(request: RequestHead, response: EditedHead, mayCompress: boolean): Coding | null {
  const { fields, status } = response;
  if (status === 304) return weakenAsBefore(request, fields);
  if (!mayBeTransformed(request, response)) return null;
  const encoding = joinedValue(fields, "content-encoding");
  if (encoding !== null) {
    if (encoding.toLowerCase() === "none") fields.remove("content-encoding");
    return null;
  }
  const { coding, refusesIdentity } = chooseCoding(joinedValue(request.fields, "accept-encoding"));
  if (!(refusesIdentity && coding !== null) && !gains(response)) return null;
  addVary(fields);
  // HTTP/1.0 has no way to say where a body of unknown length ends.
  if (coding === null || !mayCompress || request.version < 11) return null;
  fields.remove("content-length");
  fields.remove("accept-ranges");
  fields.add("content-encoding", coding);
  weaken(fields);
  if (response.body !== "none") response.body = "chunked";
  response.contentLength = 0;
  return coding;
}

/** Is it a whole response that may be changed, with a body or in answer to HEAD? */
function mayBeTransformed({ method, fields: asked }: RequestHead, { status, body, fields }: EditedHead): boolean {
  if (status < 200 || status === 204 || status === 205 || status === 206) return false;
  if (body === "none" && method !== "HEAD") return false;
  if (NO_TRANSFORM.test(joinedValue(fields, "cache-control") ?? "")) return false;
  if (NO_TRANSFORM.test(joinedValue(asked, "cache-control") ?? "")) return false;
  return DIGESTS.every((name) => joinedValue(fields, name) === null);
}

function gains({ contentLength, fields }: EditedHead): boolean {
  const isLengthKnown = fields.find(FIELD.contentLength) !== -1;
  return (!isLengthKnown || contentLength >= MIN_BYTES) && isCompressible(joinedValue(fields, "content-type"));
}

function addVary(fields: EditedFields): void {
  const vary = joinedValue(fields, "vary") ?? "";
  const names = vary.split(",").map((name) => name.trim().toLowerCase());
  if (!names.includes("*") && !names.includes("accept-encoding")) fields.add("vary", "accept-encoding");
}

/** Other bytes with the same meaning: what was a strong validator is a weak one now (RFC 9110 section 8.8.1). */
function weaken(fields: EditedFields): void {
  const etag = joinedValue(fields, "etag");
  if (etag === null || !etag.startsWith('"')) return;
  fields.remove("etag");
  fields.add("etag", `W/${etag}`);
}

/** A client that asks by the weak validator that it got from here must get that one, or it could not tell what is still fresh. */
function weakenAsBefore(request: RequestHead, fields: EditedFields): null {
  const etag = joinedValue(fields, "etag");
  const known = joinedValue(request.fields, "if-none-match");
  if (etag === null || known === null || !known.includes(`W/${etag}`)) return null;
  weaken(fields);
  addVary(fields);
  return null;
}
