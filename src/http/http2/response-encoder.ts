// Hot path. Response heads into header blocks (RFC 9113 sections 8.2 and 8.3.2): from the fields of a machine's response, whichever protocol
// they came by, and from the edge's own.

import { RESPONSE_DROPS } from "../http1/encode.ts";
import { Http1Fields } from "../http1/fields.ts";
import { FIELD } from "../field-names.ts";
import { joinedBefore } from "../joined-value.ts";
import type { Fields, ResponseHead } from "../message.ts";
import { announcedTrailers } from "../trailers.ts";
import { encodeField, encodeFields } from "./encode-fields.ts";
import type { FieldCache } from "./field-cache.ts";
import type { FieldEntry, FieldName } from "./field-entry.ts";
import type { HpackEncoder } from "./hpack-encoder.ts";
import { LineMemory } from "./line-memory.ts";

/** The edge's own fields of a response; null: the head has what it is to have of them. */
export interface OwnResponseFields {
  readonly id: string;
  /** Where the head has none; null for none. */
  readonly hsts: string | null;
  readonly isPanic: boolean;
  readonly cookies: readonly string[] | null;
}

/** Shared by all connections of a worker: only the encoder it writes with belongs to one of them. */
export class ResponseEncoder {
  readonly #cache: FieldCache;
  readonly #server: FieldEntry;
  readonly #via: FieldEntry;
  readonly #requestIdName: FieldName;
  readonly #contentLengthName: FieldName;
  readonly #setCookieName: FieldName;
  /** An upgrade's own proof is for the connection that asked for it. */
  readonly #webSocketAcceptName: FieldName;

  constructor(cache: FieldCache) {
    this.#cache = cache;
    this.#server = cache.constant("server", "kittiwake");
    this.#via = cache.constant("via", "1.1 kittiwake");
    this.#requestIdName = cache.name("fly-request-id");
    this.#setCookieName = cache.name("set-cookie");
    this.#contentLengthName = cache.name("content-length");
    this.#webSocketAcceptName = cache.name("sec-websocket-accept");
  }

  /** A machine's final response. `isHead`: the request was HEAD, so that a length is not that of the body that follows. */
  response(encoder: HpackEncoder, head: ResponseHead, own: OwnResponseFields | null, isHead: boolean): void {
    encoder.status(head.status);
    this.#kept(encoder, head);
    if (own !== null) this.#own(encoder, head, own);
    if (isHead || head.status === 204 || head.status === 304) {
      if (head.status !== 204 && head.fields.find(FIELD.contentLength) !== -1) this.#length(encoder, head.contentLength);
    } else if (head.body === "none" || head.body === "length") this.#length(encoder, head.contentLength);
    else if (head.body === "chunked") this.#announcement(encoder, head.fields);
  }

  /** A response of a machine that has no body and no end of its own: 1xx, and the 200 that opens a tunnel (RFC 8441 section 5). */
  opening(encoder: HpackEncoder, status: number, head: ResponseHead, own: OwnResponseFields | null): void {
    encoder.status(status);
    this.#kept(encoder, head);
    if (own !== null) this.#own(encoder, head, own);
  }

  /** A response of the edge's own. */
  own(encoder: HpackEncoder, status: number, fields: readonly (readonly [name: string, value: string])[], bodyBytes: number): void {
    encoder.status(status);
    encodeFields(encoder, this.#cache, fields);
    this.#field(encoder, "date", new Date().toUTCString());
    this.#length(encoder, bodyBytes);
  }

  trailers(encoder: HpackEncoder, fields: readonly (readonly [name: string, value: string])[]): void {
    encodeFields(encoder, this.#cache, fields);
  }

  #kept(encoder: HpackEncoder, { fields, connectionNames }: ResponseHead): void {
    if (fields instanceof Http1Fields && connectionNames === null) {
      this.#keptLines(encoder, fields);
      return;
    }
    for (let i = 0; i < fields.count; i++) {
      if (RESPONSE_DROPS[fields.id(i)] === 1) continue;
      const fieldName = fields.name(i);
      if (connectionNames !== null && connectionNames.includes(fieldName)) continue;
      if (fieldName === this.#webSocketAcceptName.name) continue;
      this.#field(encoder, fieldName, fields.value(i));
    }
  }

  /** The usual case: most lines are as they were in the last response of this machine. */
  #keptLines(encoder: HpackEncoder, fields: Http1Fields): void {
    const memory = (fields.memory ??= new LineMemory(this.#cache, this.#requestIdName));
    for (let i = 0; i < fields.count; i++) {
      if (RESPONSE_DROPS[fields.id(i)] === 1) continue;
      const entry = memory.entryAt(fields, i);
      if (memory.name === this.#webSocketAcceptName) continue;
      if (entry === null) encoder.text(memory.name, fields.text, fields.valueStart(i), fields.valueEnd(i));
      else encoder.entry(entry);
    }
  }

  #own(encoder: HpackEncoder, head: ResponseHead, own: OwnResponseFields): void {
    const { fields } = head;
    // Who passes on a response without a Date adds one (RFC 9110 section 6.6.1).
    if (fields.find(FIELD.date) === -1) this.#field(encoder, "date", new Date().toUTCString());
    if (own.hsts !== null && fields.find(FIELD.strictTransportSecurity) === -1) {
      this.#field(encoder, "strict-transport-security", own.hsts);
    }
    if (own.isPanic) this.#field(encoder, "kittiwake-panic", "1");
    if (own.cookies !== null) for (const cookie of own.cookies) encoder.text(this.#setCookieName, cookie, 0, cookie.length);
    encoder.entry(this.#server);
    if (fields.find(FIELD.via) === -1) encoder.entry(this.#via);
    else encodeField(encoder, this.#cache, this.#via.field, `${joinedBefore(fields, FIELD.via)}${this.#via.value}`);
    encoder.text(this.#requestIdName, own.id, 0, own.id.length);
  }

  #length(encoder: HpackEncoder, bytes: number): void {
    encodeField(encoder, this.#cache, this.#contentLengthName, `${bytes}`);
  }

  #announcement(encoder: HpackEncoder, fields: Fields): void {
    if (fields.find(FIELD.trailer) === -1) return;
    const names = announcedTrailers(fields);
    if (names !== null) this.#field(encoder, "trailer", names);
  }

  #field(encoder: HpackEncoder, fieldName: string, value: string): void {
    encodeField(encoder, this.#cache, this.#cache.name(fieldName), value);
  }
}
