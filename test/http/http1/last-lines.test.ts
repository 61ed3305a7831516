// Heads that follow each other on one connection are read as each would be alone: what is remembered of the last one must never show.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";
import { Http1Fields } from "../../../src/http/http1/fields.ts";
import { RequestDecoder } from "../../../src/http/http1/request-decoder.ts";
import { FIELD, FIELD_COUNT } from "../../../src/http/field-names.ts";
import { fuzzParameters } from "../seed.ts";
import { cutBy, pieceSizes } from "./message-grammar.ts";
import { LIMITS, readRequests } from "./readers.ts";

const NO_DROPS = new Uint8Array(FIELD_COUNT);

/** Everything that fields say of themselves. */
function described(fields: Http1Fields, bytes: Buffer, start: number): object {
  let next: number | string;
  try {
    next = fields.parse(bytes, start, bytes.length, start - 3) - start;
  } catch (error) {
    next = (error as Error).message;
  }
  if (typeof next === "string" || next < 0) return { next };
  fields.setText(bytes.toString("latin1", start - 3, start + next - 2));
  const lines = Array.from({ length: fields.count }, (_, i) => ({
    name: fields.name(i),
    value: fields.value(i),
    line: fields.line(i),
    id: fields.id(i),
    endsLine: fields.endsLine(i),
    bounds: [fields.nameStart(i), fields.nameEnd(i), fields.valueStart(i), fields.valueEnd(i)],
  }));
  const found = Array.from({ length: FIELD_COUNT }, (_, id) => [fields.find(id), fields.isRepeated(id)]);
  return { next, lines, found, kept: fields.kept(NO_DROPS, null, false) };
}

/** As it lies in a chunk: something in front, and the empty line and more behind. */
const inChunk = (text: string, before: number): Buffer => Buffer.from(`${"-".repeat(before)}${text}\r\nGET / HTTP/1.1`, "latin1");

const line = fc
  .tuple(
    fc.constantFrom("Host", "host", "Vary", "Accept", "Cookie", "X_Y", "Content-Length", "Connection"),
    fc.constantFrom(": ", ":", ":\t ", ":  "),
    fc.oneof(fc.constantFrom("", "a", "b", "ab", "a b", "x".repeat(70), "x".repeat(2500)), fc.stringMatching(/^[!-~]{1,12}$/)),
    fc.constantFrom("", "", " ", "\t"),
  )
  .map((parts) => `${parts.join("")}\r\n`);
const lines = fc.array(line, { maxLength: 8 });
/** A head, and the one after it, which is mostly the same. */
const damage = fc.record({ at: fc.nat(400), byte: fc.constantFrom("\r", "\n", "\0", " ", ":", "a", "") });
const heads = fc
  .tuple(lines, fc.array(fc.tuple(fc.nat(7), fc.nat(2), line, fc.option(damage, { freq: 5 }), fc.nat(70)), { minLength: 1, maxLength: 10 }))
  .map(([first, changes]) => {
    let head = first;
    return changes.map(([at, removed, added, damaged, before]) => {
      head = head.toSpliced(at, removed, ...(removed === 0 ? [] : [added]));
      const text = head.join("");
      const broken = damaged === null ? text : text.slice(0, damaged.at) + damaged.byte + text.slice(damaged.at + 1);
      return inChunk(broken, 3 + before);
    });
  });

