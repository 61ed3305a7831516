// Frames of a machine that are errors of the whole connection (RFC 9113 sections 4 to 6), goodbyes, and connections that end at any point.

import {
  CODE,
  FLAG,
  SETTING,
  TYPE,
  block,
  bytes,
  continuation,
  data,
  frame,
  goaway,
  headers,
  indexed,
  integer,
  padded,
  ping,
  priority,
  rstStream,
  settings,
  tableSize,
  windowUpdate,
} from "../../support/frames.ts";
import type { Greeting } from "../../support/frame-machine.ts";
import { BROKEN, CUT, MALFORMED, NOTHING, whole as wholeBody, type Sees } from "./hostile-case.ts";
import { OPEN, fatal, fields, leave, repeat, type Http2Case } from "./http2-case.ts";

const STOLEN = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nSTOLEN";
const NEVER_OPENED = 2 ** 31 - 1;

/** How far it came is up to the network. */
const UNREACHED: Sees = { kind: "error", codes: ["upstream_closed", "upstream_reset", "connect_failed"] };

function greeted(title: string, greeting: Greeting, sees = MALFORMED): Http2Case {
  return { title, greeting, sends: () => "", sees, breaks: "connection" };
}

export const HTTP2_GREETINGS: readonly Http2Case[] = [
  greeted("HTTP/1.1", { bytes: STOLEN }),
  greeted("HTTP/1.1, and the end", { bytes: STOLEN, next: (connection) => leave(connection, "ends") }),
  greeted("bytes that mean nothing", { bytes: Buffer.alloc(400, 0xa7) }),
  greeted("zeros", { bytes: Buffer.alloc(400) }),
  greeted("a preface of its own", { bytes: bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings()) }),
  greeted("PING first", { bytes: bytes(ping(), settings()) }),
  greeted("GOAWAY first", { bytes: goaway(0, CODE.noError) }),
  greeted("a response first", { bytes: headers(1, fields()) }),
  greeted("an acknowledgement first", { bytes: frame(TYPE.settings, FLAG.ack, 0) }),
  greeted("SETTINGS on a stream", { bytes: frame(TYPE.settings, 0, 1) }),
  greeted("SETTINGS cut off", { bytes: frame(TYPE.settings, 0, 0, "12345") }),
  greeted("an acknowledgement with something in it", { bytes: bytes(settings(), frame(TYPE.settings, FLAG.ack, 0, "123456")) }),
  ...(
    [
      [SETTING.enablePush, 2],
      [SETTING.initialWindowSize, 2 ** 31],
      [SETTING.maxFrameSize, 16_383],
      [SETTING.maxFrameSize, 2 ** 24],
      [SETTING.enableConnectProtocol, 2],
    ] as const
  ).map((pair) => greeted(`setting ${pair.join(" = ")}`, { bytes: settings(pair) })),
  greeted("SETTINGS without end in one frame", {
    bytes: settings(...Array.from({ length: 1000 }, () => [SETTING.maxFrameSize, 16_384] as const)),
  }),
  greeted("a response for a stream that is not open", { bytes: bytes(settings(), headers(9, fields())) }),
  greeted("nothing, and the end", { bytes: "", next: (connection) => leave(connection, "ends") }, NOTHING),
  greeted("nothing, and a reset", { bytes: "", next: (connection) => leave(connection, "resets") }, UNREACHED),
  greeted("no room for any stream", { bytes: settings([SETTING.maxConcurrentStreams, 0]) }, { kind: "error", codes: ["connect_failed"] }),
];

