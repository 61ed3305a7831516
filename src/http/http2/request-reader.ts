// Hot path. What a decoded header block must be to be a request (RFC 9113 sections 8.1 to 8.3, RFC 8441 section 4), as strict as the
// HTTP/1.1 side. One for each connection.

import { createHash, randomBytes } from "node:crypto";
import { parseAuthority } from "../authority.ts";
import { CHARACTERS, TARGET, TOKEN } from "../characters.ts";
import { parseContentLength } from "../content-length.ts";
import { FIELD } from "../field-names.ts";
import type { Underscores } from "../message.ts";
import type { ErrorCode } from "../../core/errors.ts";
import { FieldName, PSEUDO, type FieldEntry } from "./field-entry.ts";
import { isConnectionSpecific, type Http2RequestHead } from "./request-head.ts";
import type { RepeatedFields } from "./repeated-fields.ts";

/**
 * - ok: a request
 * - malformed: none; the stream is reset (RFC 9113 section 8.1.1)
 * - a code: a request that is refused with this error
 */
export type RequestVerdict = "ok" | "malformed" | ErrorCode;

const UPGRADE = new FieldName("upgrade", true, 0);
const WEBSOCKET_KEY = new FieldName("sec-websocket-key", true, 0);
export interface RequestReaderLimits {
  readonly targetBytes: number;
  readonly underscores: Underscores;
}

/** RFC 6455 section 1.3. */
const WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

export class RequestReader {
  readonly #scheme: string;
  readonly #limits: RequestReaderLimits;
  /** Indexed by `PSEUDO`; null where there is none. */
  readonly #pseudo: (FieldEntry | null)[] = Array.from({ length: PSEUDO.unknown + 1 }, () => null);
  #last: RepeatedFields | null = null;
  #lastAuthority: FieldEntry | null = null;
  #lastHost = "";
  #lastAuthorityText = "";

  /** `scheme` of the connection. */
  constructor(scheme: "http" | "https", limits: RequestReaderLimits) {
    this.#scheme = scheme;
    this.#limits = limits;
  }

  /** Reads the list in `head.fields`; `head` is whole only when the verdict is "ok", and names what it can otherwise. */
  read(head: Http2RequestHead, endStream: boolean): RequestVerdict {
    const { list } = head.fields;
    reset(head);
    const base = this.#readPseudo(list.entries, list.count);
    if (base === -1 || list.isMalformed) return "malformed";
    const isRepeated = this.#last !== null && this.#last.are(list.entries, base, list.count);
    if (isRepeated) head.fields.repeat(base, this.#last!);
    else head.fields.begin(base);
    const pseudo = this.#pseudo;
    head.method = pseudo[PSEUDO.method]?.value ?? "";
    if (list.isTooLarge) return "head_too_large";
    if (!isToken(head.method)) return "malformed";
    if (!this.#readAuthority(head)) return "malformed";
    const verdict = isRepeated ? "ok" : this.#readFields(head);
    if (verdict !== "ok") return verdict;
    if (!readLength(head, endStream)) return "malformed";
    if (head.method === "CONNECT") return this.#readConnect(head);
    return this.#readTarget(head);
  }

  /** What depends on nothing but the fields themselves. */
  #readFields(head: Http2RequestHead): RequestVerdict {
    const { fields } = head;
    const { underscores } = this.#limits;
    const count = fields.count;
    if (underscores !== "pass" && fields.removeUnderscored() && underscores === "refuse") return "bad_header";
    if (!areFieldsAllowed(head)) return "malformed";
    fields.joinCookies();
    const verdict = this.#readExpectation(head);
    // What had to be changed has to be changed again the next time.
    if (verdict === "ok" && fields.count === count && !head.expectsContinue) this.#last = fields.remember() ?? this.#last;
    return verdict;
  }

  /** The pseudo-header fields stand in front, each at most once. Returns how many there are, -1 when that is not so. */
  #readPseudo(entries: readonly FieldEntry[], count: number): number {
    const pseudo = this.#pseudo;
    for (let i = 0; i < pseudo.length; i++) pseudo[i] = null;
    let base = 0;
    while (base < count && entries[base]!.pseudo !== PSEUDO.none) {
      const entry = entries[base]!;
      if (pseudo[entry.pseudo] !== null || entry.pseudo === PSEUDO.status) return -1;
      pseudo[entry.pseudo] = entry;
      base++;
    }
    for (let i = base; i < count; i++) if (entries[i]!.pseudo !== PSEUDO.none) return -1;
    return base;
  }

