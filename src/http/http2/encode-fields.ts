// Hot path. Fields that are known by their text go into a header block: by the cache's entry if they repeat, as literals if they change.

import type { FieldCache } from "./field-cache.ts";
import type { FieldName } from "./field-entry.ts";
import type { HpackEncoder } from "./hpack-encoder.ts";

/** @param fields names in lower case */
export function encodeFields(encoder: HpackEncoder, cache: FieldCache, fields: readonly (readonly [name: string, value: string])[]): void {
  for (let i = 0; i < fields.length; i++) encodeField(encoder, cache, cache.name(fields[i]![0]), fields[i]![1]);
}

export function encodeField(encoder: HpackEncoder, cache: FieldCache, field: FieldName, value: string): void {
  const entry = cache.entryInText(field, value, 0, value.length);
  if (entry === null) encoder.text(field, value, 0, value.length);
  else encoder.entry(entry);
}