export const HTTP2_FRAMES: readonly Http2Case[] = [
  fatal("HTTP/1.1 for an answer", () => STOLEN),
  fatal("a frame of 16385 bytes", (s) => bytes(headers(s, fields(), OPEN), data(s, Buffer.alloc(16_385))), BROKEN),
  fatal("a frame of 16 MB", (s) => frame(TYPE.headers, FLAG.endHeaders, s, "", 0xff_ffff)),
  fatal("an unknown frame of 16 MB", (s) => frame(200, 0, s, "", 0xff_ffff)),
  fatal("HEADERS on stream 0", () => headers(0, fields())),
  fatal("DATA on stream 0", () => data(0, "STOLEN")),
  fatal("RST_STREAM on stream 0", () => rstStream(0)),
  fatal("PRIORITY on stream 0", () => priority(0)),
  fatal("CONTINUATION on stream 0", () => continuation(0, "")),
  fatal("HEADERS on an even stream", () => headers(2, fields())),
  fatal("DATA on an even stream", () => data(2, "STOLEN")),
  ...[NEVER_OPENED, 1001].flatMap((stream) => [
    fatal(`HEADERS on stream ${stream}, which is not open`, () => headers(stream, fields())),
    fatal(`DATA on stream ${stream}, which is not open`, () => data(stream, "STOLEN")),
    fatal(`RST_STREAM on stream ${stream}, which is not open`, () => rstStream(stream)),
    fatal(`WINDOW_UPDATE on stream ${stream}, which is not open`, () => windowUpdate(stream, 1)),
  ]),
  fatal("PUSH_PROMISE", (s) => frame(TYPE.pushPromise, FLAG.endHeaders, s, bytes([0, 0, 0, 2], fields()))),
  fatal("RST_STREAM of five bytes", (s) => frame(TYPE.rstStream, 0, s, "12345")),
  fatal("PING of seven bytes", () => frame(TYPE.ping, 0, 0, "1234567")),
  fatal("PING on a stream", (s) => frame(TYPE.ping, 0, s, "12345678")),
  fatal("WINDOW_UPDATE of three bytes", (s) => frame(TYPE.windowUpdate, 0, s, "123")),
  fatal("GOAWAY of four bytes", () => frame(TYPE.goaway, 0, 0, "1234")),
  fatal("GOAWAY on a stream", (s) => frame(TYPE.goaway, 0, s, "12345678")),
  fatal("WINDOW_UPDATE of the connection by nothing", () => windowUpdate(0, 0)),
  fatal("a window of the connection that overflows", () => windowUpdate(0, 0x7fff_ffff)),
  fatal("SETTINGS that let a window overflow", (s) =>
    bytes(settings([SETTING.initialWindowSize, 2 ** 31 - 1]), windowUpdate(s, 0), windowUpdate(0, 0x7fff_ffff)),
  ),
  fatal("a header block without its end, interrupted by DATA", (s) => bytes(headers(s, fields(), 0), data(s, "STOLEN"))),
  fatal("a header block interrupted by PING", (s) => bytes(headers(s, fields(), 0), ping())),
  fatal("a header block interrupted by an unknown frame", (s) => bytes(headers(s, fields(), 0), frame(200, 0, s))),
  fatal("a header block interrupted by that of another stream", (s) => bytes(headers(s, fields(), 0), headers(1, fields()))),
  fatal("a header block continued on another stream", (s) => bytes(headers(s, fields(), 0), continuation(1, ""))),
  fatal("CONTINUATION of nothing", (s) => continuation(s, fields())),
  fatal("a flood of empty CONTINUATION", (s) => bytes(headers(s, fields(), 0), repeat(1000, continuation(s, "", 0)))),
  fatal("a flood of full CONTINUATION", (s) => bytes(headers(s, "", 0), repeat(100, continuation(s, Buffer.alloc(16_000, 0x88), 0)))),
  fatal("a list of fields that grows by its indices", (s) =>
    headers(s, bytes(fields(), [0x40, 1, 0x61], integer(4000, 7), Buffer.alloc(4000, 0x62), repeat(10_000, indexed(62)))),
  ),
  fatal("index 0", (s) => headers(s, bytes(fields(), [0x80]))),
  fatal("an index that is in no table", (s) => headers(s, bytes(fields(), indexed(70)))),
  fatal("an integer without end", (s) => headers(s, bytes(fields(), [0x7f], Buffer.alloc(40, 0xff)))),
  fatal("a string beyond its block", (s) => headers(s, bytes(fields(), [0x00, 0x05, 0x61]))),
  fatal("a string that is not Huffman-coded as it says", (s) =>
    headers(s, bytes(fields(), [0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, 0x61])),
  ),
  fatal("a table that is larger than allowed", (s) => headers(s, bytes(tableSize(4097), fields()))),
  fatal("a change of the table behind a field", (s) => headers(s, bytes(fields(), tableSize(0)))),
  fatal("a block that cannot be read on a stream that is over", () => headers(1, indexed(70))),
  fatal(
    "padding as long as its frame",
    (s) => bytes(headers(s, fields(), OPEN), frame(TYPE.data, FLAG.padded, s, [5, 1, 2, 3, 4])),
    BROKEN,
  ),
  fatal("padding longer than its HEADERS", (s) => headers(s, padded("", 200, ""), FLAG.padded | FLAG.endHeaders)),
  fatal("a padded frame without room for it", (s) => bytes(headers(s, fields(), OPEN), data(s, "", FLAG.padded)), BROKEN),
  fatal("HEADERS without room for the priority", (s) => headers(s, "1234", FLAG.priority | FLAG.endHeaders)),
  fatal("a flood of SETTINGS", () => repeat(20_000, settings())),
  fatal("a flood of PING", () => repeat(20_000, ping())),
  fatal("a flood of answers to PING", () => repeat(20_000, ping("12345678", FLAG.ack))),
  fatal("a flood of PRIORITY", (s) => repeat(20_000, priority(s))),
  fatal("a flood of unknown frames", () => repeat(20_000, frame(200, 0, 0))),
  fatal("a flood of WINDOW_UPDATE", (s) => repeat(20_000, windowUpdate(s, 1))),
  fatal("a flood of RST_STREAM on a stream that is over", () => repeat(20_000, rstStream(1))),
  fatal("a flood of responses on a stream that is over", () => repeat(20_000, headers(1, indexed(8)))),
  fatal("a flood of DATA on a stream that is over", () => repeat(20_000, data(1, "", 0))),
  fatal("a flood of empty DATA", (s) => bytes(headers(s, fields(), OPEN), repeat(20_000, data(s, "", 0))), BROKEN),
  fatal("a flood of padding", (s) => bytes(headers(s, fields(), OPEN), repeat(20_000, data(s, padded("", 1), FLAG.padded))), BROKEN),
];

