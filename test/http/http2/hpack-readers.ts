// What the tests of HPACK share: header blocks in and out as plain values, and a look at a decoder's dynamic table.

import assert from "node:assert/strict";

import { ConnectionError, H2_ERROR } from "../../../src/http/http2/connection-error.ts";
import { FieldCache } from "../../../src/http/http2/field-cache.ts";
import { FieldList } from "../../../src/http/http2/field-list.ts";
import { HpackDecoder, type HpackDecoderOptions } from "../../../src/http/http2/hpack-decoder.ts";
import type { HpackEncoder } from "../../../src/http/http2/hpack-encoder.ts";

export type Field = readonly [name: string, value: string];

/** With limits that are not in the way. */
export function newDecoder(options: Partial<HpackDecoderOptions> = {}): HpackDecoder {
  return new HpackDecoder({ cache: new FieldCache(), listBytes: 1 << 20, maxFields: 10_000, ...options });
}

export function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(" ", ""), "hex");
}

/** The list of a block in hexadecimal digits or bytes. Bytes around it show whether its bounds are held. */
export function decode(decoder: HpackDecoder, block: string | Uint8Array): FieldList {
  const bytes = typeof block === "string" ? bytesOf(block) : block;
  const list = new FieldList();
  const around = Buffer.concat([Buffer.from([0xff, 0x82]), bytes, Buffer.from([0x82, 0xff])]);
  decoder.decode(around, 2, 2 + bytes.length, list);
  return list;
}

export function fieldsOf(list: FieldList): Field[] {
  return list.entries.slice(0, list.count).map(({ name, value }) => [name, value] as const);
}

export function decodeFields(decoder: HpackDecoder, block: string | Uint8Array): Field[] {
  return fieldsOf(decode(decoder, block));
}

/** What is in the dynamic table, newest first. */
export function tableOf(decoder: HpackDecoder): Field[] {
  const fields: Field[] = [];
  for (;;) {
    const index = 62 + fields.length;
    const block = index < 0x7f ? [0x80 | index] : [0xff, ...integerTail(index - 0x7f)];
    try {
      fields.push(...decodeFields(decoder, Buffer.from(block)));
    } catch (error) {
      if (error instanceof ConnectionError) return fields;
      throw error;
    }
  }
}

export function integerTail(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 0x80; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
}

export function tableBytes(fields: readonly Field[]): number {
  return fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
}

/** What `write` encodes. */
export function encode(encoder: HpackEncoder, write: (encoder: HpackEncoder) => void, buffer: Buffer = Buffer.alloc(64 * 1024)): Buffer {
  encoder.begin(buffer, 9);
  write(encoder);
  const end = encoder.end();
  return Buffer.from(encoder.buffer.subarray(encoder.start, end));
}

export function assertCompressionError(decoder: HpackDecoder, block: string | Uint8Array, message: RegExp): void {
  assert.throws(
    () => decode(decoder, block),
    (error) => error instanceof ConnectionError && error.code === H2_ERROR.compressionError && message.test(error.message),
    typeof block === "string" ? block : Buffer.from(block).toString("hex"),
  );
}
