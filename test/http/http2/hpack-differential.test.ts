// HPACK against Node's own (nghttp2), over a real connection: what we encode, `node:http2` reads alike, and what it encodes we do, with
// tables of changing sizes. And encoder against decoder, with random lists.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { connect, type AddressInfo, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";

import fc from "fast-check";
import { FieldCache } from "../../../src/http/http2/field-cache.ts";
import { HpackEncoder } from "../../../src/http/http2/hpack-encoder.ts";
import { fuzzParameters } from "../seed.ts";
import { decodeFields, encode, newDecoder, tableBytes, tableOf, type Field } from "./hpack-readers.ts";

/** Names of every kind: in the static table, not in it, with secrets. */
const NAMES = ["accept", "user-agent", "x-a", "x-b", "x-long-name-of-a-field", "authorization", "vary", "cache-control", "etag"];
const name = fc.constantFrom(...NAMES);
const value = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("", "a", "gzip, deflate", "x".repeat(60), "text/html; charset=utf-8", "<~^>") },
  { weight: 1, arbitrary: fc.stringMatching(/^[!-~](?:[ -~]{0,140}[!-~])?$/) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 3000 }).map((length) => "v".repeat(length)) },
);
const list = fc.array(fc.tuple(name, value), { maxLength: 12 });
const tableLimit = fc.constantFrom(0, 1, 60, 200, 1000, 4096, 65_536);

interface Step {
  readonly fields: readonly Field[];
  /** Table sizes that the peer announces before the block. */
  readonly limits: readonly number[];
  readonly ways: number;
}
const steps = fc.array(
  fc.record({ fields: list, limits: fc.oneof(fc.constant([]), fc.array(tableLimit, { maxLength: 3 })), ways: fc.nat(0xffff) }),
  { minLength: 1, maxLength: 12 },
);

/** Encodes the fields in one way or another, as `ways` has it. */
function write(encoder: HpackEncoder, cache: FieldCache, { fields, ways }: Step): void {
  for (const [i, [fieldName, fieldValue]] of fields.entries()) {
    const field = cache.name(fieldName);
    const entry = cache.entryInText(field, fieldValue, 0, fieldValue.length);
    const way = (ways >> i) & 3;
    if (entry !== null && way !== 0) encoder.entry(entry);
    else if (way === 1) encoder.entry(cache.constant(fieldName, fieldValue));
    else encoder.text(field, fieldValue, 0, fieldValue.length);
  }
}

test("what the encoder writes the decoder reads, within the peer's limit", () => {
  fc.assert(
    fc.property(steps, (all) => {
      const cache = new FieldCache();
      const encoder = new HpackEncoder();
      const decoder = newDecoder();
      let limit = 4096;
      for (const step of all) {
        for (const bytes of step.limits) {
          encoder.setTableLimit(bytes);
          limit = bytes;
        }
        assert.deepEqual(
          decodeFields(
            decoder,
            encode(encoder, () => write(encoder, cache, step)),
          ),
          step.fields,
        );
        assert.ok(tableBytes(tableOf(decoder)) <= Math.min(limit, 4096));
      }
    }),
    fuzzParameters(400),
  );
});

test("whatever the bytes are, the decoder gives a list or a ConnectionError, and its table stays within bounds", () => {
  const cache = new FieldCache();
  const byte = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x40, 0x00, 0x10, 0x20, 0x3f, 0x7f, 0x82, 0xbe, 0xff, 0x81));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 64 }), (bytes) => {
      const decoder = newDecoder({ cache });
      try {
        const fields = decodeFields(decoder, Uint8Array.from(bytes));
        assert.ok(fields.length <= bytes.length);
      } catch (error) {
        assert.equal((error as Error).name, "ConnectionError");
      }
      assert.ok(tableBytes(tableOf(decoder)) <= 4096);
    }),
    fuzzParameters(5000),
  );
});

const FRAME = { data: 0x0, headers: 0x1, settings: 0x4, ping: 0x6, goAway: 0x7, continuation: 0x9 };
const SETTINGS_HEADER_TABLE_SIZE = 0x1;
const FLAG = { ack: 0x1, endStream: 0x1, endHeaders: 0x4 };

