// DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, PING, GOAWAY and CONTINUATION: what each may hold, and where it may stand.
// RFC 9113 sections 6.1 to 6.4, 6.6 to 6.8 and 6.10.

import assert from "node:assert/strict";
import {
  block,
  bytes,
  CODE,
  continuation,
  data,
  FLAG,
  frame,
  goaway,
  headers,
  padded,
  ping,
  priority,
  rstStream,
  TYPE,
  uint32,
} from "../../support/frames.ts";
import { answered, ask, connectionError, eitherError, GOES_ON, request, type Chapter, type ConformanceCase } from "./suite.ts";

const OPEN = FLAG.endHeaders;
const BLOCK = block(request());
const POST = block(request({ ":method": "POST" }));
const THIRD = Math.floor(BLOCK.length / 3);
const PRIORITY_FIELDS = bytes(uint32(0), [15]);

/** A connection on which nothing but these bytes is sent. */
function sends(
  title: string,
  section: string,
  sent: readonly Buffer[],
  expected: ConformanceCase["expected"],
  isKeptBack = false,
): ConformanceCase {
  return { title, section: `RFC 9113 ${section}`, send: (client) => void client.send(...sent), expected, isKeptBack };
}

const PROTOCOL = connectionError(CODE.protocolError);
const SIZE = connectionError(CODE.frameSizeError);

