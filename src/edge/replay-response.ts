// Hot path. Which responses ask for a replay: by a field, or by a body of a type of its own (reference section 4.3).

import { FIELD } from "../http/field-names.ts";
import { joinedValue } from "../http/joined-value.ts";
import type { Fields } from "../http/message.ts";

/** In `application/vnd.fly.replay+json`; few other types have a "." there. */
const SECOND_DOT = 19;
const DOT = 0x2e;
/** Parameters say nothing here (RFC 9110 section 8.3.1, RFC 8259 section 11). */
const DOCUMENT_TYPE = /^application\/vnd\.fly\.replay\+json[ \t]*(?:;|$)/i;

/** False for nearly every response that asks for none, without making a string. */
export function mayAskForReplay(fields: Fields): boolean {
  if (fields.find(FIELD.flyReplay) !== -1) return true;
  const type = fields.find(FIELD.contentType);
  return type !== -1 && fields.charCode(type, SECOND_DOT) === DOT;
}

/** Does the body say what is asked for? */
export function isReplayDocument(fields: Fields): boolean {
  const type = fields.find(FIELD.contentType);
  return type !== -1 && DOCUMENT_TYPE.test(fields.value(type));
}

/** The body can be read as it comes. */
export function hasNoCoding(fields: Fields): boolean {
  const coding = joinedValue(fields, "content-encoding");
  return coding === null || coding.toLowerCase() === "identity";
}
