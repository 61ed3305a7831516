// The value of a field that may come several times, as the one list that it stands for.

import type { Fields } from "./message.ts";

/**
 * The values of all fields with this name as one list (RFC 9110 section 5.3); null when there is none.
 *
 * @param name in lower case
 */
export function joinedValue(fields: Fields, name: string): string | null {
  let joined: string | null = null;
  for (let i = 0; i < fields.count; i++) {
    if (fields.name(i) === name) joined = joined === null ? fields.value(i) : `${joined}, ${fields.value(i)}`;
  }
  return joined;
}
