// What an HTTP/2 connection waits for, how long, and how it ends: heads and bodies that do not come on, clients that do not read, rest, and draining.

import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, describe, test } from "node:test";
import { ask } from "../support/apps.ts";
import { startBackend, staticApp } from "../support/backend.ts";
import { HOST, rootOf, startEdge, type Edge } from "../support/edge.ts";
import { eventually, untilStill } from "../support/eventually.ts";
import { FrameClient } from "../support/frame-client.ts";
import {
  block,
  bytes,
  CODE,
  data,
  type Field,
  FLAG,
  goaway,
  headers,
  HIGHEST_STREAM,
  PREFACE,
  SETTING,
  settings,
  TYPE,
  windowUpdate,
} from "../support/frames.ts";
import { Http2Client, responseOf } from "../support/http2-client.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";
import { digestOf, Torrent } from "../support/torrent.ts";

/** Nobody waits for these: the tests have the time pass (TestNode.passTime). */
const HEAD_MS = 50_000;
const IDLE_MS = 60_000;

const edge = await startEdge({
  tables: `[timeouts]\nrequest_head = "${HEAD_MS}ms"\nkeep_alive_idle = "${IDLE_MS}ms"\nclient_idle = "${IDLE_MS}ms"`,
});
after(() => edge[Symbol.asyncDispose]());

/** More than the kernel and the edge keep for one connection. */
const LARGE_BYTES = 16 * 1024 * 1024;

function open(options: Parameters<typeof FrameClient.open>[1] = {}, to: Edge = edge): Promise<FrameClient> {
  return FrameClient.open(to.test.httpsPort, { ca: rootOf(to.test), servername: HOST, ...options });
}

function request(method: string, path = "/", more: readonly Field[] = []): Buffer {
  return block([[":method", method], [":scheme", "https"], [":path", path], [":authority", HOST], ...more]);
}

describe("a connection is closed", () => {
  for (const [title, said, code] of [
    ["when it says nothing", "", CODE.noError],
    ["when the preface does not come to its end", "PRI * HTTP/2.0\r\n", CODE.enhanceYourCalm],
  ] as const) {
    test(title, async () => {
      const tls = { ca: rootOf(edge.test), servername: HOST, ALPNProtocols: ["h2"] };
      using client = await RawClient.connectTls(edge.test.httpsPort, tls);
      const received = await edge.test.endsAfter(HEAD_MS, client.send(said).untilEnd());
      assert.equal(received.slice(-17), goaway(0, code).toString("latin1"));
    });
  }

  test("when a header block does not come to its end, while another request is under way", async () => {
    await edge.backend.answers(() => null);
    using client = await open();
    client.send(headers(1, request("GET")), headers(3, request("GET"), 0));
    await edge.backend.request();
    await edge.test.endsAfter(HEAD_MS, client.untilEnd());
    assert.equal(client.goaway?.code, CODE.enhanceYourCalm);
    await edge.untilReleased();
  });

  test("when a frame does not come to its end", async () => {
    using client = await open();
    client.send(headers(1, request("GET")).subarray(0, 20));
    await edge.test.endsAfter(HEAD_MS, client.untilEnd());
    assert.equal(client.goaway?.code, CODE.enhanceYourCalm);
  });

  test("when it rests after a response", async () => {
    await edge.backend.answers(() => response("fine"));
    using client = await open();
    client.send(headers(1, request("GET")));
    await client.untilOver(1);
    await edge.test.endsAfter(IDLE_MS, client.untilEnd());
    assert.deepEqual(client.goaway, { lastStream: 1, code: CODE.noError });
  });
});

test("a body that does not come on is answered with 408, and the connection goes on", async () => {
  await edge.backend.answers((message) => (message.method === "GET" ? response("fine") : null));
  using client = await open();
  client.send(headers(1, request("POST"), FLAG.endHeaders), data(1, "begin", 0));
  await (await edge.backend.connection()).until((text) => text.includes("begin"));
  const { reset } = await edge.test.endsAfter(IDLE_MS, client.untilOver(1));
  assert.equal(client.status(1), 408);
  assert.ok(reset === null || reset === CODE.noError);
  client.send(headers(3, request("GET")));
  await client.untilOver(3);
  assert.equal(client.status(3), 200);
  await edge.untilReleased();
});

