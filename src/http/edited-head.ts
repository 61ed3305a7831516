// A response's head that may be changed on its way: a copy of another one, whichever protocol that came over, and itself fit for any.

import { FIELD, fieldId } from "./field-names.ts";
import type { BodyKind, Fields, ResponseHead } from "./message.ts";

export class EditedFields implements Fields {
  readonly #ids: number[] = [];
  readonly #names: string[] = [];
  readonly #values: string[] = [];

  /** @param leaveOut names in lower case; null for none */
  static copyOf(fields: Fields, leaveOut: readonly string[] | null = null): EditedFields {
    const copy = new EditedFields();
    for (let i = 0; i < fields.count; i++) {
      const name = fields.name(i);
      if (leaveOut?.includes(name) !== true) copy.#push(fields.id(i), name, fields.value(i));
    }
    return copy;
  }

  /** As a message has them. @param fields the names in lower case */
  static of(fields: Iterable<readonly [name: string, value: string]>): EditedFields {
    const made = new EditedFields();
    for (const [name, value] of fields) made.#push(fieldId(Buffer.from(name, "latin1"), 0, name.length), name, value);
    return made;
  }

  get count(): number {
    return this.#names.length;
  }

  id(index: number): number {
    return this.#ids[index]!;
  }

  name(index: number): string {
    return this.#names[index]!;
  }

  value(index: number): string {
    return this.#values[index]!;
  }

  charCode(index: number, position: number): number {
    return this.#values[index]!.charCodeAt(position);
  }

  line(index: number): string {
    return `${this.#names[index]}: ${this.#values[index]}\r\n`;
  }

  find(id: number): number {
    return this.#ids.indexOf(id);
  }

  /** Appends a field that every codec passes on, whatever it does with others of that name: it has no `FIELD` id. */
  add(name: string, value: string): void {
    this.#push(FIELD.other, name, value);
  }

  #push(id: number, name: string, value: string): void {
    this.#ids.push(id);
    this.#names.push(name);
    this.#values.push(value);
  }

  remove(name: string): void {
    for (let i = this.#names.length - 1; i >= 0; i--) {
      if (this.#names[i] !== name) continue;
      this.#ids.splice(i, 1);
      this.#names.splice(i, 1);
      this.#values.splice(i, 1);
    }
  }

  /** Every field of this name becomes one that every codec passes on. */
  keep(name: string): void {
    for (let i = 0; i < this.#names.length; i++) if (this.#names[i] === name) this.#ids[i] = FIELD.other;
  }
}

export class EditedHead implements ResponseHead {
  readonly fields: EditedFields;
  readonly status: number;
  readonly reason: string;
  readonly version: number;
  readonly upgrade: string;
  /** Those fields were left out already. */
  readonly connectionNames = null;
  body: BodyKind;
  contentLength: number;

  constructor(head: ResponseHead) {
    const { fields, connectionNames } = head;
    this.status = head.status;
    this.reason = head.reason;
    this.version = head.version;
    this.upgrade = head.upgrade;
    this.body = head.body;
    this.contentLength = head.contentLength;
    this.fields = EditedFields.copyOf(fields, connectionNames);
  }
}
