// Frames as they are read: alike however the bytes are split, in place, and strict about every length, stream and order that one frame shows.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ConnectionError, H2_ERROR } from "../../../src/http/http2/connection-error.ts";
import { FrameDecoder, type FrameSink } from "../../../src/http/http2/frame-decoder.ts";
import {
  bytes,
  continuation,
  data,
  FLAG,
  frame,
  goaway,
  headers,
  padded,
  ping,
  PREFACE,
  priority,
  rstStream,
  settings,
  TYPE,
  windowUpdate,
} from "../../support/frames.ts";
import { fuzzParameters } from "../seed.ts";

const BLOCK_BYTES = 40_000;
const START = bytes(PREFACE, settings());

/** Notes every call; DATA that comes in pieces is put together. */
class Notes implements FrameSink {
  isReading = true;
  readonly notes: string[] = [];
  #data = "";

  onDataStart(streamId: number, length: number): void {
    this.notes.push(`data start ${streamId} ${length}`);
    this.#data = "";
  }
  onData(buffer: Buffer, start: number, end: number): void {
    this.#data += buffer.toString("latin1", start, end);
  }
  onDataEnd(streamId: number, padding: number, endStream: boolean): void {
    this.notes.push(`data end ${streamId} "${this.#data}" ${padding} ${endStream}`);
  }
  onHeaders(streamId: number, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.notes.push(`headers ${streamId} "${buffer.toString("latin1", start, end)}" ${endStream}`);
  }
  onReset(streamId: number, code: number): void {
    this.notes.push(`reset ${streamId} ${code}`);
  }
  onSettings(buffer: Buffer, start: number, end: number): void {
    this.notes.push(`settings ${buffer.toString("hex", start, end)}`);
  }
  onSettingsAck(): void {
    this.notes.push("settings ack");
  }
  onPing(buffer: Buffer, start: number): void {
    this.notes.push(`ping ${buffer.toString("latin1", start, start + 8)}`);
  }
  onPingAck(): void {
    this.notes.push("ping ack");
  }
  onGoaway(lastStreamId: number): void {
    this.notes.push(`goaway ${lastStreamId}`);
  }
  onWindowUpdate(streamId: number, increment: number): void {
    this.notes.push(`window ${streamId} ${increment}`);
  }
  onIgnored(): void {
    this.notes.push("ignored");
  }
}

/** What is heard of these chunks, with the error at its end. */
function read(...chunks: readonly Buffer[]): string[] {
  const sink = new Notes();
  const decoder = new FrameDecoder(sink, { sender: "client", blockBytes: BLOCK_BYTES });
  try {
    for (const chunk of chunks) decoder.decode(chunk);
  } catch (error) {
    assert.ok(error instanceof ConnectionError);
    sink.notes.push(`error ${Object.entries(H2_ERROR).find(([, code]) => code === error.code)![0]}`);
  }
  return sink.notes;
}

const SAMPLE = bytes(
  settings([1, 4096], [4, 65_535]),
  frame(TYPE.settings, FLAG.ack, 0),
  headers(1, "block"),
  headers(3, padded(bytes([0x80, 0, 0, 1, 7], "with all"), 3), FLAG.padded | FLAG.priority | FLAG.endHeaders),
  data(3, "body"),
  data(3, padded("padded", 5), FLAG.padded | FLAG.endStream),
  data(3, "", 0),
  headers(5, "be", FLAG.endStream),
  continuation(5, "gin", 0),
  continuation(5, "", FLAG.endHeaders),
  ping("pingping"),
  ping("pongpong", FLAG.ack),
  priority(7),
  windowUpdate(0, 1),
  windowUpdate(3, 0x8000_0010),
  rstStream(3, 8),
  frame(0xfa, 0xff, 0xffff_ffff, "whatever"),
  goaway(3, 11, "debug data"),
);

