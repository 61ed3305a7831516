// Floods over HTTP/2: the connection that they come on is closed with ENHANCE_YOUR_CALM, and no other is harmed.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setImmediate as immediate } from "node:timers/promises";
import { HOST, rootOf, startEdge } from "../support/edge.ts";
import { FrameClient } from "../support/frame-client.ts";
import {
  block,
  bytes,
  CODE,
  continuation,
  data,
  FLAG,
  frame,
  headers,
  literal,
  ping,
  priority,
  rstStream,
  settings,
  TYPE,
  windowUpdate,
} from "../support/frames.ts";
import { Http2Client } from "../support/http2-client.ts";
import { response } from "../support/scripted-backend.ts";

const edge = await startEdge();
await edge.backend.answers((request) => (request.target === "/" ? response("fine") : null));
const bystander = await Http2Client.connect(edge.test);
after(async () => {
  bystander[Symbol.dispose]();
  await edge[Symbol.asyncDispose]();
});

const GET = block([
  [":method", "GET"],
  [":scheme", "https"],
  [":path", "/"],
  [":authority", HOST],
]);
const SILENT = block([
  [":method", "GET"],
  [":scheme", "https"],
  [":path", "/silent"],
  [":authority", HOST],
]);
const POST = block([
  [":method", "POST"],
  [":scheme", "https"],
  [":path", "/silent"],
  [":authority", HOST],
]);

function open(): Promise<FrameClient> {
  return FrameClient.open(edge.test.httpsPort, { ca: rootOf(edge.test), servername: HOST });
}

/** More than anybody has use for, in chunks that a client might send. */
const MANY = 3000;
/** How long the edge holds who floods it. */
const LONGER_THAN_HOLDING_MS = 1500;

const FLOODS: readonly (readonly [title: string, before: Buffer, make: (index: number) => Buffer])[] = [
  ["requests that are reset at once", bytes(), (i) => bytes(headers(2 * i + 1, SILENT), rstStream(2 * i + 1))],
  [
    "requests that are reset at once, with one between them that is answered",
    bytes(),
    (i) => bytes(headers(4 * i + 1, SILENT), rstStream(4 * i + 1), headers(4 * i + 3, GET)),
  ],
  ["requests that are malformed", bytes(), (i) => headers(2 * i + 1, block([[":method", "GET"]]))],
  ["empty header blocks", bytes(), (i) => headers(2 * i + 1, "")],
  ["streams that a window of nothing resets", bytes(), (i) => bytes(headers(2 * i + 1, SILENT), windowUpdate(2 * i + 1, 0))],
  ["requests beyond the streams there may be", bytes(), (i) => headers(2 * i + 1, POST, FLAG.endHeaders)],
  ["PING", bytes(), () => ping()],
  ["answers to PING", bytes(), () => ping("12345678", FLAG.ack)],
  ["SETTINGS", bytes(), () => settings([3, 100])],
  ["acknowledgements of SETTINGS", bytes(), () => frame(TYPE.settings, FLAG.ack, 0)],
  ["empty DATA", headers(1, POST, FLAG.endHeaders), () => data(1, "", 0)],
  ["DATA of padding alone", headers(1, POST, FLAG.endHeaders), () => data(1, [3, 0, 0, 0], FLAG.padded)],
  ["WINDOW_UPDATE of the connection", bytes(), () => windowUpdate(0, 1)],
  ["WINDOW_UPDATE of a stream", headers(1, SILENT), () => windowUpdate(1, 1)],
  ["PRIORITY", bytes(), (i) => priority(2 * i + 1)],
  ["frames of unknown types", bytes(), () => frame(0xbe, 0, 0, "x")],
  ["RST_STREAM of one stream", bytes(headers(1, SILENT), rstStream(1)), () => rstStream(1)],
  ["empty CONTINUATION", headers(1, SILENT, 0), () => continuation(1, "", 0)],
  ["CONTINUATION that goes on and on", headers(1, SILENT, 0), (i) => continuation(1, literal(`x-${i}`, "v".repeat(8000)), 0)],
];

test("a client that is closed for a flood is held, unread, before it can come back", async () => {
  using client = await open();
  for (let i = 0; i < MANY && client.goaway === null; i += 50) {
    client.send(...Array.from({ length: 50 }, () => ping()));
    await immediate();
  }
  await client.until(() => client.goaway !== null, "the GOAWAY");
  await edge.test.endsAfter(1000, client.untilEnd());
});

describe("a flood of", () => {
  for (const [title, before, make] of FLOODS) {
    test(title, async () => {
      using client = await open();
      client.send(before);
      for (let i = 0; i < MANY && client.goaway === null; i += 50) {
        client.send(...Array.from({ length: 50 }, (_, j) => make(i + j)));
        await immediate();
      }
      await client.until(() => client.goaway !== null, "the GOAWAY");
      assert.equal(client.goaway?.code, CODE.enhanceYourCalm, client.describe());
      await edge.test.passTime(LONGER_THAN_HOLDING_MS);
      await client.untilEnd();
      assert.equal((await bystander.get("/")).body, "fine");
    });
  }
});

test("after all of that, no place is taken on the machine", () => edge.untilReleased());

test("a header list that is too large is answered with 431, and the connection goes on", async () => {
  using client = await open();
  const large = Array.from({ length: 5 }, (_, i) => [`x-large-${i}`, "v".repeat(8000)] as const);
  const head = bytes(GET, block(large));
  client.send(headers(1, head.subarray(0, 16_000), FLAG.endStream));
  client.send(continuation(1, head.subarray(16_000, 32_000), 0), continuation(1, head.subarray(32_000)));
  await client.untilOver(1);
  assert.equal(client.status(1), 431);
  client.send(headers(3, GET));
  await client.untilOver(3);
  assert.equal(client.status(3), 200);
});

test("more fields than there may be are answered with 431", async () => {
  using client = await open();
  const many = Array.from({ length: 200 }, (_, i) => [`x-${i}`, "v"] as const);
  client.send(headers(1, bytes(GET, block(many))));
  await client.untilOver(1);
  assert.equal(client.status(1), 431);
});

test("a page that is left behind is no flood: a hundred requests cancelled at once", async () => {
  using client = await open();
  const ids = Array.from({ length: 100 }, (_, i) => 2 * i + 1);
  client.send(...ids.map((id) => headers(id, SILENT)));
  client.send(...ids.map((id) => rstStream(id)));
  client.send(headers(1001, GET));
  await client.untilOver(1001);
  assert.equal(client.status(1001), 200);
  await edge.untilReleased();
});

test("who downloads much may send many WINDOW_UPDATE", async () => {
  await edge.backend.answers((request) => (request.target === "/" ? response("x".repeat(4_000_000)) : null));
  using client = await open();
  client.grant(0, 4_000_000);
  client.send(headers(1, GET));
  client.grant(1, 1);
  for (let got = 0; got < 4_000_000;) {
    await client.until(() => client.on(1).body.length > got || client.on(1).hasEnded, "more of the body");
    const more = client.on(1).body.length - got;
    got += more;
    for (let i = 0; i < more / 2000; i++) client.grant(1, 2000);
  }
  const { body } = await client.untilOver(1);
  assert.equal(body.length, 4_000_000);
  assert.deepEqual(client.violations, []);
});
