// The fields behind the last chunk of a body (RFC 9112 section 7.1.2): gathered, parsed like those of a head, and without those
// that may not come there. Most bodies have none, and nothing of this is made for them.

import { ProxyError, type ErrorCode } from "../../core/errors.ts";
import { FIELD } from "../field-names.ts";
import type { Fields, Underscores } from "../message.ts";
import { mayBeTrailer } from "../trailers.ts";
import { Http1Fields } from "./fields.ts";

const FIRST_BYTES = 512;
/** Of the empty line that the parser ends at. */
const END_BYTES = 2;

export class TrailerSection implements Fields {
  readonly #maxBytes: number;
  readonly #maxFields: number;
  readonly #underscores: Underscores;
  #all: Http1Fields | null = null;
  /** Where in `#all` the kept fields are. */
  #kept: number[] = [];
  #held: Buffer | null = null;
  #length = 0;

  constructor(maxBytes: number, maxFields: number, underscores: Underscores) {
    this.#maxBytes = maxBytes;
    this.#maxFields = maxFields;
    this.#underscores = underscores;
  }

  /** Appends one byte of a field line. False: there are more than allowed. */
  add(byte: number): boolean {
    if (this.#length === this.#maxBytes) return false;
    if (this.#held === null || this.#held.length === this.#length + END_BYTES) this.#grow();
    this.#held![this.#length++] = byte;
    return true;
  }

  /**
   * Parses what was added and forgets it. Refuses with `code` what a head may not have either, and more fields than allowed.
   * @param connectionNames in lower case: fields that were for one connection alone (RFC 9110 section 7.6.1)
   * @returns how many fields are left
   */
  read(connectionNames: readonly string[] | null, code: ErrorCode): number {
    const all = (this.#all ??= new Http1Fields(this.#maxFields));
    const held = this.#held!;
    const length = this.#length;
    this.#held = null;
    this.#length = 0;
    this.#kept = [];
    held.write("\r\n", length, "latin1");
    try {
      all.parse(held, 0, length + 2, 0);
      all.setText(held.toString("latin1", 0, length));
    } catch (error) {
      throw new ProxyError(code, `more than ${this.#maxFields} trailers`, { cause: error });
    }
    if (this.#underscores !== "pass" && all.withholdUnderscored() && this.#underscores === "refuse") {
      throw new ProxyError("bad_header", "a trailer's name has an underscore");
    }
    for (let i = 0; i < all.count; i++) {
      if (all.id(i) === FIELD.withheld) continue;
      const name = all.name(i);
      if (mayBeTrailer(name) && (connectionNames === null || !connectionNames.includes(name))) this.#kept.push(i);
    }
    return this.#kept.length;
  }

  clear(): void {
    this.#held = null;
    this.#length = 0;
  }

  get count(): number {
    return this.#kept.length;
  }

  id(index: number): number {
    return this.#all!.id(this.#kept[index]!);
  }

  name(index: number): string {
    return this.#all!.name(this.#kept[index]!);
  }

  value(index: number): string {
    return this.#all!.value(this.#kept[index]!);
  }

  charCode(index: number, position: number): number {
    return this.#all!.charCode(this.#kept[index]!, position);
  }

  line(index: number): string {
    return this.#all!.line(this.#kept[index]!);
  }

  find(id: number): number {
    return this.#kept.findIndex((at) => this.#all!.id(at) === id);
  }

  #grow(): void {
    const grown = Buffer.alloc(Math.min(this.#maxBytes, Math.max(FIRST_BYTES, this.#length * 2)) + END_BYTES);
    if (this.#held !== null) this.#held.copy(grown, 0, 0, this.#length);
    this.#held = grown;
  }
}