describe("fields of one head after the other", () => {
  test("are what they would be alone", () => {
    fc.assert(
      fc.property(heads, (all) => {
        const fields = new Http1Fields(10);
        for (const bytes of all) {
          const start = bytes.findIndex((byte) => byte !== 0x2d);
          assert.deepEqual(described(fields, bytes, start), described(new Http1Fields(10), bytes, start), JSON.stringify(all.map(String)));
        }
      }),
      fuzzParameters(3000),
    );
  });

  test("have the same version only as long as the line is the same", () => {
    fc.assert(
      fc.property(heads, (all) => {
        const fields = new Http1Fields(10);
        const known: { version: number; line: string }[] = [];
        for (const bytes of all) {
          const start = bytes.findIndex((byte) => byte !== 0x2d);
          if (!("lines" in described(fields, bytes, start))) continue;
          for (let i = 0; i < fields.count; i++) {
            const text = fields.text.slice(fields.nameStart(i), fields.valueEnd(i));
            if (known[i]?.version === fields.version(i)) assert.equal(text, known[i]!.line);
            known[i] = { version: fields.version(i), line: text };
          }
        }
      }),
      fuzzParameters(1000),
    );
  });

  test("have not come whole before their end has, even if the same bytes happen to lie behind that", () => {
    const bytes = inChunk(`Vary: a\r\nDate: now\r\nX: ${"y".repeat(100)}\r\n`, 3);
    const fields = new Http1Fields(10);
    const whole = described(fields, bytes, 3) as { next: number };
    for (let end = 3; end < 3 + whole.next; end++) {
      assert.equal(fields.parse(bytes, 3, end, 0), -1, `end ${end}`);
      assert.deepEqual(described(fields, bytes, 3), whole);
    }
  });

  test("that are the same keep their version", () => {
    const fields = new Http1Fields(10);
    const bytes = inChunk(`Vary: a\r\nDate: now\r\nX: ${"y".repeat(100)}\r\n`, 3);
    described(fields, bytes, 3);
    const versions = [0, 1, 2].map((i) => fields.version(i));
    for (let i = 0; i < 3; i++) {
      described(fields, bytes, 3);
      assert.deepEqual(
        [0, 1, 2].map((index) => fields.version(index)),
        versions,
      );
    }
    described(fields, inChunk(`Vary: a\r\nDate: NOW\r\nX: ${"y".repeat(100)}\r\n`, 20), 20);
    assert.deepEqual(
      [0, 1, 2].map((index) => fields.version(index) === versions[index]),
      [true, false, true],
    );
  });
});

test("a field that was withheld from one request is not withheld from the next because of that", () => {
  const seen: number[][] = [];
  const sink = {
    onHead: ({ fields }: { fields: Http1Fields }) => {
      seen.push(Array.from({ length: fields.count }, (_, i) => fields.id(i)));
      if (seen.length === 1) fields.withholdUnderscored();
    },
    onData: () => undefined,
    onTrailers: () => undefined,
    onEnd: () => undefined,
  };
  const decoder = new RequestDecoder(LIMITS, sink);
  const bytes = Buffer.from("GET / HTTP/1.1\r\nHost: a\r\nX_Y: z\r\n\r\n", "latin1");
  for (let i = 0; i < 2; i++) {
    decoder.decode(bytes, 0, bytes.length);
    decoder.next();
  }
  assert.deepEqual(seen, [
    [FIELD.host, FIELD.other],
    [FIELD.host, FIELD.other],
  ]);
});

test("requests that follow each other, in whatever pieces, are read as each would be alone", () => {
  const head = fc.tuple(fc.constantFrom("GET /", "GET /a", "OPTIONS *"), lines).map(([start, all]) => {
    const own = all.filter((text) => !/^(host|content-length|connection):/i.test(text));
    return Buffer.from(`${start} HTTP/1.1\r\nHost: a\r\n${own.join("")}\r\n`, "latin1");
  });
  fc.assert(
    fc.property(fc.array(head, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 3 }), pieceSizes, (kinds, times, sizes) => {
      const all = Array.from({ length: times }, () => kinds).flat();
      const together = readRequests(cutBy(Buffer.concat(all), sizes));
      const alone = all.map((bytes) => readRequests([bytes]));
      const refused = alone.findIndex(({ error }) => error !== null);
      const read = refused === -1 ? alone : alone.slice(0, refused);
      assert.deepEqual(
        together.requests,
        read.flatMap(({ requests }) => requests),
      );
      assert.equal(together.error === null, refused === -1);
    }),
    fuzzParameters(1000),
  );
});
