// Hot path. Request heads into header blocks, for a machine that speaks HTTP/2 (RFC 9113 sections 8.2 and 8.3.1), whichever protocol the
// request came by.

import { REQUEST_DROPS } from "../http1/encode.ts";
import { FIELD } from "../field-names.ts";
import type { RequestHead } from "../message.ts";
import { announcedTrailers, acceptsTrailers } from "../trailers.ts";
import { encodeField, encodeFields } from "./encode-fields.ts";
import type { FieldCache } from "./field-cache.ts";
import type { HpackEncoder } from "./hpack-encoder.ts";
import { Http2Fields } from "./request-head.ts";

/** Shared by all connections of a worker: only the encoder it writes with belongs to one of them. */
export class RequestEncoder {
  readonly #cache: FieldCache;

  constructor(cache: FieldCache) {
    this.#cache = cache;
  }

  /** @param added the edge's own fields, names in lower case */
  request(encoder: HpackEncoder, head: RequestHead, scheme: string, added: readonly (readonly [name: string, value: string])[]): void {
    this.#field(encoder, ":method", head.method);
    this.#field(encoder, ":scheme", scheme);
    if (head.authority !== "") this.#field(encoder, ":authority", head.authority);
    this.#field(encoder, ":path", head.target);
    this.#kept(encoder, head);
    const { fields } = head;
    if (head.body === "length" || fields.find(FIELD.contentLength) !== -1) {
      this.#field(encoder, "content-length", `${head.contentLength}`);
    } else if (head.body === "chunked" && fields.find(FIELD.trailer) !== -1) {
      const names = announcedTrailers(fields);
      if (names !== null) this.#field(encoder, "trailer", names);
    }
    if (fields.find(FIELD.te) !== -1 && acceptsTrailers(fields)) this.#field(encoder, "te", "trailers");
    encodeFields(encoder, this.#cache, added);
  }

  trailers(encoder: HpackEncoder, fields: readonly (readonly [name: string, value: string])[]): void {
    encodeFields(encoder, this.#cache, fields);
  }

  #kept(encoder: HpackEncoder, { fields, connectionNames }: RequestHead): void {
    for (let i = 0; i < fields.count; i++) {
      if (REQUEST_DROPS[fields.id(i)] === 1) continue;
      if (fields instanceof Http2Fields) {
        encoder.entry(fields.entry(i));
        continue;
      }
      const fieldName = fields.name(i);
      if (connectionNames === null || !connectionNames.includes(fieldName)) this.#field(encoder, fieldName, fields.value(i));
    }
  }

  #field(encoder: HpackEncoder, fieldName: string, value: string): void {
    encodeField(encoder, this.#cache, this.#cache.name(fieldName), value);
  }
}