/** As little of HTTP/2 as it takes to send header blocks and get some. */
class RawConnection {
  readonly #socket: Socket;
  #bytes = Buffer.alloc(0);
  #wake: () => void = () => undefined;
  #stream = -1;

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.setNoDelay(true);
    this.#socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    this.#socket.on("close", () => this.#wake());
    this.#socket.on("error", () => undefined);
    this.#socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
  }

  /** Sends it and waits until it is in force. */
  async setTableSizes(sizes: readonly number[]): Promise<void> {
    for (const size of sizes) {
      const payload = Buffer.alloc(6);
      payload.writeUInt16BE(SETTINGS_HEADER_TABLE_SIZE, 0);
      payload.writeUInt32BE(size, 2);
      this.#send(FRAME.settings, 0, 0, payload);
    }
    for (let n = 0; n < sizes.length; n++) await this.#frame((type, flags) => type === FRAME.settings && (flags & FLAG.ack) !== 0);
  }

  /** A request made of this block; returns the block of its response. */
  async request(block: Buffer): Promise<Buffer> {
    this.#stream += 2;
    const first = block.subarray(0, 16_384);
    this.#send(FRAME.headers, FLAG.endStream | (block.length <= 16_384 ? FLAG.endHeaders : 0), this.#stream, first);
    for (let at = 16_384; at < block.length; at += 16_384) {
      this.#send(FRAME.continuation, at + 16_384 >= block.length ? FLAG.endHeaders : 0, this.#stream, block.subarray(at, at + 16_384));
    }
    const parts: Buffer[] = [];
    for (;;) {
      const { flags, payload } = await this.#frame((type) => type === FRAME.headers || type === FRAME.continuation);
      parts.push(payload);
      if ((flags & FLAG.endHeaders) !== 0) return Buffer.concat(parts);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(type: number, flags: number, stream: number, payload: Buffer): void {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    this.#socket.write(Buffer.concat([head, payload]));
  }

  /** The next frame of that kind; others are passed over. */
  async #frame(isWanted: (type: number, flags: number) => boolean): Promise<{ flags: number; payload: Buffer }> {
    for (;;) {
      while (this.#bytes.length < 9 || this.#bytes.length < 9 + this.#bytes.readUIntBE(0, 3)) {
        if (this.#socket.destroyed) throw new Error("node:http2 closed the connection");
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      const end = 9 + this.#bytes.readUIntBE(0, 3);
      const [type, flags] = [this.#bytes[3]!, this.#bytes[4]!];
      const payload = this.#bytes.subarray(9, end);
      this.#bytes = this.#bytes.subarray(end);
      if (type === FRAME.goAway) throw new Error(`node:http2 sent GOAWAY ${payload.readUInt32BE(4)}`);
      if (type === FRAME.settings && (flags & FLAG.ack) === 0) this.#send(FRAME.settings, FLAG.ack, 0, Buffer.alloc(0));
      if (isWanted(type, flags)) return { flags, payload };
    }
  }
}

describe("node:http2", () => {
  let server: Http2Server;
  /** What the server read last, and what it is to answer. */
  let seen: Field[] = [];
  let answer: readonly Field[] = [];

  before(async () => {
    server = createServer({ maxHeaderListPairs: 1000, settings: { maxHeaderListSize: 1 << 20 } });
    server.on("stream", (stream: ServerHttp2Stream, _headers, _flags, raw: string[]) => {
      seen = Array.from({ length: raw.length / 2 }, (_, i) => [raw[i * 2]!, raw[i * 2 + 1]!] as const);
      stream.respond([":status", "200", ...answer.flat()], { endStream: true });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  after(() => server.close());

  const START: readonly Field[] = [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/some/path?query=1"],
    [":authority", "example.com"],
  ];

  /** Some fields it sends only once. */
  function isAllowedByNode([fieldName]: Field, index: number, all: readonly Field[]): boolean {
    const isSingle = ["authorization", "user-agent", "etag"].includes(fieldName);
    return !isSingle || all.findIndex(([other]) => other === fieldName) === index;
  }

  test("reads what we encode, and we read what it encodes, whatever the sizes of the tables", async () => {
    const cache = new FieldCache();
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const connection = new RawConnection((server.address() as AddressInfo).port);
        try {
          await connection.setTableSizes([4096]);
          const encoder = new HpackEncoder();
          const decoder = newDecoder({ cache });
          for (const step of all) {
            // nghttp2 uses no more of a table than 4096 bytes either, and its own decoder's limit stays that; ours is lowered by ourselves.
            await connection.setTableSizes(step.limits);
            for (const bytes of step.limits) encoder.setTableLimit(bytes);
            answer = step.fields.filter(isAllowedByNode);
            const fields = [...START, ...answer];
            const block = encode(encoder, () => write(encoder, cache, { ...step, fields }));
            const response = decodeFields(decoder, await connection.request(block));
            assert.deepEqual(seen, fields);
            assert.deepEqual(
              response.filter(([fieldName]) => fieldName !== "date"),
              [[":status", "200"], ...answer],
            );
          }
        } finally {
          connection.close();
        }
      }),
      { ...fuzzParameters(200), interruptAfterTimeLimit: 20_000 },
    );
  });
});
