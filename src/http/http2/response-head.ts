// Hot path. The head of a machine's response as it came over HTTP/2, and what it must be (RFC 9113 sections 8.1 to 8.3).

import { parseContentLength } from "../content-length.ts";
import { FIELD } from "../field-names.ts";
import type { BodyKind, ResponseHead } from "../message.ts";
import { REASON_PHRASES } from "../reason-phrases.ts";
import { PSEUDO } from "./field-entry.ts";
import { Http2Fields, isConnectionSpecific } from "./request-head.ts";

export class Http2ResponseHead implements ResponseHead {
  readonly fields = new Http2Fields();
  readonly version = 20;
  readonly upgrade = "";
  readonly connectionNames = null;
  status = 0;
  body: BodyKind = "none";
  contentLength = 0;

  get reason(): string {
    return REASON_PHRASES[this.status] ?? "";
  }

  get isInterim(): boolean {
    return this.status < 200;
  }

  /**
   * Reads the list in `fields`. False: it is no response (RFC 9113 section 8.1.1).
   *
   * @param isHead the request was HEAD, so that a length is not that of this body
   */
  read(endStream: boolean, isHead: boolean): boolean {
    const { list } = this.fields;
    const first = list.entries[0];
    if (list.count === 0 || list.isMalformed || list.isTooLarge || first!.pseudo !== PSEUDO.status) return false;
    for (let i = 1; i < list.count; i++) {
      const { pseudo, id } = list.entries[i]!;
      if (pseudo !== PSEUDO.none || isConnectionSpecific(id)) return false;
    }
    this.status = parseStatus(first!.value);
    // HTTP/2 has no Switching Protocols (RFC 9113 section 8.6).
    if (this.status === 0 || this.status === 101) return false;
    this.fields.begin(1);
    if (this.isInterim) {
      this.body = "none";
      this.contentLength = 0;
      return !endStream;
    }
    return this.#readLength(endStream, isHead);
  }

  #readLength(endStream: boolean, isHead: boolean): boolean {
    const { fields } = this;
    const index = fields.find(FIELD.contentLength);
    const length = index === -1 ? 0 : parseContentLength(fields.value(index));
    if (length === -1 || (index !== -1 && fields.findFrom(FIELD.contentLength, index + 1) !== -1)) return false;
    this.contentLength = length;
    if (isHead || this.status === 204 || this.status === 304) this.body = "none";
    else if (index !== -1) this.body = length > 0 ? "length" : "none";
    else this.body = endStream ? "none" : "chunked";
    return !(endStream && this.body === "length");
  }
}

/** Three digits, from 100 to 599; 0 for anything else. */
function parseStatus(text: string): number {
  return /^[1-5][0-9]{2}$/.test(text) ? Number(text) : 0;
}