const HEARD = [
  "settings ",
  "settings 0001000010000004" + "0000ffff",
  "settings ack",
  'headers 1 "block" true',
  'headers 3 "with all" false',
  "data start 3 4",
  'data end 3 "body" 0 true',
  "data start 3 12",
  'data end 3 "padded" 6 true',
  "data start 3 0",
  'data end 3 "" 0 false',
  'headers 5 "begin" true',
  "ping pingping",
  "ping ack",
  "ignored",
  "window 0 1",
  "window 3 16",
  "reset 3 8",
  "ignored",
  "goaway 3",
];

test("every frame is heard, with what it holds", () => {
  assert.deepEqual(read(START, SAMPLE), HEARD);
});

test("the same is heard however the bytes are split", () => {
  const whole = bytes(START, SAMPLE);
  for (let at = 0; at <= whole.length; at++) assert.deepEqual(read(whole.subarray(0, at), whole.subarray(at)), HEARD, `split at ${at}`);
  assert.deepEqual(read(...Array.from(whole, (_, at) => whole.subarray(at, at + 1))), HEARD);
});

test("whatever the bytes, they are heard alike in one piece and in many", () => {
  const some = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((octets) => Buffer.from(octets)),
    fc
      .record({ type: fc.nat(10), flags: fc.nat(255), stream: fc.nat(5), payload: fc.uint8Array({ maxLength: 20 }) })
      .map(({ type, flags, stream, payload }) => frame(type, flags, stream, Buffer.from(payload))),
  );
  fc.assert(
    fc.property(fc.array(some, { maxLength: 12 }), fc.array(fc.nat(40), { maxLength: 30 }), (parts, sizes) => {
      const whole = bytes(START, ...parts);
      const chunks: Buffer[] = [];
      let at = 0;
      for (const size of sizes) chunks.push(whole.subarray(at, (at += size)));
      chunks.push(whole.subarray(at));
      assert.deepEqual(read(...chunks), read(whole));
    }),
    fuzzParameters(2000),
  );
});

