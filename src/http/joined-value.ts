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

/** All values of a list field, each followed by a comma, so that one more can be appended; empty when there is none. */
export function joinedBefore(fields: Fields, id: number): string {
  const first = fields.find(id);
  if (first === -1) return "";
  let text = "";
  for (let i = first; i < fields.count; i++) if (fields.id(i) === id) text += `${fields.value(i)}, `;
  return text;
}
