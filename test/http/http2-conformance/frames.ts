// Frames and header blocks in general: flags, reserved bits, sizes, unknown types. RFC 9113 sections 4 and 5.5.

import assert from "node:assert/strict";
import {
  block,
  bytes,
  CODE,
  continuation,
  data,
  FLAG,
  frame,
  headers,
  indexed,
  literal,
  ping,
  priority,
  remembered,
  rstStream,
  SETTING,
  settings,
  TYPE,
  windowUpdate,
} from "../../support/frames.ts";
import type { FrameClient } from "../../support/frame-client.ts";
import { answered, ask, connectionError, eitherError, GOES_ON, malformed, request, type Chapter, type ConformanceCase } from "./suite.ts";

const BLOCK = block(request());
const HALF = BLOCK.length >> 1;
/** The most that a frame may hold, as the server said. */
const most = (client: FrameClient): number => client.settings.get(SETTING.maxFrameSize) ?? 16_384;

/** Frames that come between HEADERS and the CONTINUATION that it needs. */
const INTRUDERS: Readonly<Record<string, Buffer>> = {
  "DATA of the same stream": data(1, "x", 0),
  "DATA of another stream": data(3, "x", 0),
  "HEADERS of the same stream": headers(1, BLOCK),
  "HEADERS of another stream": headers(3, BLOCK),
  PRIORITY: priority(1),
  RST_STREAM: rstStream(1),
  SETTINGS: settings(),
  PING: ping(),
  WINDOW_UPDATE: windowUpdate(0, 1),
  "CONTINUATION of another stream": continuation(3, BLOCK.subarray(HALF)),
  "CONTINUATION of no stream": continuation(0, BLOCK.subarray(HALF)),
  "a frame of an unknown type": frame(0xfa, 0, 1, "x"),
  "a frame of an unknown type and no stream": frame(0xfa, 0, 0, "x"),
};