describe("the connection ends in an error when", () => {
  for (const [title, sent, error] of [
    ["the preface is another one", bytes("PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n"), "protocolError"],
    ["HTTP/1.1 is spoken", bytes("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), "protocolError"],
    ["the first frame is not SETTINGS", bytes(PREFACE, ping()), "protocolError"],
    ["the first frame acknowledges SETTINGS", bytes(PREFACE, frame(TYPE.settings, FLAG.ack, 0)), "protocolError"],
    ["a frame is longer than announced", bytes(START, frame(TYPE.data, 0, 1, "", 16_385)), "frameSizeError"],
    ["a frame of an unknown type is longer than announced", bytes(START, frame(0xbe, 0, 0, "", 16_385)), "frameSizeError"],
    ["DATA is on stream 0", bytes(START, data(0, "x")), "protocolError"],
    ["HEADERS are on stream 0", bytes(START, headers(0, "x")), "protocolError"],
    ["PRIORITY is on stream 0", bytes(START, priority(0)), "protocolError"],
    ["RST_STREAM is on stream 0", bytes(START, rstStream(0)), "protocolError"],
    ["SETTINGS are on a stream", bytes(START, frame(TYPE.settings, 0, 1)), "protocolError"],
    ["PING is on a stream", bytes(START, frame(TYPE.ping, 0, 1, "12345678")), "protocolError"],
    ["GOAWAY is on a stream", bytes(START, frame(TYPE.goaway, 0, 1, Buffer.alloc(8))), "protocolError"],
    ["SETTINGS are no multiple of six", bytes(START, frame(TYPE.settings, 0, 0, "12345")), "frameSizeError"],
    ["an acknowledgement of SETTINGS holds something", bytes(START, frame(TYPE.settings, FLAG.ack, 0, "123456")), "frameSizeError"],
    ["PING has not eight bytes", bytes(START, ping("1234567")), "frameSizeError"],
    ["RST_STREAM has not four bytes", bytes(START, frame(TYPE.rstStream, 0, 1, "123")), "frameSizeError"],
    ["WINDOW_UPDATE has not four bytes", bytes(START, frame(TYPE.windowUpdate, 0, 0, "12345")), "frameSizeError"],
    ["PRIORITY has not five bytes", bytes(START, frame(TYPE.priority, 0, 1, "1234")), "frameSizeError"],
    ["GOAWAY has less than eight bytes", bytes(START, frame(TYPE.goaway, 0, 0, "1234567")), "frameSizeError"],
    ["a client pushes", bytes(START, frame(TYPE.pushPromise, FLAG.endHeaders, 1, "1234")), "protocolError"],
    ["padded DATA has no length of its padding", bytes(START, data(1, "", FLAG.padded)), "frameSizeError"],
    ["DATA has as much padding as bytes", bytes(START, data(1, [4, 0, 0, 0], FLAG.padded)), "protocolError"],
    ["padded HEADERS have no length of their padding", bytes(START, headers(1, "", FLAG.padded | FLAG.endHeaders)), "frameSizeError"],
    ["HEADERS have more padding than bytes", bytes(START, headers(1, [4, 0, 0, 0], FLAG.padded | FLAG.endHeaders)), "protocolError"],
    ["HEADERS have no room for their priority", bytes(START, headers(1, "1234", FLAG.priority | FLAG.endHeaders)), "frameSizeError"],
    ["a CONTINUATION continues nothing", bytes(START, continuation(1, "x")), "protocolError"],
    ["a CONTINUATION comes after the end of its block", bytes(START, headers(1, "x"), continuation(1, "x")), "protocolError"],
    ["another stream interrupts a header block", bytes(START, headers(1, "x", 0), continuation(3, "x")), "protocolError"],
    ["another frame interrupts a header block", bytes(START, headers(1, "x", 0), windowUpdate(1, 1)), "protocolError"],
    ["a frame of an unknown type interrupts a header block", bytes(START, headers(1, "x", 0), frame(0xbe, 0, 1)), "protocolError"],
    [
      "a header block has too many frames",
      bytes(START, headers(1, "x", 0), ...Array.from({ length: 65 }, () => continuation(1, "", 0))),
      "enhanceYourCalm",
    ],
    [
      "a header block is too long",
      bytes(START, headers(1, Buffer.alloc(16_384), 0), continuation(1, Buffer.alloc(16_384), 0), continuation(1, Buffer.alloc(7233))),
      "enhanceYourCalm",
    ],
  ] as const) {
    test(title, () => assert.equal(read(sent).at(-1), `error ${error}`));
  }
});

test("nothing is heard after the sink has had enough", () => {
  const sink = new Notes();
  sink.onPing = () => {
    sink.notes.push("ping");
    sink.isReading = false;
  };
  new FrameDecoder(sink, { sender: "client", blockBytes: BLOCK_BYTES }).decode(bytes(START, ping(), ping(), headers(1, "x")));
  assert.deepEqual(sink.notes, ["settings ", "ping"]);
});

test("it is known whether the bytes ended between two frames", () => {
  const decoder = new FrameDecoder(new Notes(), { sender: "client", blockBytes: BLOCK_BYTES });
  const steps: readonly (readonly [Buffer, boolean])[] = [
    [bytes("PRI"), false],
    [bytes(PREFACE.slice(3)), true],
    [settings(), true],
    [bytes([0]), false],
    [ping().subarray(1), true],
    [data(1, "body").subarray(0, 11), false],
    [data(1, "body").subarray(11), true],
    [headers(1, "x", 0), false],
    [continuation(1, "x"), true],
  ];
  for (const [i, [chunk, isBetween]] of steps.entries()) {
    decoder.decode(chunk);
    assert.equal(decoder.isBetweenFrames, isBetween, `step ${i}`);
  }
});
