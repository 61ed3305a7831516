// SETTINGS, and flow control in both directions. RFC 9113 sections 5.2, 6.5 and 6.9.

import assert from "node:assert/strict";
import { block, CODE, data, FLAG, frame, headers, rstStream, SETTING, settings, TYPE, windowUpdate } from "../../support/frames.ts";
import type { FrameClient } from "../../support/frame-client.ts";
import { answered, ask, connectionError, eitherError, FULL_HOST, GOES_ON, request, type Chapter, type ConformanceCase } from "./suite.ts";

const PROTOCOL = connectionError(CODE.protocolError);
const SIZE = connectionError(CODE.frameSizeError);
const FLOW = connectionError(CODE.flowControlError);
const HIGHEST_WINDOW = 0x7fff_ffff;
const OPEN = FLAG.endHeaders;

function sends(title: string, section: string, sent: readonly Buffer[], expected: ConformanceCase["expected"]): ConformanceCase {
  return { title, section: `RFC 9113 ${section}`, send: (client) => void client.send(...sent), expected };
}

/** A setting that is taken: the server acknowledges it and goes on. */
function taken(name: string, id: number, value: number): ConformanceCase {
  return {
    section: "RFC 9113 6.5.2",
    title: `${name} may be ${value}`,
    send: async (client) => await client.configure([id, value]).untilConfigured(),
    expected: GOES_ON,
  };
}

