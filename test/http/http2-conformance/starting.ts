// How an HTTP/2 connection begins: the protocol is agreed upon in the TLS handshake, then both sides send their preface. RFC 9113 section 3.

import assert from "node:assert/strict";
import { CODE, data, FLAG, frame, headers, ping, PREFACE, priority, SETTING, settings, TYPE, windowUpdate } from "../../support/frames.ts";
import { FrameClient } from "../../support/frame-client.ts";
import { answered, ask, connectionErrorOrClose, GOES_ON, type Chapter, type ConformanceCase } from "./suite.ts";

const NOT_A_PREFACE: Readonly<Record<string, string>> = {
  "a request of HTTP/1.1": "GET / HTTP/1.1\r\nhost: hello.localhost\r\n\r\n",
  "a preface with a wrong first byte": `p${PREFACE.slice(1)}`,
  "a preface with a wrong last byte": `${PREFACE.slice(0, -1)}\r`,
  "a preface of HTTP/2.1": PREFACE.replace("2.0", "2.1"),
  "a preface in lower case": PREFACE.toLowerCase(),
  "a preface with bare line feeds": `${PREFACE.replaceAll("\r", "")}PADDING`,
  "an empty line before the preface": `\r\n${PREFACE}`,
  zeros: "\0".repeat(64),
};

/** A connection error, where a GOAWAY may be omitted, since the peer does not seem to speak HTTP/2. */
const NOT_HTTP2 = connectionErrorOrClose(CODE.protocolError);

const FIRST_FRAMES: Readonly<Record<string, Buffer>> = {
  "a request": ask(1),
  PING: ping(),
  WINDOW_UPDATE: windowUpdate(0, 1),
  PRIORITY: priority(1),
  DATA: data(1, "x"),
  "a frame of an unknown type": frame(0xfa, 0, 0, "x"),
  "an acknowledgement of SETTINGS": frame(TYPE.settings, FLAG.ack, 0),
};

const SECTION = "RFC 9113 3.4";

const CASES: readonly ConformanceCase[] = [
  ...Object.entries(NOT_A_PREFACE).map(([title, text]) => ({
    section: SECTION,
    title: `${title} ends the connection`,
    isSilent: true,
    send: (client: FrameClient) => void client.send(text),
    expected: NOT_HTTP2,
    isKeptBack: true,
  })),
  ...Object.entries(FIRST_FRAMES).map(([title, first]) => ({
    section: SECTION,
    title: `${title} in the place of the first SETTINGS ends the connection`,
    isSilent: true,
    send: (client: FrameClient) => void client.send(PREFACE, first),
    expected: NOT_HTTP2,
    isKeptBack: true,
  })),
  {
    section: SECTION,
    title: "a second preface is a frame that is too large",
    send: (client) => void client.send(PREFACE),
    expected: connectionErrorOrClose(CODE.frameSizeError, CODE.protocolError),
  },
  {
    section: SECTION,
    title: "the server's first frame is SETTINGS, and it does not wait for the client's",
    isSilent: true,
    send: async (client) => {
      client.send(PREFACE);
      await client.until(() => client.frames.length > 0, "the server's SETTINGS");
      assert.equal(client.frames[0]!.type, TYPE.settings);
      assert.equal(client.frames[0]!.flags & FLAG.ack, 0);
      client.configure();
      await client.untilConfigured();
    },
    expected: GOES_ON,
  },
  {
    section: SECTION,
    title: "the first SETTINGS may be empty",
    isSilent: true,
    send: async (client) => await client.send(PREFACE).configure().untilConfigured(),
    expected: GOES_ON,
  },
  {
    section: SECTION,
    title: "a request may come with the preface, before the server's SETTINGS are known",
    isSilent: true,
    send: (client) => void client.send(PREFACE).configure().send(ask(1)),
    expected: answered(),
  },
  {
    section: SECTION,
    title: "the preface, SETTINGS and a request may come in one piece",
    isSilent: true,
    send: (client) => void client.awaitAcknowledgements(1).send(PREFACE, settings([SETTING.enablePush, 0]), ask(1)),
    expected: answered(),
  },
  {
    section: SECTION,
    title: "the preface and all after it may come byte for byte",
    isSilent: true,
    send: async (client) => {
      for (const byte of Buffer.from(PREFACE, "latin1")) client.send([byte]);
      client.configure();
      for (const byte of headers(1, ask(1).subarray(9))) client.send([byte]);
      await client.untilConfigured();
    },
    expected: answered(),
  },
  {
    section: "RFC 9113 3.2",
    title: "h2 is agreed upon where the client offers it before http/1.1",
    isSilent: true,
    options: { ALPNProtocols: ["h2", "http/1.1"] },
    send: async (client) => {
      assert.equal(client.alpn, "h2");
      await client.send(PREFACE).configure().untilConfigured();
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 9113 3.2",
    title: "http/1.1 is agreed upon where the client offers nothing else, and HTTP/2 is not spoken then",
    isSilent: true,
    options: { ALPNProtocols: ["http/1.1"] },
    send: async (client) => {
      assert.equal(client.alpn, "http/1.1");
      client.send(PREFACE);
      await client.untilEnd();
      client.violations.length = 0; // Whatever it answers, it is no frames.
    },
    expected: connectionErrorOrClose(),
  },
  ...(["TLSv1.2", "TLSv1.3"] as const).map((version) => ({
    section: "RFC 9113 9.2",
    title: `HTTP/2 runs over ${version}`,
    options: { minVersion: version, maxVersion: version },
    send: (client: FrameClient) => void client.send(ask(1)),
    expected: answered(),
  })),
  {
    section: "RFC 9113 3.1",
    title: "h2c is no protocol of TLS, and never agreed upon",
    isSilent: true,
    options: { ALPNProtocols: ["h2c", "h2"] },
    send: async (client, { port, tls }) => {
      assert.equal(client.alpn, "h2");
      const alone = await FrameClient.connect(port, { ...tls, ALPNProtocols: ["h2c"] }).catch(() => null);
      if (alone !== null) assert.equal(alone.alpn, false);
      alone?.[Symbol.dispose]();
      await client.send(PREFACE).configure().untilConfigured();
    },
    expected: GOES_ON,
  },
];

export const STARTING: Chapter = { title: "RFC 9113 section 3, starting HTTP/2:", cases: CASES };
