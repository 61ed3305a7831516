// Heads of HTTP/1.1 responses, one after the other from one machine, as HTTP/2 clients get them: what is remembered of the last ones
// must never show in the next.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";
import { Http1Fields } from "../../../src/http/http1/fields.ts";
import { ResponseDecoder } from "../../../src/http/http1/response-decoder.ts";
import { FieldCache } from "../../../src/http/http2/field-cache.ts";
import { HpackEncoder } from "../../../src/http/http2/hpack-encoder.ts";
import { LineMemory } from "../../../src/http/http2/line-memory.ts";
import { ResponseEncoder } from "../../../src/http/http2/response-encoder.ts";
import type { ResponseSink } from "../../../src/http/message.ts";
import { fuzzParameters } from "../seed.ts";
import { decodeFields, encode, newDecoder, type Field } from "./hpack-readers.ts";

const LIMITS = { headBytes: 16 * 1024, headers: 100, chunkExtensionBytes: 1024, trailerBytes: 1024, trailers: 10 };

interface Line {
  readonly name: string;
  readonly value: string;
  readonly before: string;
  readonly behind: string;
}

/** One machine's connection, and the clients that its responses go to. */
class Path {
  readonly #decoder = new ResponseDecoder(LIMITS);
  readonly #responses = new ResponseEncoder(new FieldCache());
  readonly #clients = [0, 1].map(() => ({ encoder: new HpackEncoder(), decoder: newDecoder() }));

  /** The fields that a client gets, but those that the edge adds itself. */
  pass(lines: readonly Line[], client = 0): Field[] {
    const { encoder, decoder } = this.#clients[client]!;
    let block: Buffer = Buffer.alloc(0);
    const sink = {
      onInterim: () => undefined,
      onHead: (head: Parameters<ResponseSink["onHead"]>[0]) => {
        block = encode(encoder, () => this.#responses.response(encoder, head, null, false));
      },
      onData: () => undefined,
      onTrailers: () => undefined,
      onEnd: () => undefined,
    };
    const text = lines.map(({ name, value, before, behind }) => `${name}:${before}${value}${behind}\r\n`).join("");
    const bytes = Buffer.from(`HTTP/1.1 200 OK\r\n${text}Content-Length: 0\r\n\r\n`, "latin1");
    this.#decoder.expect(sink, false);
    this.#decoder.decode(bytes, 0, bytes.length);
    const fields = decodeFields(decoder, block);
    assert.deepEqual(fields[0], [":status", "200"]);
    assert.deepEqual(fields.at(-1), ["content-length", "0"]);
    return fields.slice(1, -1);
  }
}

const line = (name: string, value: string): Line => ({ name, value, before: " ", behind: "" });

describe("a machine's response", () => {
  test("comes through alike, however often it comes", () => {
    const path = new Path();
    for (let i = 0; i < 5; i++) {
      assert.deepEqual(path.pass([line("Vary", "accept"), line("ETag", '"1"')]), [
        ["vary", "accept"],
        ["etag", '"1"'],
      ]);
    }
  });

  test("may have other fields in the same places, and the first ones again", () => {
    const path = new Path();
    const a = [line("Vary", "accept"), line("ETag", '"1"')];
    const b = [line("ETag", '"1"'), line("Vary", "accept"), line("X", "")];
    for (const lines of [a, a, a, b, b, b, a, b, a, [], a, b]) {
      assert.deepEqual(
        path.pass(lines),
        lines.map(({ name, value }) => [name.toLowerCase(), value]),
      );
    }
  });

  test("keeps fields apart whose lines differ in the white space, the case or the end of the name alone", () => {
    const path = new Path();
    for (let i = 0; i < 4; i++) {
      assert.deepEqual(path.pass([{ name: "Vary", value: "a", before: "\t ", behind: " " }]), [["vary", "a"]]);
      assert.deepEqual(path.pass([{ name: "VARY", value: "a", before: "", behind: "" }]), [["vary", "a"]]);
      assert.deepEqual(path.pass([line("Var", "y: a")]), [["var", "y: a"]]);
      assert.deepEqual(path.pass([line("Vary", "")]), [["vary", ""]]);
    }
  });

  test("has an upgrade's proof and what is about the connection left out, whatever stood there before", () => {
    const path = new Path();
    for (let i = 0; i < 3; i++) {
      assert.deepEqual(path.pass([line("Vary", "a"), line("x", "y")]), [
        ["vary", "a"],
        ["x", "y"],
      ]);
      assert.deepEqual(path.pass([line("Sec-WebSocket-Accept", "a"), line("x", "y")]), [["x", "y"]]);
      assert.deepEqual(path.pass([line("Keep-Alive", "timeout=5"), line("x", "y")]), [["x", "y"]]);
    }
  });

  test("gives a cookie to none but its client", () => {
    const path = new Path();
    for (let i = 0; i < 40; i++) {
      const value = `sid=${i >> 1}`;
      assert.deepEqual(path.pass([line("Set-Cookie", value)], i & 1), [["set-cookie", value]]);
    }
  });

  test("is what it was, whatever came before", () => {
    const name = fc.constantFrom("Vary", "vary", "ETag", "X-A", "Set-Cookie", "Date", "Server", "Sec-WebSocket-Accept", "Cache-Control");
    const value = fc.oneof(fc.constantFrom("", "a", "b", "no-cache, private", "x".repeat(600)), fc.stringMatching(/^[!-~]{1,30}$/));
    const space = fc.constantFrom("", " ", "\t", "  ");
    const lines = fc.array(fc.record({ name, value, before: space, behind: space }), { maxLength: 6 });
    const heads = fc.array(fc.tuple(lines, fc.nat(1), fc.integer({ min: 1, max: 12 })), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(heads, (all) => {
        const path = new Path();
        for (const [head, client, times] of all) {
          const expected = head
            .filter(({ name: fieldName }) => !["Server", "Sec-WebSocket-Accept"].includes(fieldName))
            .map((field) => [field.name.toLowerCase(), field.value]);
          for (let i = 0; i < times; i++) assert.deepEqual(path.pass(head, client), expected);
        }
      }),
      fuzzParameters(300),
    );
  });
});

test("a value that changes each time is looked for only now and then, and found when it comes again", () => {
  const cache = new FieldCache();
  const memory = new LineMemory(cache, cache.name("x"));
  const fields = new Http1Fields(1);
  const entryAt = (value: string): string | undefined => {
    const bytes = Buffer.from(`Date: ${value}\r\n\r\n`, "latin1");
    assert.equal(fields.parse(bytes, 0, bytes.length, 0), bytes.length);
    fields.setText(bytes.toString("latin1"));
    const entry = memory.entryAt(fields, 0);
    assert.equal(memory.name.name, "date");
    return entry?.value;
  };
  for (let n = 0; n < 100; n++) assert.equal(entryAt(String(n)), undefined);
  // Looked for twice before an entry is made of it.
  const found = Array.from({ length: 100 }, () => entryAt("now"));
  assert.ok(found.includes("now") && found.indexOf("now") <= 64, "it took too long");
  assert.deepEqual(new Set(found.slice(found.indexOf("now"))), new Set(["now"]));
  assert.equal(entryAt("now too"), undefined);
  assert.equal(entryAt("now too"), "now too", "and is expected to change only sometimes, from then on");
});
