// The life of a stream: which frames each state takes, how streams are numbered, how many there may be, and how errors end them.
// RFC 9113 section 5.

import assert from "node:assert/strict";
import {
  block,
  CODE,
  continuation,
  data,
  FLAG,
  frame,
  headers,
  HIGHEST_STREAM,
  ping,
  priority,
  rstStream,
  SETTING,
  TYPE,
  windowUpdate,
} from "../../support/frames.ts";
import type { FrameClient } from "../../support/frame-client.ts";
import { answered, ask, connectionError, eitherError, GOES_ON, malformed, request, type Chapter, type ConformanceCase } from "./suite.ts";

const OPEN = FLAG.endHeaders;

/** Frames of a stream that nobody has begun. */
const IDLE: Readonly<Record<string, Buffer>> = {
  DATA: data(1, "x"),
  "empty DATA": data(1, ""),
  RST_STREAM: rstStream(1),
  WINDOW_UPDATE: windowUpdate(1, 1),
  CONTINUATION: continuation(1, block(request())),
  "DATA of a stream of the server's": data(2, "x"),
  "RST_STREAM of a stream of the server's": rstStream(2),
  "WINDOW_UPDATE of a stream of the server's": windowUpdate(2, 1),
};

const IDLE_CASES: readonly ConformanceCase[] = [
  ...Object.entries(IDLE).map(([title, sent]) => ({
    section: "RFC 9113 5.1",
    title: `${title} on an idle stream is an error of the connection`,
    send: (client: FrameClient) => void client.send(sent),
    expected: connectionError(CODE.protocolError),
  })),
  {
    section: "RFC 9113 5.1",
    title: "PRIORITY on an idle stream is ignored",
    send: (client) => void client.send(priority(1), ask(1)),
    expected: answered(),
  },
];

/** The client has ended its side; the response is outstanding. */
const HALF_CLOSED: readonly ConformanceCase[] = [
  {
    section: "RFC 9113 5.1",
    title: "DATA on a half-closed stream is an error",
    send: (client) => void client.send(ask(1, "/hold"), data(1, "x")),
    expected: eitherError(1, CODE.streamClosed),
  },
  {
    section: "RFC 9113 5.1",
    title: "empty DATA on a half-closed stream is an error",
    send: (client) => void client.send(ask(1, "/hold"), data(1, "")),
    expected: eitherError(1, CODE.streamClosed),
  },
  {
    section: "RFC 9113 5.1",
    title: "HEADERS on a half-closed stream is an error",
    send: (client) => void client.send(ask(1, "/hold"), ask(1, "/hold")),
    expected: eitherError(1, CODE.streamClosed),
  },
  {
    section: "RFC 9113 5.1",
    title: "DATA behind the DATA that ended the stream is an error",
    send: (client) => void client.send(ask(1, "/hold", OPEN), data(1, "x"), data(1, "y")),
    expected: eitherError(1, CODE.streamClosed),
  },
  {
    section: "RFC 9113 5.1",
    title: "CONTINUATION on a half-closed stream is an error of the connection",
    send: (client) => void client.send(ask(1, "/hold"), continuation(1, block(request()))),
    expected: connectionError(CODE.protocolError, CODE.streamClosed),
  },
  {
    section: "RFC 9113 5.1",
    title: "WINDOW_UPDATE on a half-closed stream is taken",
    send: (client) => void client.send(ask(1, "/early-hints"), windowUpdate(1, 100)),
    expected: answered(),
  },
  {
    section: "RFC 9113 5.1",
    title: "PRIORITY on a half-closed stream is ignored",
    send: (client) => void client.send(ask(1, "/early-hints"), priority(1, 3)),
    expected: answered(),
  },
  {
    section: "RFC 9113 5.1",
    title: "RST_STREAM on a half-closed stream ends it, and the machine's work",
    send: async (client, { edge }) => {
      const before = edge!.backend.requests.length;
      client.send(ask(1, "/hold"));
      await edge!.backend.request(before);
      client.send(rstStream(1));
      await edge!.untilReleased();
      assert.deepEqual([client.on(1).fields, client.on(1).reset], [null, null]);
    },
    expected: GOES_ON,
    isOurs: true,
  },
];

/** Waits for the whole response: both sides have ended the stream. */
async function closed(client: FrameClient): Promise<FrameClient> {
  client.send(ask(1));
  await client.untilOver(1);
  return client;
}

