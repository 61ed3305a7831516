// The static table of HPACK (RFC 7541 appendix A), as entries that are never made again.

import { FieldEntry, FieldName } from "./field-entry.ts";

const ROWS: readonly (readonly [name: string, ...values: string[]])[] = [
  [":authority", ""],
  [":method", "GET", "POST"],
  [":path", "/", "/index.html"],
  [":scheme", "http", "https"],
  [":status", "200", "204", "206", "304", "400", "404", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
];

/** Indexes 1 to 61 are the table's; what is at 0 is never used. */
export const STATIC_TABLE: readonly FieldEntry[] = makeTable();
export const STATIC_ENTRIES = 61;

/** The entry with this value, whose name is in the table. */
export function staticEntry(field: FieldName, value: string): FieldEntry | null {
  if (field.staticIndex === 0) return null;
  for (let index = field.staticIndex; STATIC_TABLE[index]?.field === field; index++) {
    if (STATIC_TABLE[index]!.value === value) return STATIC_TABLE[index]!;
  }
  return null;
}

function makeTable(): FieldEntry[] {
  const table: FieldEntry[] = [];
  for (const [name, ...values] of [["", ""] as const, ...ROWS]) {
    const field = new FieldName(name, true, table.length);
    for (const value of values) table.push(new FieldEntry(field, value, true, true, false, table.length));
  }
  return table;
}
