// What costs a client nothing and the server something, sent by the thousand: the connection is closed with ENHANCE_YOUR_CALM and others do not
// notice. What only looks like it goes on. RFC 9113 section 10.5.

import assert from "node:assert/strict";
import { after } from "node:test";
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
  padded,
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
import { answered, ask, connectionErrorOrClose, GOES_ON, judge, request, Subject, type ConformanceCase } from "./suite.ts";

const OPEN = FLAG.endHeaders;
const MANY = 20_000;
const BLOCK = block(request());
const TOO_SHORT = block(request({ ":method": "POST" }, ["content-length", "0"]));
const MALFORMED = block(request({}, ["Bad", "name"]));
/** Who goes on sending may have its GOAWAY destroyed by a reset of TCP; the end is what counts. */
const CALM = connectionErrorOrClose(CODE.enhanceYourCalm);

/** A flood, in pieces of a thousand, each sent when the network has taken the one before; `first` begins it. */
function flood(title: string, each: (nth: number) => Buffer, first: readonly Buffer[] = [], count = MANY): ConformanceCase {
  return {
    section: "RFC 9113 10.5",
    title: `a flood of ${title} ends the connection`,
    send: async (client) => {
      client.awaitAcknowledgements(title.includes("SETTINGS") ? count : 0).send(...first);
      await sendMany(client, each, count);
    },
    expected: CALM,
  };
}

/** What a server may as well ignore: it goes on, or closes the connection for this reason. */
function harmless(title: string, each: (nth: number) => Buffer, first: readonly Buffer[] = []): ConformanceCase {
  return {
    section: "RFC 9113 10.5",
    title: `a flood of ${title} is ignored or ends the connection`,
    send: async (client) => {
      client.send(...first);
      await sendMany(client, each, MANY);
      const isCalmed = await client.barrier().then(
        () => false,
        () => true,
      );
      if (!isCalmed) client.send(ping("the end"));
      await client.untilEnd();
    },
    expected: connectionErrorOrClose(CODE.enhanceYourCalm, CODE.frameSizeError),
  };
}

async function sendMany(client: FrameClient, each: (nth: number) => Buffer, count: number): Promise<void> {
  for (let nth = 0; nth < count && !client.hasEnded;) {
    const piece: Buffer[] = [];
    for (const until = Math.min(count, nth + 1000); nth < until; nth++) piece.push(each(nth));
    await client.send(...piece).taken();
  }
}

const stream = (nth: number): number => 1 + nth * 2;

const FLOODS: readonly ConformanceCase[] = [
  flood("requests that are reset at once", (nth) => bytes(ask(stream(nth), "/hold"), rstStream(stream(nth)))),
  flood("uploads that are reset at once", (nth) => bytes(ask(stream(nth), "/hold", OPEN), rstStream(stream(nth)))),
  flood("requests that are malformed", (nth) => headers(stream(nth), MALFORMED)),
  flood("requests that the client makes the server reset", (nth) => bytes(ask(stream(nth), "/hold", OPEN), windowUpdate(stream(nth), 0))),
  flood("requests whose windows overflow", (nth) => bytes(ask(stream(nth), "/hold", OPEN), windowUpdate(stream(nth), 0x7fff_ffff))),
  flood("requests whose length is wrong", (nth) => bytes(headers(stream(nth), TOO_SHORT, OPEN), data(stream(nth), "x"))),
  flood("empty CONTINUATION", () => continuation(1, "", 0), [headers(1, BLOCK, FLAG.endStream)]),
  flood("CONTINUATION of one byte", () => continuation(1, [0x82], 0), [headers(1, "", FLAG.endStream)]),
  flood("large CONTINUATION", () => continuation(1, literal("x-a", "a".repeat(16_000)), 0), [headers(1, BLOCK, FLAG.endStream)], 500),
  flood("sizes of the table", () => continuation(1, Buffer.alloc(1000, 0x20), 0), [headers(1, "", FLAG.endStream)], 5000),
  flood("PING", () => ping()),
  flood("empty SETTINGS", () => settings()),
  flood("SETTINGS", (nth) => settings([SETTING.initialWindowSize, nth], [SETTING.headerTableSize, nth])),
  flood("empty DATA", () => data(1, "", 0), [ask(1, "/hold", OPEN)]),
  flood("DATA that is nothing but padding", () => data(1, padded("", 0), FLAG.padded), [ask(1, "/hold", OPEN)]),
  harmless("PRIORITY", (nth) => priority(stream(nth))),
  harmless("acknowledgements of PING", () => ping("nothing!", FLAG.ack)),
  harmless("WINDOW_UPDATE of one byte", () => windowUpdate(0, 1)),
  harmless("frames of an unknown type", () => frame(0xfa, 0, 0, "x")),
  harmless("RST_STREAM of a stream that is over", () => rstStream(1), [ask(1, "/hold"), rstStream(1)]),
  harmless("WINDOW_UPDATE of a stream that is over", () => windowUpdate(1, 1), [ask(1, "/hold"), rstStream(1)]),
  {
    section: "RFC 9113 10.5",
    title: "a flood of PING from a client that reads no answers ends the connection",
    send: async (client) => {
      client.pause();
      // Not so many that the network could not take them all while nobody reads.
      for (let nth = 0; nth < 20; nth++) client.send(Buffer.concat(Array.from({ length: 1000 }, () => ping())));
      client.resume();
      await client.untilEnd();
    },
    expected: CALM,
  },
];