test("a client that opens no window for a response loses its stream, and not the connection", async () => {
  await edge.backend.answers((message) => response(message.target === "/small" ? "" : "x".repeat(LARGE_BYTES)));
  using client = await open({ settings: [[SETTING.initialWindowSize, 10]] });
  client.send(headers(1, request("GET")));
  await client.until(() => client.on(1).body.length === 10, "the window to be full");
  const { body, reset, hasEnded } = await edge.test.endsAfter(IDLE_MS, client.untilOver(1));
  assert.equal(body.length, 10);
  assert.equal(hasEnded, false);
  assert.equal(reset, CODE.internalError);
  client.send(headers(3, request("GET", "/small")));
  await client.untilOver(3);
  assert.equal(client.status(3), 200);
  assert.deepEqual(client.violations, []);
  await edge.untilReleased();
});

test("a client that reads nothing at all loses the connection", async () => {
  await edge.backend.answers(() => response("x".repeat(LARGE_BYTES)));
  using client = await open({ settings: [[SETTING.initialWindowSize, HIGHEST_STREAM]] });
  client.grant(0, LARGE_BYTES).pause();
  client.send(headers(1, request("GET")));
  await edge.backend.request();
  await edge.test.passTimeUntil(() => edge.inFlight === 0, IDLE_MS / 10);
  client.resume();
  await client.untilEnd();
  assert.ok(client.on(1).body.length < LARGE_BYTES);
  assert.equal(client.on(1).hasEnded, false);
});

test("a client that asks on and on and reads nothing is not read any further, and loses the connection", async () => {
  using client = await RawClient.connectTls(edge.test.httpsPort, { ca: rootOf(edge.test), servername: HOST, ALPNProtocols: ["h2"] });
  const { socket } = client;
  socket.pause();
  client.send(bytes(PREFACE, settings([SETTING.initialWindowSize, HIGHEST_STREAM]), windowUpdate(0, HIGHEST_STREAM - 65_535)));
  const unknown = block([
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/"],
    [":authority", "nobody.localhost"],
  ]);
  let asked = 0;
  const askOn = (): void => {
    while (asked < 100_000) {
      const batch = Array.from({ length: 1000 }, (_, i) => headers(2 * (asked + i) + 3, unknown));
      asked += batch.length;
      if (!socket.write(bytes(...batch))) return;
    }
  };
  socket.on("drain", askOn);
  askOn();
  await untilStill(() => asked);
  const { body } = await ask(Number(new URL(edge.test.adminUrl).port), "admin", "/metrics");
  const answered = Number(/code="unknown_host"[^}]*\} (\d+)/.exec(body)?.[1]);
  assert.ok(answered > 0 && answered < 50_000, `${answered} of 100 000 requests were answered`);
  await edge.test.passTime(1.1 * IDLE_MS);
  // Whoever neither reads nor has anything left to write does not learn of the end.
  socket.resume();
  await eventually(() => client.ended, "the connection to end");
});

test("a client that opens no window stops the machine, and gets everything once it does", async () => {
  const { promise: answered, resolve: onAnswer } = Promise.withResolvers<Torrent>();
  await using machine = await startBackend((_, answer) => onAnswer(new Torrent(answer)));
  await using node = await startTestNode({ apps: { hello: staticApp("hello", machine.port) } });
  using client = await Http2Client.connect(node);
  const stream = client.open({ ":path": "/" });
  await once(stream, "response");
  const torrent = await answered;
  await torrent.untilStopped();
  const sum = torrent.end();
  assert.equal(await digestOf(stream), sum);
});

test("a machine that does not read stops a client that sends, and gets everything once it reads", async () => {
  const { promise: arrived, resolve: onArrived } = Promise.withResolvers<[IncomingMessage, ServerResponse]>();
  await using machine = await startBackend((message, answer) => onArrived([message, answer]));
  await using node = await startTestNode({ apps: { hello: staticApp("hello", machine.port) } });
  using client = await Http2Client.connect(node);
  const stream = client.open({ ":method": "POST", ":path": "/" }, false);
  const torrent = new Torrent(stream);
  const [message, answer] = await arrived;
  await torrent.untilStopped();
  const sum = torrent.end();
  assert.equal(await digestOf(message), sum);
  answer.end("thanks");
  assert.equal((await responseOf(stream)).body, "thanks");
});

