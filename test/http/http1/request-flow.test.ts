// How a request decoder is driven: one request at a time, stopped in the middle and set going again.

import assert from "node:assert/strict";
import { test } from "node:test";

import { RequestDecoder, type Http1RequestHead } from "../../../src/http/http1/request-decoder.ts";
import type { Fields, MessageSink } from "../../../src/http/message.ts";
import { latin1, LIMITS } from "./readers.ts";
import { chunked, get, HOST, withTarget } from "./request-cases.ts";

type Sink = MessageSink<Http1RequestHead>;

/** Writes down calls; `on` may react to one. */
class Diary implements Sink {
  readonly calls: string[] = [];
  on: (call: string) => void = () => undefined;

  onHead(head: Http1RequestHead): void {
    this.#note(`head ${head.target}`);
  }

  onData(buffer: Buffer, start: number, end: number): void {
    this.#note(`data ${buffer.toString("latin1", start, end)}`);
  }

  onTrailers(fields: Fields): void {
    this.#note(`trailers ${fields.line(0).trim()}`);
  }

  onEnd(): void {
    this.#note("end");
  }

  #note(call: string): void {
    this.calls.push(call);
    this.on(call);
  }
}

function open(): { diary: Diary; decoder: RequestDecoder } {
  const diary = new Diary();
  return { diary, decoder: new RequestDecoder(LIMITS, diary) };
}

test("a decoder stands still behind a request until it is told to go on", () => {
  const { diary, decoder } = open();
  const bytes = latin1(withTarget("/1") + withTarget("/2"));
  const first = decoder.decode(bytes, 0, bytes.length);
  assert.equal(first, bytes.length / 2);
  assert.equal(decoder.decode(bytes, first, bytes.length), first);
  assert.deepEqual(diary.calls, ["head /1", "end"]);
  decoder.next();
  assert.equal(decoder.decode(bytes, first, bytes.length), bytes.length);
  assert.deepEqual(diary.calls, ["head /1", "end", "head /2", "end"]);
});

test("a decoder that is told to go on within the end of a request reads all in one call", () => {
  const { diary, decoder } = open();
  const bytes = latin1(withTarget("/1") + chunked("1\r\nx\r\n0\r\n\r\n") + withTarget("/3"));
  diary.on = (call) => {
    if (call === "end") decoder.next();
  };
  assert.equal(decoder.decode(bytes, 0, bytes.length), bytes.length);
  assert.deepEqual(diary.calls, ["head /1", "end", "head /", "data x", "end", "head /3", "end"]);
});

test("a request that is answered before its end was told does not keep the next one back", () => {
  const { diary, decoder } = open();
  const bytes = latin1(withTarget("/1") + withTarget("/2"));
  diary.on = (call) => {
    if (call.startsWith("head")) decoder.next();
  };
  assert.equal(decoder.decode(bytes, 0, bytes.length), bytes.length);
  assert.deepEqual(diary.calls, ["head /1", "end", "head /2", "end"]);
});

test("a decoder paused in the head reads nothing of the body", () => {
  const { diary, decoder } = open();
  const bytes = latin1(`${get("Content-Length: 3")}abc`);
  diary.on = () => (decoder.isPaused = true);
  const position = decoder.decode(bytes, 0, bytes.length);
  assert.equal(position, bytes.length - 3);
  assert.equal(decoder.decode(bytes, position, bytes.length), position);
  decoder.isPaused = false;
  assert.equal(decoder.decode(bytes, position, bytes.length), bytes.length);
  assert.deepEqual(diary.calls, ["head /", "data abc", "end"]);
});

test("a decoder paused in the middle of a body stops behind the piece that it gave out", () => {
  const { diary, decoder } = open();
  const bytes = latin1(chunked("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"));
  diary.on = (call) => (decoder.isPaused = call === "data bc");
  const position = decoder.decode(bytes, 0, bytes.length);
  assert.deepEqual(diary.calls, ["head /", "data a", "data bc"]);
  assert.equal(bytes.toString("latin1", position), "\r\n3\r\ndef\r\n0\r\n\r\n");
  decoder.isPaused = false;
  assert.equal(decoder.decode(bytes, position, bytes.length), bytes.length);
  assert.deepEqual(diary.calls.slice(3), ["data def", "end"]);
});

test("a decoder paused with the last piece of a body still tells its end", () => {
  const { diary, decoder } = open();
  const bytes = latin1(`${get("Content-Length: 3")}abc`);
  diary.on = (call) => (decoder.isPaused = call === "data abc");
  assert.equal(decoder.decode(bytes, 0, bytes.length), bytes.length);
  assert.deepEqual(diary.calls, ["head /", "data abc", "end"]);
  decoder.next();
  assert.equal(decoder.isPaused, false, "the next request is not the one that was paused");
});

test("a body reaches the sink without being copied", () => {
  const bytes = latin1(`${get("Content-Length: 3")}abc`);
  let seen: Buffer | null = null;
  const sink: Sink = { onHead: () => undefined, onData: (buffer) => (seen = buffer), onTrailers: () => undefined, onEnd: () => undefined };
  new RequestDecoder(LIMITS, sink).decode(bytes, 0, bytes.length);
  assert.equal(seen, bytes);
});

test("a decoder is idle between requests, and an empty line changes nothing about it", () => {
  const { decoder } = open();
  const feed = (text: string): number => decoder.decode(latin1(text), 0, text.length);
  assert.equal(decoder.isIdle, true);
  feed("\r");
  assert.equal(decoder.isIdle, true);
  feed("\n");
  assert.equal(decoder.isIdle, true);
  feed("G");
  assert.equal(decoder.isIdle, false);
  feed(`ET / HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\n`);
  assert.equal(decoder.isIdle, false);
  feed("x");
  assert.equal(decoder.isIdle, false, "its response has not been sent");
  decoder.next();
  assert.equal(decoder.isIdle, true);
});

test("a head stays readable until the next one, whatever becomes of its bytes", () => {
  const { diary, decoder } = open();
  let head: Http1RequestHead | null = null;
  diary.onHead = (given) => void (head = given);
  for (const size of [1000, 1]) {
    const bytes = latin1(get("A: bc", "D:e "));
    for (let at = 0; at < bytes.length; at += size) {
      const piece = Buffer.from(bytes.subarray(at, at + size));
      decoder.decode(piece, 0, piece.length);
      piece.fill("~");
    }
    assert.equal(head!.fields.line(1), "A: bc\r\n");
    assert.equal(head!.fields.line(2), "D: e\r\n");
    decoder.next();
  }
});

test("a head that trickles in costs time in proportion to its length", () => {
  const { diary, decoder } = open();
  const sizes: number[] = [];
  const alloc = Buffer.alloc;
  Buffer.alloc = ((size: number) => (sizes.push(size), alloc(size))) as typeof Buffer.alloc;
  try {
    const byte = Buffer.alloc(1);
    for (const code of latin1(get(`A: ${"a".repeat(3900)}`))) {
      byte[0] = code;
      decoder.decode(byte, 0, 1);
    }
  } finally {
    Buffer.alloc = alloc;
  }
  assert.deepEqual(diary.calls, ["head /", "end"]);
  assert.ok(sizes.length < 8, `${sizes.length} buffers for one head`);
});