const LARGE: readonly ConformanceCase[] = [
  {
    section: "RFC 9113 10.5.1",
    title: "a head larger than the server allows is refused in words",
    send: (client) => {
      const most = client.settings.get(SETTING.maxHeaderListSize) ?? 32_768;
      const parts = Array.from({ length: Math.ceil(most / 8000) + 1 }, (_, i) => continuation(1, literal(`x-${i}`, "a".repeat(8000)), 0));
      client.send(headers(1, BLOCK, FLAG.endStream), ...parts, continuation(1, ""));
    },
    expected: answered(1, 431),
    isKeptBack: true,
  },
  {
    section: "RFC 9113 10.5.1",
    title: "more fields than the server allows are refused in words",
    send: (client) => void client.send(headers(1, bytes(BLOCK, ...Array.from({ length: 300 }, () => literal("x", "1"))))),
    expected: answered(1, 431),
    isKeptBack: true,
    isOurs: true,
  },
  {
    section: "RFC 7541 7.3",
    title: "a large field that is used a thousand times is refused, and no memory is spent on it",
    send: async (client) => {
      const parts = Array.from({ length: 4 }, () => continuation(1, Buffer.concat(Array.from({ length: 4000 }, () => indexed(62))), 0));
      client.send(headers(1, bytes(BLOCK, remembered("x-a", "a".repeat(4000))), FLAG.endStream), ...parts, continuation(1, ""));
      await client.until(() => client.goaway !== null || client.status(1) === 431, "the refusal");
      if (client.goaway === null) client.send(ping("the end"));
      await client.untilEnd();
    },
    expected: connectionErrorOrClose(CODE.enhanceYourCalm, CODE.compressionError, CODE.frameSizeError),
    isKeptBack: true,
  },
];

const NO_FLOODS: readonly ConformanceCase[] = [
  {
    section: "RFC 9113 5.4",
    title: "a client that leaves a page of a hundred requests goes on",
    send: async (client) => {
      for (let nth = 0; nth < 100; nth++) client.send(ask(stream(nth), "/hold"));
      for (let nth = 0; nth < 100; nth++) client.send(rstStream(stream(nth)));
      await client.barrier();
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 6.1",
    title: "a body that comes byte for byte is a body",
    send: async (client) => {
      client.send(ask(1, "/", OPEN));
      await sendMany(client, () => data(1, "x", 0), 3000);
      client.send(data(1, ""));
    },
    expected: answered(),
  },
  {
    section: "RFC 9113 6.7",
    title: "a client that asks with PING before every request goes on",
    send: async (client) => {
      for (let nth = 0; nth < 100; nth++) {
        await client.barrier();
        client.send(headers(stream(nth), block(request({ ":method": "HEAD" }))));
        await client.untilOver(stream(nth));
      }
      assert.equal(client.ofType(TYPE.goaway).length, 0);
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 5.1.2",
    title: "a thousand requests, each after the other, are no flood",
    send: async (client) => {
      for (let nth = 0; nth < 1000; nth += 50) {
        const streams = Array.from({ length: 50 }, (_, i) => stream(nth + i));
        client.send(...streams.map((id) => headers(id, block(request({ ":method": "HEAD" })))));
        for (const id of streams) assert.equal((await client.untilOver(id)).hasEnded, true);
      }
    },
    expected: GOES_ON,
  },
];

const subject = await Subject.start();
after(() => subject[Symbol.asyncDispose]());
judge(subject, { title: "RFC 9113 section 10.5, floods:", cases: [...FLOODS, ...LARGE, ...NO_FLOODS] });
