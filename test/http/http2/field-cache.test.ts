// What the worker remembers of fields: names and values by their bytes, within bounds, and no secrets.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";
import { FieldCache } from "../../../src/http/http2/field-cache.ts";
import type { FieldEntry, FieldName } from "../../../src/http/http2/field-entry.ts";
import { STATIC_TABLE } from "../../../src/http/http2/static-table.ts";
import { FIELD } from "../../../src/http/field-names.ts";
import { fuzzParameters } from "../seed.ts";

const nameOf = (cache: FieldCache, text: string): FieldName => {
  const around = `::${text}::`;
  const inText = cache.names.inText(around, 2, 2 + text.length);
  if (text.length <= 128 && !text.startsWith(":")) {
    assert.equal(cache.names.inBytes(Buffer.from(around, "latin1"), 2, 2 + text.length), inText);
  }
  return inText;
};
const entryOf = (cache: FieldCache, name: string, value: string, as: "text" | "bytes" = "text"): FieldEntry | null => {
  const around = `<<${value}>>`;
  const field = nameOf(cache, name);
  if (as === "bytes") return cache.entryInBytes(field, Buffer.from(around, "latin1"), 2, 2 + value.length);
  return cache.entryInText(field, around, 2, 2 + value.length);
};

describe("a name", () => {
  test("of the static table is the one of the static table, in any case", () => {
    const cache = new FieldCache();
    for (const { field } of STATIC_TABLE.slice(1)) {
      assert.equal(nameOf(cache, field.name), field, field.name);
      if (field.pseudo === 0) assert.equal(nameOf(cache, field.name.toUpperCase()), field);
    }
  });

  test("that is another one is one object, lower case, and knows its id", () => {
    const cache = new FieldCache();
    const name = nameOf(cache, "X-Forwarded-For");
    assert.deepEqual([name.name, name.id, name.staticIndex, name.isValid], ["x-forwarded-for", FIELD.xForwardedFor, 0, true]);
    assert.equal(nameOf(cache, "x-forwarded-for"), name);
    assert.notEqual(nameOf(cache, "x-forwarded-foR2"), name);
    // Agrees in length, first, middle and last byte
    assert.notEqual(nameOf(cache, "x-firwarded-for"), name);
  });

  test("that differs only where case would is another one", () => {
    const cache = new FieldCache();
    // "^" and "~", "_" and DEL differ in the bit that case does.
    assert.notEqual(nameOf(cache, "a^b"), nameOf(cache, "a~b"));
    assert.equal(nameOf(cache, "a~b").name, "a~b");
    assert.equal(nameOf(cache, "A^B").name, "a^b");
  });

  test("may be very long, and does not keep the text alive that it stood in", () => {
    assert.equal(nameOf(new FieldCache(), "x".repeat(10_000)).name.length, 10_000);
  });

  test("is remembered among many others, and of a flood of names the protocol's own stay", () => {
    const cache = new FieldCache();
    for (let n = 0; n < 50_000; n++) assert.equal(nameOf(cache, `x-${n}`).name, `x-${n}`);
    for (const { field } of STATIC_TABLE.slice(1)) assert.equal(nameOf(cache, field.name), field, field.name);
    const last = nameOf(cache, "x-49999");
    assert.equal(nameOf(cache, "x-49999"), last);
  });
});

describe("an entry", () => {
  for (const as of ["text", "bytes"] as const) {
    test(`is made when a value is seen for the second time, in ${as}, and is the same one from then on`, () => {
      const cache = new FieldCache();
      assert.equal(entryOf(cache, "vary", "accept", as), null);
      const entry = entryOf(cache, "vary", "accept", as)!;
      assert.deepEqual([entry.name, entry.value, entry.line, entry.isRepeated], ["vary", "accept", "vary: accept\r\n", true]);
      for (const later of ["text", "bytes"] as const) assert.equal(entryOf(cache, "Vary", "accept", later), entry);
    });
  }

  test("may be seen as text and as bytes", () => {
    const cache = new FieldCache();
    assert.equal(entryOf(cache, "vary", "b\xe4r", "text"), null);
    assert.equal(entryOf(cache, "vary", "b\xe4r", "bytes")?.value, "b\xe4r");
  });

  test("of another name or value is another one", () => {
    const cache = new FieldCache();
    for (let i = 0; i < 2; i++) entryOf(cache, "vary", "accept");
    assert.equal(entryOf(cache, "x-vary", "accept"), null);
    assert.equal(entryOf(cache, "vary", "accepT"), null);
    assert.equal(entryOf(cache, "vary", "accep"), null);
    assert.equal(entryOf(cache, "vary", ""), null);
    assert.equal(entryOf(cache, "vary", "")?.value, "");
  });

  test("that the static table has is that of the static table", () => {
    const cache = new FieldCache();
    entryOf(cache, "accept-encoding", "gzip, deflate");
    assert.equal(entryOf(cache, "accept-encoding", "gzip, deflate"), STATIC_TABLE[16]);
    assert.equal(cache.constant(":status", "404"), STATIC_TABLE[13]);
    assert.equal(cache.constant(":status", "403").staticIndex, 0);
    assert.equal(cache.constant(":status", "403").field, STATIC_TABLE[8]!.field);
  });

  test("of a secret is never made", () => {
    const cache = new FieldCache();
    for (const name of ["authorization", "proxy-authorization", "cookie", "set-cookie"]) {
      for (let i = 0; i < 4; i++) for (const as of ["text", "bytes"] as const) assert.equal(entryOf(cache, name, "secret", as), null, name);
    }
  });

  test("of a very long value is never made", () => {
    const cache = new FieldCache();
    for (let i = 0; i < 3; i++) assert.equal(entryOf(cache, "x", "y".repeat(513)), null);
    entryOf(cache, "x", "y".repeat(512));
    assert.notEqual(entryOf(cache, "x", "y".repeat(512)), null);
  });

  test("outlives a flood of values that change", () => {
    const cache = new FieldCache();
    const known = ["gzip", "br", "identity"].map((value) => {
      entryOf(cache, "content-encoding", value);
      return entryOf(cache, "content-encoding", value)!;
    });
    for (let n = 0; n < 50_000; n++) entryOf(cache, "etag", `"${n}"`);
    for (const entry of known) assert.equal(entryOf(cache, "content-encoding", entry.value), entry);
  });

  test("gives way to others that repeat", () => {
    const cache = new FieldCache();
    for (let n = 0; n < 20_000; n++) {
      entryOf(cache, "x", `value ${n}`);
      assert.equal(entryOf(cache, "x", `value ${n}`)?.value, `value ${n}`);
    }
  });

  test("is always of the value that was asked for", () => {
    const cache = new FieldCache();
    const values = fc.stringMatching(/^[ab]{0,12}$/);
    fc.assert(
      fc.property(fc.constantFrom("x", "y", "vary"), values, fc.constantFrom("text", "bytes"), (name, value, as) => {
        const entry = entryOf(cache, name, value, as as "text");
        if (entry !== null) assert.deepEqual([entry.name, entry.value], [name, value]);
      }),
      fuzzParameters(5000),
    );
  });
});