const SETTINGS: readonly ConformanceCase[] = [
  sends("SETTINGS of a stream is an error of the connection", "6.5", [frame(TYPE.settings, 0, 1, "")], PROTOCOL),
  sends(
    "SETTINGS of a stream that is open is an error of the connection",
    "6.5",
    [ask(1, "/hold"), frame(TYPE.settings, 0, 1, "")],
    PROTOCOL,
  ),
  sends("an acknowledgement of a stream is an error of the connection", "6.5", [frame(TYPE.settings, FLAG.ack, 1, "")], PROTOCOL),
  sends(
    "an acknowledgement that holds a setting is an error of the connection",
    "6.5",
    [frame(TYPE.settings, FLAG.ack, 0, [0, 2, 0, 0, 0, 0])],
    SIZE,
  ),
  sends("an acknowledgement that holds a byte is an error of the connection", "6.5", [frame(TYPE.settings, FLAG.ack, 0, "x")], SIZE),
  sends("SETTINGS of five bytes is an error of the connection", "6.5", [frame(TYPE.settings, 0, 0, [0, 2, 0, 0, 0])], SIZE),
  sends("SETTINGS of seven bytes is an error of the connection", "6.5", [frame(TYPE.settings, 0, 0, [0, 2, 0, 0, 0, 0, 0])], SIZE),
  sends("ENABLE_PUSH of 2 is an error of the connection", "6.5.2", [settings([SETTING.enablePush, 2])], PROTOCOL),
  sends("ENABLE_PUSH beyond all bounds is an error of the connection", "6.5.2", [settings([SETTING.enablePush, 0xffff_ffff])], PROTOCOL),
  sends("INITIAL_WINDOW_SIZE of 2^31 is an error of the connection", "6.5.2", [settings([SETTING.initialWindowSize, 2 ** 31])], FLOW),
  sends(
    "INITIAL_WINDOW_SIZE beyond all bounds is an error of the connection",
    "6.5.2",
    [settings([SETTING.initialWindowSize, 0xffff_ffff])],
    FLOW,
  ),
  sends("MAX_FRAME_SIZE of 0 is an error of the connection", "6.5.2", [settings([SETTING.maxFrameSize, 0])], PROTOCOL),
  sends("MAX_FRAME_SIZE of 16383 is an error of the connection", "6.5.2", [settings([SETTING.maxFrameSize, 16_383])], PROTOCOL),
  sends("MAX_FRAME_SIZE of 2^24 is an error of the connection", "6.5.2", [settings([SETTING.maxFrameSize, 2 ** 24])], PROTOCOL),
  sends(
    "MAX_FRAME_SIZE beyond all bounds is an error of the connection",
    "6.5.2",
    [settings([SETTING.maxFrameSize, 0xffff_ffff])],
    PROTOCOL,
  ),
  sends(
    "a wrong value behind a right one is an error of the connection",
    "6.5.3",
    [settings([SETTING.maxFrameSize, 20_000], [SETTING.maxFrameSize, 1])],
    PROTOCOL,
  ),
  sends(
    "a wrong value before a right one is an error of the connection",
    "6.5.3",
    [settings([SETTING.maxFrameSize, 1], [SETTING.maxFrameSize, 20_000])],
    PROTOCOL,
  ),
  taken("ENABLE_PUSH", SETTING.enablePush, 0),
  taken("ENABLE_PUSH", SETTING.enablePush, 1),
  taken("HEADER_TABLE_SIZE", SETTING.headerTableSize, 0),
  taken("HEADER_TABLE_SIZE", SETTING.headerTableSize, 0xffff_ffff),
  taken("MAX_CONCURRENT_STREAMS", SETTING.maxConcurrentStreams, 0),
  taken("MAX_CONCURRENT_STREAMS", SETTING.maxConcurrentStreams, 0xffff_ffff),
  taken("INITIAL_WINDOW_SIZE", SETTING.initialWindowSize, 0),
  taken("INITIAL_WINDOW_SIZE", SETTING.initialWindowSize, HIGHEST_WINDOW),
  taken("MAX_FRAME_SIZE", SETTING.maxFrameSize, 16_384),
  taken("MAX_FRAME_SIZE", SETTING.maxFrameSize, 2 ** 24 - 1),
  taken("MAX_HEADER_LIST_SIZE", SETTING.maxHeaderListSize, 0xffff_ffff),
  taken("a setting that nobody knows", 0x99, 0xffff_ffff),
  {
    section: "RFC 9113 6.5.3",
    title: "every SETTINGS is acknowledged, in order and with nothing in it",
    send: async (client) => {
      for (const size of [100, 200, 300]) client.configure([SETTING.initialWindowSize, size]);
      await client.untilConfigured();
      const acknowledgements = client.ofType(TYPE.settings).filter(({ flags }) => (flags & FLAG.ack) !== 0);
      assert.deepEqual(
        acknowledgements.map(({ payload }) => payload.length),
        [0, 0, 0, 0],
      );
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 6.5.3",
    title: "of a setting that comes twice in a frame the last one counts",
    send: async (client) => {
      await client.configure([SETTING.initialWindowSize, 500], [SETTING.initialWindowSize, 7]).untilConfigured();
      client.send(ask(1, "/bytes/100"));
      await client.until(() => client.on(1).body.length === 7, "seven bytes");
      await client.barrier();
      assert.equal(client.on(1).body.length, 7);
    },
    expected: GOES_ON,
    isOurs: true,
  },
  {
    section: "RFC 9113 6.5.2",
    title: "the server's settings are within their bounds",
    send: (client) => {
      const among = (id: number, least: number, most: number): void => {
        const value = client.settings.get(id);
        if (value !== undefined) assert.ok(value >= least && value <= most, `setting ${id} is ${value}`);
      };
      among(SETTING.enablePush, 0, 0);
      among(SETTING.initialWindowSize, 0, HIGHEST_WINDOW);
      among(SETTING.maxFrameSize, 16_384, 2 ** 24 - 1);
      among(SETTING.enableConnectProtocol, 0, 1);
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 6.5.2",
    title: "larger frames are used or not, but never larger than the client allows",
    send: async (client) => {
      client.configure([SETTING.maxFrameSize, 30_000], [SETTING.initialWindowSize, 1_000_000]).grant(0, 1_000_000);
      await client.untilConfigured();
      client.send(ask(1, "/bytes/300000"));
      assert.equal((await client.untilOver(1)).body.length, 300_000);
    },
    expected: answered(),
    isOurs: true,
  },
];

const WINDOW_UPDATES: readonly ConformanceCase[] = [
  sends("an increment of 0 on the connection is an error of it", "6.9", [windowUpdate(0, 0)], PROTOCOL),
  sends("an increment of 0 on a stream is an error", "6.9", [ask(1, "/hold"), windowUpdate(1, 0)], eitherError(1, CODE.protocolError)),
  sends(
    "an increment of 0 behind the reserved bit is an error",
    "6.9",
    [ask(1, "/hold"), windowUpdate(1, 0x8000_0000)],
    eitherError(1, CODE.protocolError),
  ),
  sends("WINDOW_UPDATE that is too short is an error of the connection", "6.9", [frame(TYPE.windowUpdate, 0, 0, [0, 0, 1])], SIZE),
  sends("WINDOW_UPDATE that is too long is an error of the connection", "6.9", [frame(TYPE.windowUpdate, 0, 0, [0, 0, 0, 0, 1])], SIZE),
  sends(
    "WINDOW_UPDATE of a stream that is too long is an error of the connection",
    "6.9",
    [ask(1, "/hold"), frame(TYPE.windowUpdate, 0, 1, [0, 0, 0, 0, 1])],
    SIZE,
  ),
  sends("a window of the connection above 2^31-1 is an error of it", "6.9.1", [windowUpdate(0, HIGHEST_WINDOW)], FLOW),
  sends(
    "a window of the connection above 2^31-1 by small steps is an error of it",
    "6.9.1",
    [windowUpdate(0, HIGHEST_WINDOW - 65_535), windowUpdate(0, 1)],
    FLOW,
  ),
  sends(
    "a window of a stream above 2^31-1 is an error",
    "6.9.1",
    [ask(1, "/hold"), windowUpdate(1, HIGHEST_WINDOW)],
    eitherError(1, CODE.flowControlError),
  ),
  sends(
    "a window of a stream above 2^31-1 by small steps is an error",
    "6.9.1",
    [ask(1, "/hold"), windowUpdate(1, HIGHEST_WINDOW - 65_535), windowUpdate(1, 1)],
    eitherError(1, CODE.flowControlError),
  ),
  sends("the window of the connection may be 2^31-1", "6.9.1", [windowUpdate(0, HIGHEST_WINDOW - 65_535), ask(1)], answered()),
  sends("the window of a stream may be 2^31-1", "6.9.1", [ask(1, "/early-hints"), windowUpdate(1, HIGHEST_WINDOW - 65_535)], answered()),
  sends(
    "a setting that lifts the window of a stream above 2^31-1 is an error of the connection",
    "6.9.2",
    [ask(1, "/hold"), windowUpdate(1, HIGHEST_WINDOW - 65_535), settings([SETTING.initialWindowSize, 65_536])],
    FLOW,
  ),
];

const SENDING: readonly ConformanceCase[] = [
  {
    section: "RFC 9113 6.9.1",
    title: "a window of one byte is filled byte for byte",
    options: { settings: [[SETTING.initialWindowSize, 1]] },
    send: async (client) => {
      client.send(ask(1, "/bytes/5"));
      for (let got = 1; got <= 5; got++) {
        await client.until(() => client.on(1).body.length === got, `byte ${got}`);
        await client.barrier();
        assert.equal(client.on(1).body.length, got);
        if (got < 5) client.grant(1, 1);
      }
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 6.9.1",
    title: "a closed window holds back the body, not the head",
    options: { settings: [[SETTING.initialWindowSize, 0]] },
    send: async (client) => {
      client.send(ask(1, "/bytes/100"));
      await client.until(() => client.status(1) === 200, "the head");
      await client.barrier();
      assert.deepEqual([client.on(1).body.length, client.on(1).hasEnded], [0, false]);
      client.grant(1, 100);
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 6.9.1",
    title: "a response without a body needs no window",
    options: { settings: [[SETTING.initialWindowSize, 0]] },
    send: (client) => void client.send(ask(1, "/bytes/0")),
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 6.9.1",
    title: "the window of the connection holds for all streams together",
    options: { settings: [[SETTING.initialWindowSize, 1_000_000]] },
    send: async (client) => {
      client.send(ask(1, "/bytes/50000"), ask(3, "/bytes/50000"));
      const got = (): number => client.on(1).body.length + client.on(3).body.length;
      await client.until(() => got() === 65_535, "as much as the window allows");
      await client.barrier();
      assert.equal(got(), 65_535);
      client.grant(0, 34_465);
      await client.untilOver(3);
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 6.9.1",
    title: "a stream whose window is closed does not hold up the others",
    options: { settings: [[SETTING.initialWindowSize, 10]] },
    send: async (client) => {
      client.send(ask(1, "/bytes/1000"));
      await client.until(() => client.on(1).body.length === 10, "ten bytes");
      client.send(ask(3, "/bytes/1000")).grant(3, 1000);
    },
    expected: answered(3),
    isOurs: true,
  },
  {
    section: "RFC 9113 6.9.2",
    title: "a setting opens the window of a stream that waits",
    options: { settings: [[SETTING.initialWindowSize, 0]] },
    send: async (client) => {
      client.send(ask(1, "/bytes/100"));
      await client.until(() => client.status(1) === 200, "the head");
      client.configure([SETTING.initialWindowSize, 100]);
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 6.9.2",
    title: "a setting may make a window negative, and no more is sent until it is positive again",
    options: { settings: [[SETTING.initialWindowSize, 100]] },
    send: async (client) => {
      client.send(ask(1, "/bytes/500"));
      await client.until(() => client.on(1).body.length === 100, "a hundred bytes");
      await client.configure([SETTING.initialWindowSize, 30]).untilConfigured(); // -70
      client.grant(1, 70); // 0
      await client.barrier();
      assert.equal(client.on(1).body.length, 100);
      client.grant(1, 5);
      await client.until(() => client.on(1).body.length === 105, "five more");
      client.grant(1, 1000);
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 6.9.2",
    title: "a setting leaves the window of the connection as it is",
    options: { settings: [[SETTING.initialWindowSize, HIGHEST_WINDOW]] },
    send: async (client) => {
      client.send(ask(1, "/bytes/100000"));
      await client.until(() => client.on(1).body.length === 65_535, "as much as the window allows");
      await client.barrier();
      assert.equal(client.on(1).body.length, 65_535);
      client.grant(0, 100_000);
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 5.2.1",
    title: "a stream that is reset gives back what its machine was to send, and the connection goes on",
    send: async (client) => {
      client.send(ask(1, "/bytes/1000000"));
      await client.until(() => client.on(1).body.length === 65_535, "as much as the window allows");
      client.send(rstStream(1)).grant(0, 65_535).send(ask(3, "/bytes/1000"));
    },
    expected: answered(3),
    isOurs: true,
  },
];

/** The most that may be sent on a new stream before any of it is used. */
function window(client: FrameClient): number {
  return Math.min(client.settings.get(SETTING.initialWindowSize) ?? 65_535, client.granted(0));
}

/** DATA of so many bytes, in frames that all servers take. */
function body(stream: number, length: number): Buffer {
  const frames: Buffer[] = [];
  for (let left = length; left > 0; left -= 16_384) frames.push(data(stream, Buffer.alloc(Math.min(left, 16_384)), 0));
  return Buffer.concat(frames);
}

/** On stream 3 a request that waits for a place, since stream 1 has the only one. */
const WAITING = Buffer.concat([
  headers(1, block(request({ ":authority": FULL_HOST }))),
  headers(3, block(request({ ":authority": FULL_HOST, ":method": "POST" })), OPEN),
]);

const RECEIVING: readonly ConformanceCase[] = [
  {
    section: "RFC 9113 5.2.2",
    title: "a body much longer than the windows goes through as they are opened",
    send: async (client) => {
      const length = window(client) * 3;
      client.send(headers(1, block(request({ ":method": "POST" })), OPEN));
      for (let sent = 0; sent < length;) {
        const room = (): number => Math.min(client.granted(1), client.granted(0)) - sent;
        await client.until(() => room() > 0, "WINDOW_UPDATE");
        const part = Math.min(room(), 16_384, length - sent);
        client.send(data(1, Buffer.alloc(part), 0));
        sent += part;
      }
      client.send(data(1, ""));
      assert.match((await client.untilOver(1)).body.toString(), new RegExp(` ${length}$`));
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 6.9.1",
    title: "more than the window while nobody takes the body is an error",
    send: (client) => void client.send(WAITING, body(3, window(client) + 1)),
    expected: eitherError(3, CODE.flowControlError),
    isOurs: true,
  },
  {
    section: "RFC 9113 6.9.1",
    title: "more than the window of the connection, each stream within its own, is an error of the connection",
    send: (client) => {
      const post = block(request({ ":authority": FULL_HOST, ":method": "POST" }));
      client.send(headers(1, block(request({ ":authority": FULL_HOST }))));
      for (let stream = 3, left = client.granted(0) + 1; left > 0; stream += 2) {
        const part = Math.min(left, client.granted(stream));
        client.send(headers(stream, post, OPEN), body(stream, part));
        left -= part;
      }
    },
    expected: FLOW,
    isOurs: true,
  },
  {
    section: "RFC 9113 6.9.1",
    title: "as much as the window while nobody takes the body is held",
    send: async (client) => {
      client.send(WAITING, body(3, window(client)));
      await client.barrier();
      client.send(rstStream(1), rstStream(3));
    },
    expected: GOES_ON,
    isOurs: true,
  },
];

export const SETTINGS_AND_WINDOWS: Chapter = {
  title: "RFC 9113 sections 6.5 and 6.9, settings and windows:",
  cases: [...SETTINGS, ...WINDOW_UPDATES, ...SENDING, ...RECEIVING],
};