const FORMAT: readonly ConformanceCase[] = [
  {
    section: "RFC 9113 4.1",
    title: "a frame of an unknown type is ignored",
    send: (client) => void client.send(frame(0xfa, 0xff, 0, "unknown")),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 4.1",
    title: "an unknown frame of a stream that does not exist is ignored",
    send: (client) => void client.send(frame(0xfa, 0, 7, "unknown")),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 5.5",
    title: "unknown frames around and within a request are ignored",
    send: (client) => {
      const unknown = (stream: number): Buffer => frame(0x42, 0xff, stream, "?");
      client.send(unknown(0), ask(1, "/", FLAG.endHeaders), unknown(1), data(1, "x", 0), unknown(0), data(1, "y"), unknown(1));
    },
    expected: answered(),
  },
  {
    section: "RFC 9113 4.1",
    title: "a frame of an unknown type as large as allowed is ignored",
    send: (client) => void client.send(frame(0xfa, 0, 0, Buffer.alloc(most(client)))),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 4.1",
    title: "undefined flags of PING are ignored",
    send: async (client) => {
      client.send(ping("flagged!", 0xfe));
      await client.until(
        () => client.ofType(TYPE.ping).some(({ flags, payload }) => flags === FLAG.ack && payload.toString() === "flagged!"),
        "the answer to PING",
      );
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 4.1",
    title: "undefined flags of HEADERS are ignored",
    send: (client) => void client.send(headers(1, BLOCK, 0x05 | 0xd2)),
    expected: answered(),
  },
  {
    section: "RFC 9113 4.1",
    title: "undefined flags of DATA are ignored",
    send: (client) => void client.send(ask(1, "/", FLAG.endHeaders), data(1, "hello", FLAG.endStream | 0xf6)),
    expected: answered(),
  },
  {
    section: "RFC 9113 4.1",
    title: "undefined flags of WINDOW_UPDATE are ignored",
    send: (client) => void client.send(frame(TYPE.windowUpdate, 0xff, 0, [0, 0, 0, 1])),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 4.1",
    title: "undefined flags of PRIORITY are ignored",
    send: (client) => void client.send(frame(TYPE.priority, 0xff, 1, [0, 0, 0, 0, 1])),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 4.1",
    title: "undefined flags of CONTINUATION are ignored",
    send: (client) => void client.send(headers(1, BLOCK.subarray(0, HALF), FLAG.endStream), continuation(1, BLOCK.subarray(HALF), 0xff)),
    expected: answered(),
  },
  {
    section: "RFC 9113 4.1",
    title: "undefined flags of RST_STREAM are ignored",
    send: (client) => void client.send(ask(1, "/", FLAG.endHeaders), frame(TYPE.rstStream, 0xff, 1, [0, 0, 0, 8])),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 4.1",
    title: "the reserved bit before the stream of PING is ignored",
    send: async (client) => {
      client.send(frame(TYPE.ping, 0, 0x8000_0000, "reserved"));
      await client.until(() => client.ofType(TYPE.ping).some(({ payload }) => payload.toString() === "reserved"), "the answer to PING");
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 4.1",
    title: "the reserved bit before the stream of HEADERS is ignored",
    send: (client) => void client.send(headers(0x8000_0001, BLOCK)),
    expected: answered(),
  },
  {
    section: "RFC 9113 4.1",
    title: "the reserved bit before the stream of DATA is ignored",
    send: (client) => void client.send(ask(1, "/", FLAG.endHeaders), data(0x8000_0001, "hello")),
    expected: answered(),
  },
  {
    section: "RFC 9113 6.9",
    title: "the reserved bit before the increment of WINDOW_UPDATE is ignored",
    send: (client) => void client.send(windowUpdate(0, 0x8000_0001)),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 4.1",
    title: "frames may be cut into packets at any byte",
    send: async (client) => {
      const sent = bytes(ask(1, "/", FLAG.endHeaders), data(1, "hello", 0), ping("cutcutcu"), data(1, "world"));
      for (const byte of sent) client.send([byte]);
      const { body } = await client.untilOver(1);
      assert.notEqual(body.length, 0);
    },
    expected: answered(),
  },
];

const SIZES: readonly ConformanceCase[] = [
  {
    section: "RFC 9113 4.2",
    title: "DATA as large as allowed is taken",
    send: (client) => void client.send(ask(1, "/", FLAG.endHeaders), data(1, Buffer.alloc(16_384))),
    expected: answered(),
  },
  {
    section: "RFC 9113 4.2",
    title: "HEADERS as large as allowed is taken",
    send: (client) => void client.send(headers(1, bytes(BLOCK, literal("x-t", "a".repeat(16_384 - BLOCK.length - 9))))),
    expected: answered(),
  },
  {
    section: "RFC 9113 4.2",
    title: "DATA that is too large is an error",
    send: (client) => void client.send(ask(1, "/hold", FLAG.endHeaders), data(1, Buffer.alloc(most(client) + 1), 0)),
    expected: eitherError(1, CODE.frameSizeError),
  },
  {
    section: "RFC 9113 4.2",
    title: "DATA with the largest length is an error before it has come",
    send: (client) => void client.send(ask(1, "/hold", FLAG.endHeaders), frame(TYPE.data, 0, 1, "x", 0xff_ffff)),
    expected: connectionError(CODE.frameSizeError),
  },
  {
    section: "RFC 9113 4.2",
    title: "HEADERS that is too large is an error of the connection",
    send: (client) => void client.send(headers(1, bytes(BLOCK, literal("x-a", "a".repeat(most(client)))))),
    expected: connectionError(CODE.frameSizeError),
    isKeptBack: true,
  },
  {
    section: "RFC 9113 4.2",
    title: "CONTINUATION that is too large is an error of the connection",
    send: (client) => void client.send(headers(1, BLOCK, FLAG.endStream), continuation(1, literal("x-a", "a".repeat(most(client))))),
    expected: connectionError(CODE.frameSizeError),
    isKeptBack: true,
  },
  {
    section: "RFC 9113 4.2",
    title: "SETTINGS that is too large is an error of the connection",
    send: (client) => void client.send(frame(TYPE.settings, 0, 0, Buffer.alloc(most(client) + 6 - (most(client) % 6)))),
    expected: connectionError(CODE.frameSizeError),
  },
  {
    section: "RFC 9113 4.2",
    title: "a frame of an unknown type that is too large is an error",
    send: (client) => void client.send(frame(0xfa, 0, 0, Buffer.alloc(most(client) + 1))),
    expected: connectionError(CODE.frameSizeError),
  },
  {
    section: "RFC 9113 4.2",
    title: "the server's frames are no larger than every client takes",
    send: async (client) => {
      client.grant(0, 1_000_000);
      client.configure([SETTING.initialWindowSize, 1_000_000]);
      client.send(ask(1, "/bytes/200000"));
      assert.equal((await client.untilOver(1)).body.length, 200_000);
    },
    expected: answered(),
    isOurs: true,
  },
];

const BLOCKS: readonly ConformanceCase[] = [
  ...Object.entries(INTRUDERS).map(([title, intruder]) => ({
    section: "RFC 9113 4.3",
    title: `${title} within a header block is an error of the connection`,
    send: (client: FrameClient) =>
      void client.send(headers(1, BLOCK.subarray(0, HALF), FLAG.endStream), intruder, continuation(1, BLOCK.subarray(HALF))),
    expected: connectionError(CODE.protocolError),
    isKeptBack: true,
  })),
  {
    section: "RFC 9113 4.3",
    title: "a header block that does not end is none, whatever follows",
    send: (client) => void client.send(headers(1, BLOCK, FLAG.endStream), ping()),
    expected: connectionError(CODE.protocolError),
    isKeptBack: true,
  },
  {
    section: "RFC 9113 4.3",
    title: "a header block that cannot be decoded is an error of the connection",
    send: (client) => void client.send(headers(1, bytes(BLOCK, [0x80]))),
    expected: connectionError(CODE.compressionError),
    isKeptBack: true,
  },
  {
    section: "RFC 9113 4.3",
    title: "a header block that ends within a field is an error of the connection",
    send: (client) => void client.send(headers(1, BLOCK.subarray(0, -1))),
    expected: connectionError(CODE.compressionError),
    isKeptBack: true,
  },
  {
    section: "RFC 9113 4.3",
    title: "trailers that cannot be decoded are an error of the connection",
    send: (client) => void client.send(ask(1, "/", FLAG.endHeaders), headers(1, [0xff, 0xff])),
    expected: connectionError(CODE.compressionError),
  },
  {
    section: "RFC 9113 4.3",
    title: "a header block cut at any byte is read as in one piece",
    send: async (client) => {
      for (let cut = 0; cut <= BLOCK.length; cut++) {
        const stream = 3 + cut * 2;
        client.send(headers(stream, BLOCK.subarray(0, cut), FLAG.endStream), continuation(stream, BLOCK.subarray(cut)));
        await client.untilOver(stream);
        assert.equal(client.status(stream), 200, `cut at ${cut}`);
      }
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 4.3",
    title: "a malformed request changes the tables as any other does",
    send: async (client) => {
      client.send(headers(1, bytes(block(request()), remembered("x-t-a", "remembered"), literal("Bad", "name"))));
      await client.until(() => client.on(1).reset !== null || client.on(1).hasEnded, "the refusal");
      client.send(headers(3, bytes(block(request({ ":path": "/kept" })), indexed(62))));
      const { body } = await client.untilOver(3);
      assert.match(body.toString(), /x-t-a=remembered/);
    },
    expected: malformed(1),
    isOurs: true,
  },
  {
    section: "RFC 9113 4.3",
    title: "the header block of a stream that the client has reset changes the tables as any other does",
    send: async (client) => {
      client.send(headers(1, bytes(block(request({ ":path": "/hold" })), remembered("x-t-a", "remembered"))), rstStream(1));
      client.send(headers(3, bytes(block(request()), indexed(62))));
      const { body } = await client.untilOver(3);
      assert.match(body.toString(), /x-t-a=remembered/);
    },
    expected: answered(3),
    isOurs: true,
  },
];

export const FRAMES: Chapter = { title: "RFC 9113 section 4, frames and header blocks:", cases: [...FORMAT, ...SIZES, ...BLOCKS] };
