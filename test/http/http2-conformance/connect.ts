// CONNECT, which an edge does not do, and the extended CONNECT of RFC 8441, by which a WebSocket runs over one stream. RFC 9113 section 8.5.

import assert from "node:assert/strict";
import { HOST } from "../../support/edge.ts";
import { block, CODE, data, FLAG, headers, rstStream, SETTING, type Field } from "../../support/frames.ts";
import type { FrameClient } from "../../support/frame-client.ts";
import { answered, GOES_ON, malformed, request, type Chapter, type ConformanceCase } from "./suite.ts";

const OPEN = FLAG.endHeaders;
/** A request for a WebSocket. */
const socket = (changes: Readonly<Record<string, string | null>> = {}, ...more: readonly Field[]): Field[] =>
  request({ ":method": "CONNECT", ":protocol": "websocket", ":path": "/socket", ...changes }, ["sec-websocket-version", "13"], ...more);

function refused(title: string, section: string, fields: readonly Field[]): ConformanceCase {
  return { title, section, send: (client) => void client.send(headers(1, block(fields), OPEN)), expected: malformed(), isKeptBack: true };
}

const CONNECT: readonly ConformanceCase[] = [
  refused("CONNECT is refused", "RFC 9113 8.5", [
    [":method", "CONNECT"],
    [":authority", `${HOST}:443`],
  ]),
  refused("CONNECT with a :path is malformed", "RFC 9113 8.5", request({ ":method": "CONNECT", ":scheme": null })),
  refused("CONNECT with a :scheme is malformed", "RFC 9113 8.5", request({ ":method": "CONNECT", ":path": null })),
  refused("CONNECT with both is malformed", "RFC 9113 8.5", request({ ":method": "CONNECT" })),
  refused("CONNECT without :authority is malformed", "RFC 9113 8.5", [[":method", "CONNECT"]]),
  refused("an extended CONNECT without :path is malformed", "RFC 8441 4", socket({ ":path": null })),
  refused("an extended CONNECT without :scheme is malformed", "RFC 8441 4", socket({ ":scheme": null })),
  refused("an extended CONNECT without :authority is malformed", "RFC 8441 4", socket({ ":authority": null })),
  refused("an extended CONNECT for a protocol that nobody knows is refused", "RFC 8441 4", socket({ ":protocol": "telepathy" })),
  refused("an extended CONNECT for no protocol is malformed", "RFC 8441 4", socket({ ":protocol": "" })),
  refused("an extended CONNECT for two protocols is malformed", "RFC 9113 8.3", [[":protocol", "websocket"], ...socket()]),
  refused("an extended CONNECT with Upgrade is malformed", "RFC 8441 5", socket({}, ["upgrade", "websocket"])),
  refused("an extended CONNECT with Connection is malformed", "RFC 8441 5", socket({}, ["connection", "upgrade"])),
  refused(":protocol behind a field is malformed", "RFC 9113 8.3", [...socket({ ":protocol": null }), [":protocol", "websocket"]]),
];

/** The WebSocket on stream 1 stands. */
async function opened(client: FrameClient): Promise<FrameClient> {
  client.send(headers(1, block(socket()), OPEN));
  await client.until(() => client.status(1) !== 0, "the answer");
  assert.equal(client.status(1), 200, client.describe());
  return client;
}

const SOCKETS: readonly ConformanceCase[] = [
  {
    section: "RFC 8441 3",
    title: "the server says that it takes an extended CONNECT",
    send: (client) => assert.equal(client.settings.get(SETTING.enableConnectProtocol), 1),
    expected: GOES_ON,
  },
  {
    section: "RFC 8441 5",
    title: "a WebSocket runs over a stream, in both directions, and each side ends by itself",
    send: async (client) => {
      await opened(client);
      client.send(data(1, "hello", 0));
      await client.until(() => client.on(1).body.toString() === "hello", "the echo");
      assert.equal(client.on(1).hasEnded, false);
      client.send(data(1, ", world"));
      assert.equal((await client.untilOver(1)).body.toString(), "hello, world");
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 8441 5.1",
    title: "the answer has no fields that belong to HTTP/1.1",
    send: async (client) => {
      await opened(client);
      const names = client.on(1).fields!.map(([name]) => name);
      for (const name of ["upgrade", "connection", "sec-websocket-accept"]) assert.equal(names.includes(name), false, name);
      client.send(data(1, ""));
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 8441 5",
    title: "DATA sent before the answer gets through behind it",
    send: async (client) => {
      client.send(headers(1, block(socket()), OPEN), data(1, "early", 0));
      await client.until(() => client.on(1).body.toString() === "early", "the echo");
      client.send(data(1, ""));
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 5.2",
    title: "flow control holds for a WebSocket in both directions",
    send: async (client) => {
      await opened(client);
      let sent = 0;
      while (sent < 400_000) {
        const room = (): number => Math.min(client.granted(1), client.granted(0)) - sent;
        await client.until(() => room() > 0, "WINDOW_UPDATE");
        const part = Math.min(room(), 16_384);
        client
          .send(data(1, Buffer.alloc(part, "x"), 0))
          .grant(0, part)
          .grant(1, part);
        sent += part;
      }
      await client.until(() => client.on(1).body.length === sent, "all of it back");
      client.send(data(1, ""));
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 8441 5",
    title: "RST_STREAM ends the machine's connection",
    send: async (client, { edge }) => {
      await opened(client);
      client.send(rstStream(1, CODE.cancel));
      await edge!.untilReleased();
    },
    expected: GOES_ON,
    isOurs: true,
  },
  {
    section: "RFC 8441 5",
    title: "a machine that answers 200 instead of opening a WebSocket is not taken to have opened one",
    send: async (client) => {
      client.send(headers(1, block(socket({ ":path": "/bytes/10" })), OPEN));
      await client.until(() => client.status(1) !== 0, "the answer");
      assert.ok(client.status(1) < 200 || client.status(1) >= 300, client.describe());
    },
    expected: GOES_ON,
    isOurs: true,
  },
];

export const CONNECTS: Chapter = { title: "RFC 9113 section 8.5 and RFC 8441, CONNECT:", cases: [...CONNECT, ...SOCKETS] };