describe("a client that sends no more can open no window", () => {
  const WHOLE = "x".repeat(65_535);

  test("and gets what its windows let through", async () => {
    await edge.backend.answers(() => null);
    using client = await open();
    client.send(headers(1, request("GET"))).end();
    await edge.backend.request();
    (await edge.backend.connection()).send(response(WHOLE));
    const { body, hasEnded } = await client.untilOver(1);
    assert.deepEqual([body.length, hasEnded], [WHOLE.length, true]);
    await client.untilEnd();
  });

  test("so a response that waits for the window of its stream is over", async () => {
    await edge.backend.answers(() => response(WHOLE.repeat(8)));
    using client = await open();
    client.grant(0, 1_000_000);
    client.send(headers(1, request("GET")));
    await client.until(() => client.on(1).body.length === WHOLE.length, "the window to be full");
    client.end();
    await client.untilEnd();
    await edge.untilReleased();
  });

  test("nor that of the connection", async () => {
    await edge.backend.answers(() => response(WHOLE.repeat(8)));
    using client = await open({ settings: [[SETTING.initialWindowSize, HIGHEST_STREAM]] });
    client.send(headers(1, request("GET")), headers(3, request("GET")));
    const total = (): number => client.on(1).body.length + client.on(3).body.length;
    await client.until(() => total() === WHOLE.length, "the window to be full");
    client.end();
    await client.untilEnd();
    await edge.untilReleased();
  });

  test("also when the response comes afterwards", async () => {
    await edge.backend.answers(() => null);
    using client = await open();
    client.send(headers(1, request("GET"))).end();
    await edge.backend.request();
    (await edge.backend.connection()).send(response(`${WHOLE}x`));
    await client.untilEnd();
    assert.deepEqual([client.on(1).body.length, client.on(1).hasEnded], [WHOLE.length, false]);
    await edge.untilReleased();
  });
});

test("a stream that is blocked does not hold up others", async () => {
  await edge.backend.answers((message) => response((message.target === "/large" ? "x" : "y").repeat(1_000_000)));
  using client = await open();
  client.grant(0, 4_000_000);
  client.send(headers(1, request("GET", "/large")), headers(3, request("GET", "/other")));
  client.grant(3, 1_000_000);
  const { body } = await client.untilOver(3);
  assert.equal(body.length, 1_000_000);
  assert.equal(client.on(1).body.length, 65_535);
});

test("bodies take turns", async () => {
  await edge.backend.answers(() => response("x".repeat(2_000_000)));
  using client = await open({ settings: [[SETTING.initialWindowSize, HIGHEST_STREAM]] });
  const ids = [1, 3, 5, 7];
  client.send(...ids.map((id) => headers(id, request("GET"))));
  await client.until(() => ids.every((id) => client.status(id) === 200), "all responses to begin");
  const total = (): number => ids.reduce((sum, id) => sum + client.on(id).body.length, 0);
  await client.until(() => total() === 65_535, "the connection's window to be full");
  // A little at a time, so that what counts is whose turn it is, and not which machine's bytes come first.
  for (let granted = 65_535; granted < 4_000_000; granted += 100_000) {
    client.grant(0, 100_000);
    await client.until(() => total() >= granted + 100_000, "what the window allows");
  }
  for (const id of ids) assert.ok(client.on(id).body.length > 500_000, `stream ${id} has got ${client.on(id).body.length} bytes`);
  client.grant(0, 8_000_000);
  for (const id of ids) assert.equal((await client.untilOver(id)).body.length, 2_000_000);
});

describe("a node that stops", () => {
  test("says so, serves what was on its way, and closes when that is done", async () => {
    await using stopping = await startEdge();
    await stopping.backend.answers(() => null);
    using client = await open({}, stopping);
    using resting = await open({}, stopping);
    client.send(headers(1, request("GET", "/held")));
    await stopping.backend.request();
    const stopped = stopping.test.node.stop();
    await resting.untilEnd();
    assert.equal(resting.goaway?.code, CODE.noError);
    await client.until(() => client.ofType(TYPE.goaway).length === 2, "both GOAWAY");
    const [first, second] = client.ofType(TYPE.goaway);
    assert.equal(first!.payload.readUInt32BE(0), HIGHEST_STREAM);
    assert.equal(second!.payload.readUInt32BE(0), 1);
    client.send(headers(3, request("GET", "/too-late")), data(3, "", FLAG.endStream));
    (await stopping.backend.connection()).send(response("finished"));
    const { body } = await client.untilOver(1);
    assert.equal(body.toString(), "finished");
    await client.untilEnd();
    assert.equal(client.on(3).fields, null);
    client.end();
    await stopped;
  });
});