const CLOSED: readonly ConformanceCase[] = [
  {
    section: "RFC 9113 5.1",
    title: "DATA on a closed stream is an error",
    send: async (client) => void (await closed(client)).send(data(1, "x")),
    expected: eitherError(1, CODE.streamClosed),
  },
  {
    section: "RFC 9113 5.1",
    title: "HEADERS on a closed stream is an error of the connection",
    send: async (client) => void (await closed(client)).send(ask(1)),
    expected: connectionError(CODE.streamClosed, CODE.protocolError),
  },
  {
    section: "RFC 9113 5.1",
    title: "CONTINUATION on a closed stream is an error of the connection",
    send: async (client) => void (await closed(client)).send(continuation(1, block(request()))),
    expected: connectionError(CODE.streamClosed, CODE.protocolError),
  },
  {
    section: "RFC 9113 5.1",
    title: "PRIORITY on a closed stream is ignored",
    send: async (client) => void (await closed(client)).send(priority(1, 3)),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 5.1",
    title: "WINDOW_UPDATE just behind the end of a stream is ignored",
    send: async (client) => void (await closed(client)).send(windowUpdate(1, 1)),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 5.4.2",
    title: "RST_STREAM on a closed stream is not answered with RST_STREAM",
    send: async (client) => {
      (await closed(client)).send(rstStream(1), rstStream(1));
      await client.barrier();
      assert.equal(client.on(1).reset, null);
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 5.4.2",
    title: "RST_STREAM on a stream that the server has reset is not answered",
    send: async (client) => {
      client.send(headers(1, block(request({}, ["Bad", "name"]))));
      await client.until(() => client.on(1).reset !== null || client.on(1).hasEnded, "the refusal");
      const before = client.ofType(TYPE.rstStream).length;
      client.send(rstStream(1));
      await client.barrier();
      assert.equal(client.ofType(TYPE.rstStream).length, before);
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 5.1",
    title: "DATA on a stream that the client has reset is an error",
    send: (client) => void client.send(ask(1, "/hold", OPEN), rstStream(1), data(1, "x")),
    expected: eitherError(1, CODE.streamClosed),
  },
  {
    section: "RFC 9113 5.1",
    title: "HEADERS on a stream that the client has reset is an error",
    send: (client) => void client.send(ask(1, "/hold", OPEN), rstStream(1), ask(1)),
    expected: eitherError(1, CODE.streamClosed, CODE.protocolError),
    isKeptBack: false,
  },
  {
    section: "RFC 9113 5.1",
    title: "CONTINUATION on a stream that the client has reset is an error of the connection",
    send: (client) => void client.send(ask(1, "/hold", OPEN), rstStream(1), continuation(1, block(request()))),
    expected: connectionError(CODE.protocolError, CODE.streamClosed),
  },
  {
    section: "RFC 9113 5.1",
    title: "frames that cross with the server's RST_STREAM are discarded, and the connection goes on",
    send: async (client) => {
      client.send(headers(1, block(request({ ":method": "POST" }, ["Bad", "name"])), OPEN));
      client.send(data(1, "x", 0), windowUpdate(1, 1), priority(1), data(1, "y", 0), rstStream(1));
      await client.barrier();
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 5.1",
    title: "DATA that crosses with the server's RST_STREAM counts in the window of the connection, which is opened again",
    send: async (client) => {
      client.send(headers(1, block(request({ ":method": "POST" }, ["Bad", "name"])), OPEN));
      const window = client.granted(0);
      for (let left = window; left > 0; left -= 16_384) client.send(data(1, Buffer.alloc(Math.min(left, 16_384)), 0));
      await client.until(() => client.granted(0) > window, "WINDOW_UPDATE of the connection");
    },
    expected: GOES_ON,
  },
];

const NUMBERS: readonly ConformanceCase[] = [
  {
    section: "RFC 9113 5.1.1",
    title: "HEADERS on an even stream is an error of the connection",
    send: (client) => void client.send(ask(2)),
    expected: connectionError(CODE.protocolError),
    isKeptBack: true,
  },
  {
    section: "RFC 9113 5.1.1",
    title: "a stream with a lower number than one before is an error of the connection",
    send: (client) => void client.send(ask(5, "/hold"), ask(3, "/lower")),
    expected: connectionError(CODE.protocolError, CODE.streamClosed),
  },
  {
    section: "RFC 9113 5.1.1",
    title: "DATA of a stream that was skipped is an error",
    send: (client) => void client.send(ask(5, "/hold"), data(3, "x")),
    expected: eitherError(3, CODE.streamClosed, CODE.protocolError),
  },
  {
    section: "RFC 9113 5.1.1",
    title: "numbers may be left out",
    send: (client) => void client.send(ask(1), ask(9), ask(1001)),
    expected: answered(1001),
  },
  {
    section: "RFC 9113 5.1.1",
    title: "the first stream need not be 1",
    send: (client) => void client.send(ask(12_345)),
    expected: answered(12_345),
  },
  {
    section: "RFC 9113 5.1.1",
    title: "the highest number is a stream as any other",
    send: (client) => void client.send(ask(HIGHEST_STREAM)),
    expected: answered(HIGHEST_STREAM),
    isLastStream: true,
  },
  {
    section: "RFC 9113 5.1.1",
    title: "no stream follows the highest number",
    send: (client) => void client.send(ask(HIGHEST_STREAM, "/hold"), ask(1)),
    expected: connectionError(CODE.protocolError, CODE.streamClosed),
  },
];

const LIMITS: readonly ConformanceCase[] = [
  {
    section: "RFC 9113 5.1.2",
    title: "the server says how many streams it takes, and that is at least 100",
    send: (client) => assert.ok((client.settings.get(SETTING.maxConcurrentStreams) ?? 0) >= 100),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 5.1.2",
    title: "as many streams as the server takes are all carried at once",
    send: async (client) => {
      const most = client.settings.get(SETTING.maxConcurrentStreams)!;
      const streams = Array.from({ length: most }, (_, i) => 1 + i * 2);
      client.send(...streams.map((stream) => ask(stream, `/bytes/100`)));
      for (const stream of streams) assert.equal((await client.untilOver(stream)).body.length, 100);
    },
    expected: GOES_ON,
    isOurs: true,
  },
  {
    section: "RFC 9113 5.1.2",
    title: "one stream more than the server takes is refused",
    send: async (client) => {
      const most = client.settings.get(SETTING.maxConcurrentStreams)!;
      for (let i = 0; i < most; i++) client.send(ask(1 + i * 2, "/hold", OPEN));
      client.send(ask(9999, "/one-too-many"));
      await client.until(() => client.on(9999).reset !== null || client.goaway !== null, "the refusal");
      for (let i = 0; i < most; i++) client.send(rstStream(1 + i * 2));
    },
    expected: eitherError(9999, CODE.refusedStream, CODE.protocolError),
    isKeptBack: false,
  },
  {
    section: "RFC 9113 5.1.2",
    title: "streams that are over do not count",
    send: async (client) => {
      const most = client.settings.get(SETTING.maxConcurrentStreams)!;
      for (let round = 0; round < 3; round++) {
        const streams = Array.from({ length: most >> 1 }, (_, i) => 1 + (round * most + i) * 2);
        client.send(...streams.map((stream) => headers(stream, block(request({ ":method": "HEAD" })))));
        for (const stream of streams) assert.equal((await client.untilOver(stream)).hasEnded, true);
      }
    },
    expected: GOES_ON,
  },
];

const ERRORS: readonly ConformanceCase[] = [
  {
    section: "RFC 9113 5.3.2",
    title: "PRIORITY of a stream that depends on itself does no harm",
    send: (client) => void client.send(ask(1, "/hold", OPEN), priority(1, 1), priority(3, 3), rstStream(1)),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 5.4.1",
    title: "GOAWAY names the last stream that was looked at",
    send: async (client) => {
      client.send(ask(1), ask(7));
      await client.untilOver(1);
      await client.untilOver(7);
      client.send(ping("bad"));
      await client.untilEnd();
      assert.equal(client.goaway?.lastStream, 7);
    },
    expected: connectionError(CODE.frameSizeError),
  },
  {
    section: "RFC 9113 5.4.1",
    title: "an error of the connection ends the requests under way, and the machine's work",
    send: async (client, { edge }) => {
      const before = edge!.backend.requests.length;
      client.send(ask(1, "/hold"), ask(3, "/hold"));
      await edge!.backend.request(before + 1);
      client.send(ping("bad"));
      await client.untilEnd();
      await edge!.untilReleased();
    },
    expected: connectionError(CODE.frameSizeError),
    isOurs: true,
  },
  {
    section: "RFC 9113 5.4.2",
    title: "an error of one stream leaves the others alone",
    send: async (client) => {
      client.send(ask(1, "/", OPEN), headers(3, block(request({}, ["Bad", "name"]))), data(1, "hello"));
      assert.equal((await client.untilOver(1)).hasEnded, true);
      assert.equal(client.status(1), 200);
    },
    expected: malformed(3),
  },
  {
    section: "RFC 9113 5.4.3",
    title: "a client that ends the connection ends its requests, and the machine's work",
    send: async (client, { edge }) => {
      const before = edge!.backend.requests.length;
      client.send(ask(1, "/hold"));
      await edge!.backend.request(before);
      client[Symbol.dispose]();
      await edge!.untilReleased();
      await client.untilEnd();
    },
    expected: { kind: "connection error", codes: [], mayJustClose: true },
    isOurs: true,
  },
  {
    section: "RFC 9113 5.5",
    title: "a setting that nobody knows is ignored, and acknowledged",
    send: async (client) => await client.configure([0xfafa, 0xffff_ffff], [0, 1]).untilConfigured(),
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 5.1",
    title: "HEADERS without END_STREAM on an open stream are malformed trailers",
    send: (client) => void client.send(ask(1, "/hold", OPEN), headers(1, block([["x-a", "1"]]), OPEN), frame(TYPE.data, 0, 1, "x")),
    expected: malformed(),
  },
  {
    section: "RFC 9113 6.4",
    title: "RST_STREAM on an open stream ends it without an answer",
    send: async (client) => {
      client.send(ask(1, "/hold", OPEN), data(1, "x", 0), rstStream(1));
      await client.barrier();
      assert.equal(client.on(1).reset, null);
      assert.equal(client.on(1).fields, null);
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 5.1",
    title: "DATA behind trailers is an error",
    send: (client) => void client.send(ask(1, "/hold", OPEN), headers(1, block([["x-a", "1"]])), data(1, "x")),
    expected: eitherError(1, CODE.streamClosed),
  },
];

export const STREAMS: Chapter = {
  title: "RFC 9113 section 5, streams:",
  cases: [...IDLE_CASES, ...HALF_CLOSED, ...CLOSED, ...NUMBERS, ...LIMITS, ...ERRORS],
};