const DATA: readonly ConformanceCase[] = [
  sends("DATA of no stream is an error of the connection", "6.1", [data(0, "x")], PROTOCOL),
  sends("DATA may be padded", "6.1", [headers(1, POST, OPEN), data(1, padded("hello", 9), FLAG.endStream | FLAG.padded)], answered()),
  sends(
    "DATA may be padded with nothing",
    "6.1",
    [headers(1, POST, OPEN), data(1, padded("hello", 0), FLAG.endStream | FLAG.padded)],
    answered(),
  ),
  sends(
    "DATA may hold nothing but padding",
    "6.1",
    [headers(1, POST, OPEN), data(1, padded("", 255), FLAG.endStream | FLAG.padded)],
    answered(),
  ),
  sends(
    "padding as long as DATA is an error of the connection",
    "6.1",
    [headers(1, POST, OPEN), data(1, [5, 1, 2, 3, 4], FLAG.endStream | FLAG.padded)],
    PROTOCOL,
  ),
  sends(
    "padding longer than DATA is an error of the connection",
    "6.1",
    [headers(1, POST, OPEN), data(1, [255, 1, 2], FLAG.endStream | FLAG.padded)],
    PROTOCOL,
  ),
  sends(
    "padded DATA without the length of the padding is an error of the connection",
    "6.1",
    [headers(1, POST, OPEN), data(1, "", FLAG.endStream | FLAG.padded)],
    SIZE,
  ),
  sends("empty DATA may end a body", "6.1", [headers(1, POST, OPEN), data(1, "hello", 0), data(1, "")], answered()),
  sends("a body may be empty", "6.1", [headers(1, POST, OPEN), data(1, "")], answered()),
  {
    section: "RFC 9113 6.1",
    title: "padding is not part of the body, and may be anything",
    send: async (client) => {
      client.send(
        headers(1, POST, OPEN),
        data(1, padded("hello", 3, "\0\0\0"), FLAG.padded),
        data(1, padded("world", 2, "\0\0"), FLAG.padded | FLAG.endStream),
      );
      assert.match((await client.untilOver(1)).body.toString(), / 10$/);
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 6.1",
    title: "padding counts in the windows, which are opened again for it",
    send: async (client) => {
      client.send(headers(1, POST, OPEN));
      const length = Math.min(client.granted(1), client.granted(0)) * 2;
      for (let sent = 0; sent < length; sent += 256) {
        await client.until(() => sent + 256 <= Math.min(client.granted(1), client.granted(0)), "WINDOW_UPDATE");
        client.send(data(1, padded("x", 254), FLAG.padded));
      }
      client.send(data(1, ""));
    },
    expected: answered(),
  },
];

const HEADERS: readonly ConformanceCase[] = [
  sends("HEADERS of no stream is an error of the connection", "6.2", [headers(0, BLOCK)], PROTOCOL, true),
  sends("HEADERS may be padded", "6.2", [headers(1, padded(BLOCK, 50), 0x5 | FLAG.padded)], answered()),
  sends("HEADERS may be padded with nothing", "6.2", [headers(1, padded(BLOCK, 0), 0x5 | FLAG.padded)], answered()),
  sends("HEADERS may carry a priority", "6.2", [headers(1, bytes(PRIORITY_FIELDS, BLOCK), 0x5 | FLAG.priority)], answered()),
  sends(
    "HEADERS may carry an exclusive priority",
    "6.2",
    [headers(1, bytes(uint32(0x8000_0000), [255], BLOCK), 0x5 | FLAG.priority)],
    answered(),
  ),
  sends(
    "HEADERS may be padded and carry a priority",
    "6.2",
    [headers(1, padded(bytes(PRIORITY_FIELDS, BLOCK), 7), 0x5 | FLAG.padded | FLAG.priority)],
    answered(),
  ),
  sends(
    "padding longer than HEADERS is an error of the connection",
    "6.2",
    [headers(1, [3, ...BLOCK.subarray(0, 2)], 0x5 | FLAG.padded)],
    PROTOCOL,
    true,
  ),
  sends(
    "padding as long as HEADERS is an error of the connection",
    "6.2",
    [headers(1, [3, 0, 0, 0].slice(0, 3), 0x5 | FLAG.padded)],
    PROTOCOL,
    true,
  ),
  sends(
    "padding that leaves no room for the priority is an error of the connection",
    "6.2",
    [headers(1, bytes([8], PRIORITY_FIELDS, "1234567"), 0x5 | FLAG.padded | FLAG.priority)],
    connectionError(CODE.protocolError, CODE.frameSizeError),
    true,
  ),
  sends(
    "padded HEADERS without the length of the padding is an error of the connection",
    "6.2",
    [headers(1, "", 0x5 | FLAG.padded)],
    SIZE,
    true,
  ),
  sends(
    "HEADERS too short for its priority is an error of the connection",
    "6.2",
    [headers(1, [0, 0, 0, 0], 0x5 | FLAG.priority)],
    SIZE,
    true,
  ),
  sends(
    "HEADERS without END_HEADERS wait for CONTINUATION, also when they end the stream",
    "6.2",
    [headers(1, BLOCK, FLAG.endStream), continuation(1, "")],
    answered(),
  ),
];

const PRIORITY: readonly ConformanceCase[] = [
  sends(
    "HEADERS of a stream that depends on itself does no harm",
    "5.3.2",
    [headers(1, bytes(uint32(1), [15], BLOCK), 0x5 | FLAG.priority)],
    answered(),
  ),
  sends("PRIORITY of no stream is an error of the connection", "6.3", [priority(0)], PROTOCOL),
  sends(
    "PRIORITY that is too short is an error",
    "6.3",
    [ask(1, "/hold"), frame(TYPE.priority, 0, 1, [0, 0, 0, 0])],
    eitherError(1, CODE.frameSizeError),
  ),
  sends(
    "PRIORITY that is too long is an error",
    "6.3",
    [ask(1, "/hold"), frame(TYPE.priority, 0, 1, [0, 0, 0, 0, 1, 1])],
    eitherError(1, CODE.frameSizeError),
  ),
  sends(
    "PRIORITY of any stream, in any state, does no harm",
    "6.3",
    [priority(1), priority(2), priority(999, 1), ask(1), priority(1, 999)],
    answered(),
  ),
];

const RST_STREAM: readonly ConformanceCase[] = [
  sends("RST_STREAM of no stream is an error of the connection", "6.4", [rstStream(0)], PROTOCOL),
  sends("RST_STREAM of an idle stream is an error of the connection", "6.4", [rstStream(1)], PROTOCOL),
  sends(
    "RST_STREAM that is too short is an error of the connection",
    "6.4",
    [ask(1, "/hold"), frame(TYPE.rstStream, 0, 1, [0, 0, 0])],
    SIZE,
  ),
  sends(
    "RST_STREAM that is too long is an error of the connection",
    "6.4",
    [ask(1, "/hold"), frame(TYPE.rstStream, 0, 1, [0, 0, 0, 0, 8])],
    SIZE,
  ),
  sends("RST_STREAM with a code that nobody knows is one as any other", "7", [ask(1, "/hold"), rstStream(1, 0xdead_beef)], GOES_ON),
  sends("RST_STREAM with no error is one as any other", "6.4", [ask(1, "/hold"), rstStream(1, CODE.noError)], GOES_ON),
];

const PUSH_PROMISE: readonly ConformanceCase[] = [
  sends(
    "PUSH_PROMISE of a client is an error of the connection",
    "6.6",
    [ask(1, "/hold"), frame(TYPE.pushPromise, OPEN, 1, bytes(uint32(2), BLOCK))],
    PROTOCOL,
  ),
  sends(
    "PUSH_PROMISE of no stream is an error of the connection",
    "6.6",
    [frame(TYPE.pushPromise, OPEN, 0, bytes(uint32(2), BLOCK))],
    PROTOCOL,
  ),
  sends(
    "PUSH_PROMISE of an idle stream is an error of the connection",
    "6.6",
    [frame(TYPE.pushPromise, OPEN, 1, bytes(uint32(2), BLOCK))],
    PROTOCOL,
  ),
];

const PING: readonly ConformanceCase[] = [
  sends("PING of a stream is an error of the connection", "6.7", [frame(TYPE.ping, 0, 1, "12345678")], PROTOCOL),
  sends(
    "PING of a stream that is open is an error of the connection",
    "6.7",
    [ask(1, "/hold"), frame(TYPE.ping, 0, 1, "12345678")],
    PROTOCOL,
  ),
  sends("an empty PING is an error of the connection", "6.7", [ping("")], SIZE),
  sends("PING that is too short is an error of the connection", "6.7", [ping("1234567")], SIZE),
  sends("PING that is too long is an error of the connection", "6.7", [ping("123456789")], SIZE),
  sends("an answer to PING that is too short is an error of the connection", "6.7", [ping("1234", FLAG.ack)], SIZE),
  {
    section: "RFC 9113 6.7",
    title: "PING is answered with what it holds, one by one and in order",
    send: async (client) => {
      const payloads = ["first...", "\0\0\0\0\0\0\0\0", "\xff\xff\xff\xff\xff\xff\xff\xff", "first..."];
      client.send(...payloads.map((payload) => ping(payload)));
      await client.until(() => client.ofType(TYPE.ping).length === payloads.length, "the answers");
      assert.deepEqual(
        client.ofType(TYPE.ping).map(({ payload }) => payload.toString("latin1")),
        payloads,
      );
      assert.ok(client.ofType(TYPE.ping).every(({ flags, stream }) => flags === FLAG.ack && stream === 0));
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 6.7",
    title: "an answer to PING is not answered",
    send: async (client) => {
      client.send(ping("answer!!", FLAG.ack));
      await client.barrier();
      assert.equal(
        client.ofType(TYPE.ping).some(({ payload }) => payload.toString() === "answer!!"),
        false,
      );
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 6.7",
    title: "PING is answered while a request waits for its response",
    send: async (client) => {
      client.send(ask(1, "/hold", OPEN));
      await client.barrier();
    },
    expected: GOES_ON,
  },
];

const GOAWAY: readonly ConformanceCase[] = [
  sends("GOAWAY of a stream is an error of the connection", "6.8", [ask(1, "/hold"), frame(TYPE.goaway, 0, 1, Buffer.alloc(8))], PROTOCOL),
  sends("GOAWAY that is too short is an error of the connection", "6.8", [frame(TYPE.goaway, 0, 0, Buffer.alloc(7))], SIZE),
  {
    section: "RFC 9113 7",
    title: "GOAWAY with a code that nobody knows is one as any other",
    send: async (client) => {
      client.send(ask(1, "/early-hints"), goaway(0, 0xdead_beef));
      assert.equal((await client.untilOver(1)).hasEnded, true);
      await client.end().untilEnd();
    },
    expected: { kind: "connection error", codes: [CODE.noError], mayJustClose: true },
  },
  {
    section: "RFC 9113 6.8",
    title: "a request before the client's GOAWAY gets its response",
    send: async (client) => {
      client.send(ask(1, "/early-hints"), goaway());
      assert.equal((await client.untilOver(1)).hasEnded, true);
      await client.end().untilEnd();
    },
    expected: { kind: "connection error", codes: [CODE.noError], mayJustClose: true },
  },
  {
    section: "RFC 9113 6.8",
    title: "the body of a request goes on behind the client's GOAWAY, with text for people in it",
    send: async (client) => {
      client.send(ask(1, "/", OPEN), data(1, "hello", 0), goaway(0, CODE.noError, "good night"), data(1, "world"));
      assert.equal((await client.untilOver(1)).hasEnded, true);
      assert.equal(client.status(1), 200);
      await client.end().untilEnd();
    },
    expected: { kind: "connection error", codes: [CODE.noError], mayJustClose: true },
  },
];

const CONTINUATION: readonly ConformanceCase[] = [
  sends(
    "a header block may come in any number of frames",
    "6.10",
    [
      headers(1, BLOCK.subarray(0, THIRD), FLAG.endStream),
      continuation(1, BLOCK.subarray(THIRD, 2 * THIRD), 0),
      continuation(1, BLOCK.subarray(2 * THIRD)),
    ],
    answered(),
  ),
  sends("HEADERS may hold nothing of its block", "6.10", [headers(1, "", FLAG.endStream), continuation(1, BLOCK)], answered()),
  sends(
    "CONTINUATION may be empty",
    "6.10",
    [
      headers(1, BLOCK.subarray(0, THIRD), FLAG.endStream),
      continuation(1, "", 0),
      continuation(1, BLOCK.subarray(THIRD), 0),
      continuation(1, ""),
    ],
    answered(),
  ),
  sends(
    "padded HEADERS may be continued",
    "6.10",
    [headers(1, padded(BLOCK.subarray(0, THIRD), 5), FLAG.endStream | FLAG.padded), continuation(1, BLOCK.subarray(THIRD))],
    answered(),
  ),
  sends(
    "trailers may come in any number of frames",
    "6.10",
    [headers(1, POST, OPEN), data(1, "hello", 0), headers(1, "", FLAG.endStream), continuation(1, block([["x-a", "1"]]))],
    answered(),
  ),
  sends("CONTINUATION of no stream is an error of the connection", "6.10", [continuation(0, BLOCK)], PROTOCOL),
  sends(
    "CONTINUATION behind the end of a header block is an error of the connection",
    "6.10",
    [ask(1, "/hold", OPEN), continuation(1, BLOCK)],
    PROTOCOL,
  ),
  sends(
    "CONTINUATION behind CONTINUATION that ended the block is an error of the connection",
    "6.10",
    [headers(1, BLOCK.subarray(0, THIRD), 0), continuation(1, BLOCK.subarray(THIRD)), continuation(1, BLOCK)],
    PROTOCOL,
  ),
  sends(
    "CONTINUATION behind DATA is an error of the connection",
    "6.10",
    [ask(1, "/hold", OPEN), data(1, "x", 0), continuation(1, BLOCK)],
    PROTOCOL,
  ),
  sends(
    "CONTINUATION behind trailers is an error of the connection",
    "6.10",
    [headers(1, POST, OPEN), headers(1, block([["x-a", "1"]])), continuation(1, "")],
    connectionError(CODE.protocolError, CODE.streamClosed),
  ),
  sends("CONTINUATION as the first frame is an error of the connection", "6.10", [continuation(1, BLOCK)], PROTOCOL, true),
];

export const FRAME_TYPES: Chapter = {
  title: "RFC 9113 section 6, types of frames:",
  cases: [...DATA, ...HEADERS, ...PRIORITY, ...RST_STREAM, ...PUSH_PROMISE, ...PING, ...GOAWAY, ...CONTINUATION],
};
