// WebSockets of a node that stops: each end gets a close frame 1001, well-formed, between two frames of others, and nothing behind it.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { startBackend, staticApp } from "../support/backend.ts";
import { HOST, get, rootOf, startEdge, type Edge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client } from "../support/http2-client.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";

const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const GOODBYE = "\x88\x02\x03\xe9";
/** How long an end is given to answer. */
const GOODBYE_MS = 5000;
/** Far less than the time-out of a drain, which nobody here waits for. */
const SOON_MS = 4000;

/** A frame from a client, with a mask of zeros, which leaves the payload as it is. */
function masked(opcode: number, payload: string): string {
  return String.fromCharCode(0x80 | opcode, 0x80 | payload.length) + "\0".repeat(4) + payload;
}

function plain(opcode: number, payload: string): string {
  return String.fromCharCode(0x80 | opcode, payload.length) + payload;
}

/** The code of a masked close frame. */
function codeOf(frame: string): number {
  const bytes = Buffer.from(frame, "latin1");
  assert.deepEqual([bytes.length, bytes[0], bytes[1]], [8, 0x88, 0x82]);
  return ((bytes[6]! ^ bytes[2]!) << 8) | (bytes[7]! ^ bytes[3]!);
}

async function tunnel(edge: Edge, upgrade = "websocket"): Promise<{ client: RawClient; machine: RawClient }> {
  await edge.backend.answers((_, connection) => {
    connection.send(SWITCHED.replace("websocket", upgrade));
    return null;
  });
  const client = await edge.connect();
  await client.send(get("/", ["connection: upgrade", `upgrade: ${upgrade}`])).response({ toHead: true });
  const machine = await edge.backend.connection();
  // Everything that comes from here on is of the tunnel.
  return { client, machine };
}

for (const scheme of ["ws", "wss"] as const) {
  test(`real ends over ${scheme} are told that the server goes away, and the node ends as soon as they have answered`, async () => {
    await using backend = await startBackend((_, answer) => answer.end());
    const sockets = new WebSocketServer({ server: backend.server });
    await using node = await startTestNode({ workers: 2, apps: { hello: staticApp("hello", backend.port) } });
    const port = scheme === "ws" ? node.httpPort : node.httpsPort;
    const options = { headers: { host: HOST }, servername: HOST, ca: rootOf(node) };
    const ends: Promise<unknown[]>[] = [];
    for (let i = 0; i < 6; i++) {
      const client = new WebSocket(`${scheme}://127.0.0.1:${port}/`, [], options);
      const [[machine]] = (await Promise.all([once(sockets, "connection"), once(client, "open")])) as unknown as [[WebSocket]];
      client.send("hello");
      await once(machine, "message");
      ends.push(once(client, "close"), once(machine, "close"));
    }
    const beganMs = performance.now();
    await node.node.stop();
    assert.ok(performance.now() - beganMs < SOON_MS, "nobody waited for a time-out");
    for (const [code] of await Promise.all(ends)) assert.equal(code, 1001);
    sockets.close();
  });
}

test("the frame under way comes first, in both directions, and nothing comes behind the close frame", async () => {
  await using edge = await startEdge();
  const { client, machine } = await tunnel(edge);
  using _ = client;
  const down = plain(2, "x".repeat(100));
  const up = masked(1, "question");
  const before = machine.rest;
  // Cut in the head, and in the payload.
  machine.send(plain(1, "first") + down.slice(0, 1));
  client.send(masked(1, "first") + up.slice(0, 9));
  await client.until(() => client.rest.endsWith(down.slice(0, 1)));
  await machine.until((text) => text.endsWith(up.slice(0, 9)));
  const stopped = edge.test.node.stop();
  machine.send(down.slice(1, 50));
  await client.until(() => client.rest.endsWith(down.slice(1, 50)));
  machine.send(down.slice(50) + plain(1, "too late"));
  client.send(up.slice(9) + masked(1, "too late"));
  await client.until(() => client.rest.endsWith(GOODBYE));
  assert.equal(client.rest, plain(1, "first") + down + GOODBYE);
  const sent = before + masked(1, "first") + up;
  await machine.until(() => machine.rest.length >= sent.length + 8);
  assert.ok(machine.rest.startsWith(sent));
  assert.equal(codeOf(machine.rest.slice(sent.length)), 1001);
  // Each has its side ended when it has answered, and not before.
  client.send(masked(8, "\x03\xe9"));
  await client.untilEnd();
  assert.equal(machine.ended, false);
  machine.send(plain(8, "\x03\xe9"));
  await machine.untilEnd();
  client.end();
  machine.end();
  await stopped;
  assert.equal(client.rest, plain(1, "first") + down + GOODBYE);
  assert.equal(client.wasReset, false);
});

