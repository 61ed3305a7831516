// The values of one cookie in a request. Whatever else a client has in its `cookie` fields is passed over, however it is written.

import { FIELD } from "./field-names.ts";
import type { Fields } from "./message.ts";

const EQUALS = 0x3d;
const SEMICOLON = 0x3b;
const SPACE = 0x20;

/**
 * The values of the cookies with this name, in order, over all fields (HTTP/2 splits them, RFC 9113 section 8.2.3). A client may have several,
 * of other paths or domains (RFC 6265 section 5.4).
 *
 * @param most that are looked for
 */
export function cookieValues(fields: Fields, name: string, most: number): string[] {
  const values: string[] = [];
  for (let i = fields.find(FIELD.cookie); i !== -1 && i < fields.count; i++) {
    if (fields.id(i) !== FIELD.cookie) continue;
    const text = fields.value(i);
    for (let at = text.indexOf(name); at !== -1 && values.length < most; at = text.indexOf(name, at + name.length)) {
      if (text.charCodeAt(at + name.length) !== EQUALS || !isStart(text, at)) continue;
      const end = text.indexOf(";", at);
      values.push(text.slice(at + name.length + 1, end === -1 ? undefined : end).trimEnd());
    }
  }
  return values;
}

/** Does a cookie begin here? */
function isStart(text: string, at: number): boolean {
  let before = at - 1;
  while (before >= 0 && text.charCodeAt(before) === SPACE) before--;
  return before < 0 || text.charCodeAt(before) === SEMICOLON;
}
