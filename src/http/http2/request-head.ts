// Hot path. The head of a request as it came over HTTP/2: the decoded fields, read as the rest of the edge reads them.

import { FIELD } from "../field-names.ts";
import type { BodyKind, Fields, RequestHead, Underscores } from "../message.ts";
import { mayBeTrailer } from "../trailers.ts";
import { FieldEntry, PSEUDO, type FieldName } from "./field-entry.ts";
import { FieldList } from "./field-list.ts";
import { RepeatedFields } from "./repeated-fields.ts";

/** The fields behind the pseudo-header fields of a list. */
export class Http2Fields implements Fields {
  readonly list: FieldList = new FieldList();
  count = 0;
  /** Pseudo-header fields in front. */
  #base = 0;
  /** Which known names occur, a bit for each id. */
  #low = 0;
  #high = 0;
  /** Set when the fields are those of an earlier request. */
  #repeated: RepeatedFields | null = null;

  /** Takes the list as it is now. */
  begin(base: number): void {
    this.#base = base;
    this.#low = 0;
    this.#high = 0;
    this.#repeated = null;
    const { entries, count } = this.list;
    this.count = count - base;
    for (let i = base; i < count; i++) this.#note(entries[i]!.id);
  }

  /** Takes the list as it is now, which has these fields. */
  repeat(base: number, repeated: RepeatedFields): void {
    this.#base = base;
    this.count = this.list.count - base;
    this.#low = repeated.low;
    this.#high = repeated.high;
    this.#repeated = repeated;
  }

  /** For requests to come; null if these fields cannot be had again as the same entries. */
  remember(): RepeatedFields | null {
    const { entries, count } = this.list;
    for (let i = this.#base; i < count; i++) if (!entries[i]!.isRepeated) return null;
    this.#repeated = new RepeatedFields(entries.slice(this.#base, count), this.#low, this.#high);
    return this.#repeated;
  }

  /** The lines of all fields but those that `drops` holds 1 for at their id. */
  kept(drops: Uint8Array): string {
    if (this.#repeated !== null) return this.#repeated.kept(drops);
    let kept = "";
    for (let i = 0; i < this.count; i++) {
      const { id, line } = this.entry(i);
      if (drops[id] !== 1) kept += line;
    }
    return kept;
  }

  id(index: number): number {
    return this.entry(index).id;
  }

  name(index: number): string {
    return this.entry(index).name;
  }

  value(index: number): string {
    return this.entry(index).value;
  }

  charCode(index: number, position: number): number {
    return this.entry(index).value.charCodeAt(position);
  }

  line(index: number): string {
    return this.entry(index).line;
  }

  entry(index: number): FieldEntry {
    return this.list.entries[this.#base + index]!;
  }

  find(id: number): number {
    return this.has(id) ? this.findFrom(id, 0) : -1;
  }

  has(id: number): boolean {
    return ((id < 32 ? this.#low >>> id : this.#high >>> (id - 32)) & 1) === 1;
  }

  /** Index of the first field with this id from `index` on, or -1. */
  findFrom(id: number, index: number): number {
    for (let i = index; i < this.count; i++) if (this.entry(i).id === id) return i;
    return -1;
  }

  /** Takes out the fields of a name that the table of names does not know. */
  removeAll(name: string): void {
    const { entries } = this.list;
    let kept = this.#base;
    for (let i = kept; i < this.#base + this.count; i++) if (entries[i]!.name !== name) entries[kept++] = entries[i]!;
    this.#shorten(kept);
  }

  /** Takes out the fields with "_" in their names; tells whether there were any. */
  removeUnderscored(): boolean {
    const { entries } = this.list;
    const end = this.#base + this.count;
    let kept = this.#base;
    for (let i = kept; i < end; i++) if (!hasUnderscore(entries[i]!)) entries[kept++] = entries[i]!;
    this.#shorten(kept);
    return kept < end;
  }

  append(name: FieldName, value: string): void {
    this.#repeated = null;
    this.list.entries[this.#base + this.count++] = new FieldEntry(name, value, true, false, false, 0);
    this.list.count++;
    this.#note(name.id);
  }

  /**
   * Makes one field of all cookies: a client may split them for the sake of compression, but nobody past HTTP/2 may see them so
   * (RFC 9113 section 8.2.3).
   */
  joinCookies(): void {
    const first = this.find(FIELD.cookie);
    if (first === -1 || this.findFrom(FIELD.cookie, first + 1) === -1) return;
    const { entries } = this.list;
    let value = this.value(first);
    let kept = this.#base + first + 1;
    for (let i = kept; i < this.#base + this.count; i++) {
      const entry = entries[i]!;
      if (entry.id === FIELD.cookie) value += `; ${entry.value}`;
      else entries[kept++] = entry;
    }
    entries[this.#base + first] = new FieldEntry(this.entry(first).field, value, true, false, false, 0);
    this.#shorten(kept);
  }

  /** Reads the list as trailers and keeps those that may be some. False: the message is malformed (RFC 9113 section 8.1). */
  keepTrailers(most: number, underscores: Underscores): boolean {
    const { list } = this;
    if (list.isMalformed || list.isTooLarge || list.count > most) return false;
    const { entries } = list;
    let kept = 0;
    for (let i = 0; i < list.count; i++) {
      const entry = entries[i]!;
      if (entry.pseudo !== PSEUDO.none || isConnectionSpecific(entry.id)) return false;
      const isUnderscored = underscores !== "pass" && hasUnderscore(entry);
      if (isUnderscored && underscores === "refuse") return false;
      if (!isUnderscored && mayBeTrailer(entry.name)) entries[kept++] = entry;
    }
    list.count = kept;
    this.begin(0);
    return true;
  }

  #shorten(end: number): void {
    this.count = end - this.#base;
    this.list.count = end;
  }

  #note(id: number): void {
    if (id < 32) this.#low |= 1 << id;
    else this.#high |= 1 << (id - 32);
  }
}

export class Http2RequestHead implements RequestHead {
  readonly fields = new Http2Fields();
  readonly version = 20;
  readonly connectionNames = null;
  method = "";
  target = "";
  authority = "";
  host = "";
  body: BodyKind = "none";
  contentLength = 0;
  upgrade = "";
  webSocketAccept = "";
  expectsContinue = false;
}

/** Names that the protocols know have none. */
function hasUnderscore({ field, name }: FieldEntry): boolean {
  return !field.isStandard && name.includes("_");
}

/** Of HTTP/1.1, and of no use or worse in HTTP/2 (RFC 9113 section 8.2.2). */
export function isConnectionSpecific(id: number): boolean {
  switch (id) {
    case FIELD.connection:
    case FIELD.keepAlive:
    case FIELD.proxyConnection:
    case FIELD.transferEncoding:
    case FIELD.upgrade:
      return true;
    default:
      return false;
  }
}
