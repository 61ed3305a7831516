// What a machine that hands a request on may change of it: the path, and fields that are neither of the connection nor the edge's own word.
// Reference section 4.3. Pure.

import { CHARACTERS, TARGET, TOKEN, VALUE } from "../http/characters.ts";
import { EditedFields } from "../http/edited-head.ts";
import { REQUEST_DROPS } from "../http/http1/encode.ts";
import { fieldId } from "../http/field-names.ts";
import type { RequestHead } from "../http/message.ts";
import type { AddedField } from "../upstream/forward.ts";

export interface Transform {
  /** Path and query; null: as it is. */
  readonly path: string | null;
  /** Names in lower case. */
  readonly deletes: readonly string[];
  /** In the place of any of that name; of several with one name the last counts. */
  readonly sets: readonly AddedField[];
}

const LONGEST_PATH = 8192;
const LONGEST_NAME = 128;
const LONGEST_VALUE = 8192;
/** All that the edge tells machines with. */
const OWN_FAMILIES = ["fly-", "kittiwake-", "x-forwarded-", "client-cert", "x-client-cert"];
/** What the client and the machine have agreed on by them is under way already. */
const AGREED = ["expect", "sec-websocket-key"];

/** The request as the target gets it. The other one stays as it is. */
export function transformed(head: RequestHead, { path, deletes, sets }: Transform): RequestHead {
  // What Connection names is left out here, so that a client cannot have left out what is set.
  const fields = EditedFields.copyOf(head.fields, head.connectionNames);
  for (const name of deletes) fields.remove(name);
  for (const [name, value] of sets) {
    fields.remove(name);
    fields.add(name, value);
  }
  return {
    fields,
    method: head.method,
    target: path ?? head.target,
    authority: head.authority,
    host: head.host,
    version: head.version,
    body: head.body,
    contentLength: head.contentLength,
    upgrade: head.upgrade,
    webSocketAccept: head.webSocketAccept,
    expectsContinue: head.expectsContinue,
    connectionNames: null,
  };
}

/** The origin-form of a request target (RFC 9112 section 3.2.1). */
export function isPath(text: string): boolean {
  return text.startsWith("/") && text.length <= LONGEST_PATH && isAll(text, TARGET);
}

/**
 * The name in lower case of a field that a machine may change; null: it is none. "_" counts as "-", since many programs cannot tell them
 * apart.
 */
export function changeableName(text: string): string | null {
  if (text === "" || text.length > LONGEST_NAME || !isAll(text, TOKEN)) return null;
  const name = text.toLowerCase();
  const plain = name.replaceAll("_", "-");
  const id = fieldId(Buffer.from(plain, "latin1"), 0, plain.length);
  const isOwn = REQUEST_DROPS[id] === 1 || AGREED.includes(plain) || OWN_FAMILIES.some((family) => plain.startsWith(family));
  return isOwn ? null : name;
}

/** A value as a field carries it, a character for each byte of UTF-8; null: none can (RFC 9110 section 5.5). */
export function fieldValue(text: string): string | null {
  const value = Buffer.from(text, "utf8")
    .toString("latin1")
    .replaceAll(/^[ \t]+|[ \t]+$/g, "");
  return value.length <= LONGEST_VALUE && isAll(value, VALUE) ? value : null;
}

function isAll(text: string, kind: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff || (CHARACTERS[code]! & kind) === 0) return false;
  }
  return true;
}