  /** One host, named by `:authority`, by Host, or by both alike (RFC 9113 section 8.3.1). */
  #readAuthority(head: Http2RequestHead): boolean {
    const { fields } = head;
    const hostIndex = fields.find(FIELD.host);
    const host = hostIndex === -1 ? null : fields.entry(hostIndex);
    const entry = this.#pseudo[PSEUDO.authority] ?? host;
    if (entry === null || (host !== null && fields.findFrom(FIELD.host, hostIndex + 1) !== -1)) return false;
    if (entry !== this.#lastAuthority) {
      const authority = parseAuthority(entry.value);
      if (authority === null) return false;
      this.#lastAuthority = entry;
      this.#lastAuthorityText = entry.value.toLowerCase();
      this.#lastHost = authority.host;
    }
    head.authority = this.#lastAuthorityText;
    head.host = this.#lastHost;
    return host === null || host === entry || host.value.toLowerCase() === head.authority;
  }

  #readTarget(head: Http2RequestHead): RequestVerdict {
    const pseudo = this.#pseudo;
    const scheme = pseudo[PSEUDO.scheme];
    const path = pseudo[PSEUDO.path];
    if (scheme === null || path === null || pseudo[PSEUDO.protocol] !== null) return "malformed";
    // It would show the client what the edge adds for the machine's eyes (RFC 9110 section 9.3.8).
    if (head.method === "TRACE") return "method_not_allowed";
    return this.#readSchemeAndPath(head, scheme!.value, path!.value);
  }

  #readSchemeAndPath(head: Http2RequestHead, scheme: string, path: string): RequestVerdict {
    head.target = path;
    if (path.charCodeAt(0) !== 0x2f && !(path === "*" && head.method === "OPTIONS")) return "malformed";
    for (let i = 0; i < path.length; i++) if ((CHARACTERS[path.charCodeAt(i)]! & TARGET) === 0) return "malformed";
    if (path.length > this.#limits.targetBytes) return "target_too_long";
    if (scheme === this.#scheme) return "ok";
    // What was asked for is another resource than what this connection can give (RFC 9110 section 7.4).
    return scheme === "http" || scheme === "https" ? "misdirected_request" : "malformed";
  }

  /** Only what becomes an Upgrade at the machine; anything else would make this a forward proxy. */
  #readConnect(head: Http2RequestHead): RequestVerdict {
    const pseudo = this.#pseudo;
    const protocol = pseudo[PSEUDO.protocol];
    const scheme = pseudo[PSEUDO.scheme];
    const path = pseudo[PSEUDO.path];
    if (pseudo[PSEUDO.authority] === null) return "malformed";
    if (protocol === null) return scheme === null && path === null ? "method_not_allowed" : "malformed";
    if (scheme === null || path === null) return "malformed";
    const verdict = this.#readSchemeAndPath(head, scheme!.value, path!.value);
    if (verdict !== "ok") return verdict;
    if (protocol!.value !== "websocket") return "protocol_not_supported";
    head.fields.removeAll(WEBSOCKET_KEY.name);
    // What the machine must answer shows that it understood, and that nobody else did (RFC 6455 section 4.2.2).
    const key = randomBytes(16).toString("base64");
    head.webSocketAccept = createHash("sha1")
      .update(key + WEBSOCKET_GUID)
      .digest("base64");
    head.fields.append(UPGRADE, "websocket");
    head.fields.append(WEBSOCKET_KEY, key);
    head.method = "GET";
    head.upgrade = "websocket";
    head.body = "none";
    head.contentLength = 0;
    return "ok";
  }

  #readExpectation(head: Http2RequestHead): RequestVerdict {
    const index = head.fields.find(FIELD.expect);
    if (index === -1) return "ok";
    head.expectsContinue = true;
    return head.fields.value(index).toLowerCase() === "100-continue" ? "ok" : "expectation_failed";
  }
}

/** The head is used again and again. */
function reset(head: Http2RequestHead): void {
  head.fields.begin(head.fields.list.count);
  head.method = "";
  head.target = "";
  head.authority = "";
  head.host = "";
  head.body = "none";
  head.contentLength = 0;
  head.upgrade = "";
  head.webSocketAccept = "";
  head.expectsContinue = false;
}

/** None that is about a connection of HTTP/1.1 (RFC 9113 section 8.2.2). */
function areFieldsAllowed({ fields }: Http2RequestHead): boolean {
  for (let i = 0; i < fields.count; i++) if (isConnectionSpecific(fields.id(i))) return false;
  for (let i = fields.find(FIELD.te); i !== -1; i = fields.findFrom(FIELD.te, i + 1)) {
    if (fields.value(i).toLowerCase() !== "trailers") return false;
  }
  return true;
}

/** How long the body is; whether DATA agrees is seen as it comes (RFC 9113 section 8.1.1). */
function readLength(head: Http2RequestHead, endStream: boolean): boolean {
  const { fields } = head;
  const index = fields.find(FIELD.contentLength);
  if (index === -1) {
    head.body = endStream ? "none" : "chunked";
    return true;
  }
  const length = parseContentLength(fields.value(index));
  if (length === -1 || fields.findFrom(FIELD.contentLength, index + 1) !== -1) return false;
  if (endStream && length > 0) return false;
  head.contentLength = length;
  head.body = length > 0 ? "length" : "none";
  return true;
}

function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) if ((CHARACTERS[text.charCodeAt(i)]! & TOKEN) === 0) return false;
  return text !== "";
}