test("ends that do not answer are let go before the drain is over", async () => {
  await using edge = await startEdge({ tables: '[timeouts]\ndrain = "60s"' });
  const { client, machine } = await tunnel(edge);
  using _ = client;
  const stopped = edge.test.node.stop();
  await Promise.all([client.until(() => client.rest === GOODBYE), machine.until(() => machine.rest.length >= 8)]);
  // The drain's own clock is not this one.
  await edge.test.endsAfter(GOODBYE_MS, Promise.all([client.untilEnd(), machine.untilEnd()]));
  await stopped;
  assert.equal(client.rest, GOODBYE);
});

test("who is parting already is not told again", async () => {
  await using edge = await startEdge();
  const { client, machine } = await tunnel(edge);
  using _ = client;
  machine.send(plain(8, "\x03\xe8"));
  await client.until(() => client.rest === plain(8, "\x03\xe8"));
  const stopped = edge.test.node.stop();
  client.send(masked(8, "\x03\xe8"));
  await machine.until((text) => text.endsWith(masked(8, "\x03\xe8")));
  machine.end();
  client.end();
  await stopped;
  assert.equal(client.rest, plain(8, "\x03\xe8"));
});

test("a tunnel of another protocol goes on until the drain is over, and nothing is put into it", async () => {
  await using edge = await startEdge({ tables: '[timeouts]\ndrain = "1s"' });
  const { client, machine } = await tunnel(edge, "chat");
  using _ = client;
  const stopped = edge.test.node.stop();
  await eventually(() => !edge.test.node.control.isReady(), "the drain to begin");
  machine.send("still here");
  await client.until(() => client.rest === "still here");
  await stopped;
  await client.untilEnd();
  assert.equal(client.rest, "still here");
});

test("a WebSocket on a port that a reload takes away is left alone", async () => {
  await using edge = await startEdge({ ports: [8081] });
  const app = staticApp("hello", edge.backend.port);
  const extra = '\n[[services]]\nprotocol = "tcp"\ninternal_port = 8080\n[[services.ports]]\nport = 8081\nhandlers = ["http"]\n';
  edge.test.writeApp("hello", app + extra);
  await edge.test.node.control.reload();
  await edge.backend.answers((_, connection) => {
    connection.send(SWITCHED);
    return null;
  });
  using client = await RawClient.connect(edge.test.boundPort(8081));
  await client.send(get("/", ["connection: upgrade", "upgrade: websocket"])).response({ toHead: true });
  const machine = await edge.backend.connection();
  edge.test.writeApp("hello", app);
  await edge.test.node.control.reload();
  machine.send(plain(1, "hello"));
  await client.until(() => client.rest !== "");
  assert.equal(client.rest, plain(1, "hello"));
});

test("over HTTP/2 the stream gets its close frame and ends, and the connection after it", async () => {
  await using edge = await startEdge();
  await edge.backend.answers((request, connection) => {
    const accept = createHash("sha1")
      .update(`${request.header("sec-websocket-key")}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
    connection.send(SWITCHED.replace("\r\n\r\n", `\r\nsec-websocket-accept: ${accept}\r\n\r\n`));
    return null;
  });
  using client = await Http2Client.connect(edge.test);
  if (!("enableConnectProtocol" in client.session.remoteSettings)) await once(client.session, "remoteSettings");
  const stream = client.open({ ":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", ":path": "/" }, false);
  await once(stream, "response");
  const machine = await edge.backend.connection();
  let received = "";
  stream.setEncoding("latin1").on("data", (text: string) => (received += text));
  const ended = once(stream, "end");
  const goaway = once(client.session, "goaway");
  const stopped = edge.test.node.stop();
  await goaway;
  await machine.until(() => machine.rest.length >= 8);
  assert.equal(codeOf(machine.rest.slice(-8)), 1001);
  stream.end(Buffer.from(masked(8, "\x03\xe9"), "latin1"));
  machine.send(plain(8, "\x03\xe9")).end();
  await ended;
  assert.equal(received, GOODBYE);
  await stopped;
});
