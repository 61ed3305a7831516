// Hot path. One header field of HTTP/2, made once and used again: in the tables of HPACK, and by whoever forwards it.

import { fieldId } from "../field-names.ts";
import { flat } from "../flat.ts";

/** Pseudo-header fields (RFC 9113 section 8.3, RFC 8441 section 4). */
export const PSEUDO = {
  /** An ordinary field. */
  none: 0,
  method: 1,
  scheme: 2,
  authority: 3,
  path: 4,
  protocol: 5,
  status: 6,
  /** A name with a colon in front that nobody defined: the message is malformed, and so is the entry. */
  unknown: 7,
} as const;

const PSEUDO_BY_NAME: ReadonlyMap<string, number> = new Map([
  [":method", PSEUDO.method],
  [":scheme", PSEUDO.scheme],
  [":authority", PSEUDO.authority],
  [":path", PSEUDO.path],
  [":protocol", PSEUDO.protocol],
  [":status", PSEUDO.status],
]);

/** Fields that may carry secrets, and the length below which a value could be guessed if it were indexed (RFC 7541 section 7.1.3). */
const SECRETS: ReadonlyMap<string, number> = new Map([
  ["authorization", Infinity],
  ["proxy-authorization", Infinity],
  ["set-cookie", Infinity],
  ["cookie", 20],
]);

/** As RFC 7541 section 4.1 counts an entry: the lengths of name and value, and this. */
export const ENTRY_OVERHEAD = 32;

/** FNV-1a: good enough for tables where a collision only means that something is forgotten. */
const HASH_BASIS = 0x811c_9dc5 | 0;
export const HASH_PRIME = 0x0100_0193;

/** What every field of one name has in common. */
export class FieldName {
  /** Lower case, unless it is invalid. */
  readonly name: string;
  /** The same. */
  readonly bytes: Uint8Array;
  /** `FIELD` id; 0 for an unknown name. */
  readonly id: number;
  /** One of `PSEUDO`. */
  readonly pseudo: number;
  /** A lower-case token, or a known pseudo-header field (RFC 9113 section 8.2.1). */
  readonly isValid: boolean;
  /** Its first index in the static table, 0 when it is not there. */
  readonly staticIndex: number;
  /** Its values may be secrets: they are not remembered beyond the connection that they came on. */
  readonly isSecret: boolean;
  /** Values shorter than this are sent as never-indexed literals. */
  readonly shortestIndexed: number;
  /** A name that the protocols know. */
  readonly isStandard: boolean;
  /** For tables that are looked up by the bytes of a field. */
  readonly hash: number;

  /** `isValid` speaks of an ordinary name; one that begins with a colon is valid if it is known. */
  constructor(name: string, isValid: boolean, staticIndex: number) {
    const bytes = new Uint8Array(Buffer.from(name, "latin1"));
    this.name = name;
    this.bytes = bytes;
    this.pseudo = name.startsWith(":") ? (PSEUDO_BY_NAME.get(name) ?? PSEUDO.unknown) : PSEUDO.none;
    this.isValid = this.pseudo === PSEUDO.none ? isValid : this.pseudo !== PSEUDO.unknown;
    this.id = this.pseudo === PSEUDO.none && isValid ? fieldId(bytes, 0, bytes.length) : 0;
    this.staticIndex = staticIndex;
    this.isSecret = SECRETS.has(name);
    this.shortestIndexed = SECRETS.get(name) ?? 0;
    this.isStandard = this.id !== 0 || staticIndex !== 0;
    this.hash = bytes.reduce((hash, byte) => Math.imul(hash ^ byte, HASH_PRIME), HASH_BASIS);
  }
}

/** Immutable. One that repeats is the same object each time, so that it can be looked up by identity. */
export class FieldEntry {
  readonly field: FieldName;
  /** One character a byte. */
  readonly value: string;
  /** As RFC 7541 section 4.1 and RFC 9113 section 6.5.2 count it: both lengths and 32. */
  readonly size: number;
  /** Name and value are such as RFC 9113 section 8.2.1 allows. A message with an invalid one is malformed: a stream error. */
  readonly isValid: boolean;
  /** Worth a place in a dynamic table: it was in one, or was seen twice. */
  readonly isRepeated: boolean;
  /** It came as a never-indexed literal, and must go on as one (RFC 7541 section 6.2.3). */
  readonly isNeverIndexed: boolean;
  /** Its index in the static table when the value is there too, otherwise 0. */
  readonly staticIndex: number;
  #line: string | null = null;

  constructor(field: FieldName, value: string, isValid: boolean, isRepeated: boolean, isNeverIndexed: boolean, staticIndex: number) {
    this.field = field;
    this.value = value;
    this.size = field.name.length + value.length + ENTRY_OVERHEAD;
    this.isValid = isValid;
    this.isRepeated = isRepeated;
    this.isNeverIndexed = isNeverIndexed;
    this.staticIndex = staticIndex;
  }

  get name(): string {
    return this.field.name;
  }

  /** `FIELD` id of the name; 0 for an unknown one. */
  get id(): number {
    return this.field.id;
  }

  /** One of `PSEUDO`; 0 for an ordinary field. */
  get pseudo(): number {
    return this.field.pseudo;
  }

  /** `name: value\r\n`, ready for HTTP/1.1. Not for pseudo-header fields, nor for what is not valid. */
  get line(): string {
    return this.#line ?? this.#makeLine();
  }

  #makeLine(): string {
    const line = `${this.field.name}: ${this.value}\r\n`;
    // One that is used again and again is better flat than as a tree of its parts.
    this.#line = this.isRepeated ? flat(line) : line;
    return this.#line;
  }
}