const WHOLE = (s: number): Buffer => bytes(headers(s, fields(), OPEN), data(s, "hello"));
const STAGES: readonly (readonly [title: string, sends: (stream: number) => Buffer, sees: Http2Case["sees"]])[] = [
  ["before the head", () => Buffer.alloc(0), NOTHING],
  ["within a frame", (s) => WHOLE(s).subarray(0, 12), NOTHING],
  ["within a header block", (s) => headers(s, fields(), 0), NOTHING],
  ["behind an interim response", (s) => headers(s, block([[":status", "103"]]), OPEN), NOTHING],
  ["behind the head", (s) => headers(s, fields(), OPEN), CUT],
  ["in the middle of the body", (s) => bytes(headers(s, fields(["content-length", "9"]), OPEN), data(s, "hello", 0)), CUT],
  ["in the middle of a frame of the body", (s) => WHOLE(s).subarray(0, -2), CUT],
  ["before the end", (s) => bytes(headers(s, fields(["content-length", "5"]), OPEN), data(s, "hello", 0)), BROKEN],
];

export const HTTP2_ENDS: readonly Http2Case[] = [
  ...STAGES.flatMap(([title, sends, sees]) =>
    (["ends", "resets"] as const).map((exit): Http2Case => ({
      title: `${title} the connection ${exit}`,
      sends,
      exit,
      sees: exit === "resets" ? BROKEN : sees,
      breaks: "connection",
    })),
  ),
  ...STAGES.filter(([title]) => !title.startsWith("within")).map(([title, sends, sees]): Http2Case => ({
    title: `${title} GOAWAY with this stream as the last, and the end`,
    sends: (s) => (title === "in the middle of a frame of the body" ? bytes(goaway(s), sends(s)) : bytes(sends(s), goaway(s))),
    exit: "ends",
    sees,
    breaks: "connection",
  })),
  {
    title: "a whole response behind GOAWAY with this stream as the last",
    sends: (s) => bytes(goaway(s), WHOLE(s)),
    sees: wholeBody("hello"),
    breaks: "connection",
  },
  {
    title: "a whole response behind GOAWAY with a stream as the last that was never open",
    sends: (s) => bytes(goaway(NEVER_OPENED, CODE.internalError), WHOLE(s)),
    sees: wholeBody("hello"),
    breaks: "connection",
  },
  {
    title: "a response behind GOAWAY that says that this stream was not looked at",
    sends: (s) => bytes(goaway(0), headers(s, fields(), OPEN), data(s, "STOLEN")),
    sees: NOTHING,
    breaks: "connection",
  },
  {
    title: "GOAWAY twice, the second time with less",
    sends: (s) => bytes(goaway(NEVER_OPENED), goaway(0), headers(s, fields(), OPEN), data(s, "STOLEN")),
    sees: NOTHING,
    breaks: "connection",
  },
];
