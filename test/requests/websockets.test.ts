// WebSockets and other upgraded connections: a tunnel that only a matching 101 opens, with back-pressure and both ways of closing.
// @own-process: the memory that it measures is to be its own.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, describe, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { startBackend, staticApp } from "../support/backend.ts";
import { get, HOST, rootOf, startEdge } from "../support/edge.ts";
import { eventually, isSoWithin } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";
import { Torrent } from "../support/torrent.ts";

const DIRECTIONS = [
  ["client", "machine"],
  ["machine", "client"],
] as const;
const LARGE_BYTES = 8 * 1024 * 1024;

const backend = await startBackend((_, answer) => answer.end("plain"));
const sockets = new WebSocketServer({ server: backend.server, maxPayload: 2 * LARGE_BYTES });
sockets.setMaxListeners(0);
const node = await startTestNode({ apps: { hello: staticApp("hello", backend.port) } });
const edge = await startEdge();
after(async () => {
  sockets.close();
  await backend[Symbol.asyncDispose]();
  await node[Symbol.asyncDispose]();
  await edge[Symbol.asyncDispose]();
});

/** Both ends of a WebSocket through the node. */
async function open(scheme: "ws" | "wss"): Promise<{ client: WebSocket; machine: WebSocket }> {
  const port = scheme === "ws" ? node.httpPort : node.httpsPort;
  const tls = { servername: HOST, ca: rootOf(node) };
  const options = { headers: { host: HOST }, maxPayload: 2 * LARGE_BYTES, perMessageDeflate: false, ...tls };
  const client = new WebSocket(`${scheme}://127.0.0.1:${port}/chat`, [], options);
  const [[machine]] = (await Promise.all([once(sockets, "connection"), once(client, "open")])) as unknown as [[WebSocket]];
  return { client, machine };
}

async function untilReleased(): Promise<void> {
  await eventually(() => node.node.control.inFlight("hello-1") === 0, "the machine's place to be given back");
}

for (const scheme of ["ws", "wss"] as const) {
  describe(`a WebSocket over ${scheme}:`, () => {
    test("messages pass both ways, and the socket counts as one request as long as it is open", async () => {
      const { client, machine } = await open(scheme);
      machine.on("message", (data, isBinary) => machine.send(data, { binary: isBinary }));
      for (const text of ["hello", "", "\u{1F426}", "x".repeat(70_000)]) {
        client.send(text);
        const [data] = (await once(client, "message")) as [Buffer];
        assert.equal(data.toString(), text);
      }
      assert.equal(node.node.control.inFlight("hello-1"), 1);
      client.close(1000, "bye");
      const [code, reason] = (await once(machine, "close")) as [number, Buffer];
      assert.equal(code, 1000);
      assert.equal(reason.toString(), "bye");
      await untilReleased();
    });

    test("the machine may close it, too", async () => {
      const { client, machine } = await open(scheme);
      machine.close(4001, "enough");
      const [code, reason] = (await once(client, "close")) as [number, Buffer];
      assert.equal(code, 4001);
      assert.equal(reason.toString(), "enough");
      await untilReleased();
    });

    test("large messages pass unchanged both ways at the same time", async () => {
      const { client, machine } = await open(scheme);
      const [up, down] = [randomBytes(LARGE_BYTES), randomBytes(LARGE_BYTES)];
      client.send(up);
      machine.send(down);
      const [[gotDown], [gotUp]] = (await Promise.all([once(client, "message"), once(machine, "message")])) as [[Buffer], [Buffer]];
      assert.equal(sum(gotUp), sum(up));
      assert.equal(sum(gotDown), sum(down));
      client.terminate();
      await untilReleased();
    });

    test("a client that vanishes takes the machine's end with it, and a machine that vanishes the client's", async () => {
      const first = await open(scheme);
      first.client.terminate();
      const [code] = (await once(first.machine, "close")) as [number];
      assert.equal(code, 1006);
      const second = await open(scheme);
      second.machine.terminate();
      const [other] = (await once(second.client, "close")) as [number];
      assert.equal(other, 1006);
      await untilReleased();
    });
  });
}

test("many sockets at once are counted, and none is left when they are closed", async () => {
  const all = await Promise.all(Array.from({ length: 30 }, (_, i) => open(i % 2 === 0 ? "ws" : "wss")));
  assert.equal(node.node.control.inFlight("hello-1"), 30);
  for (const { client } of all) client.close();
  await Promise.all(all.map(({ client }) => client.readyState === WebSocket.CLOSED || once(client, "close")));
  await untilReleased();
});

const UPGRADE = get("/chat", ["connection: Upgrade", "upgrade: websocket", "sec-websocket-key: x"]);
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/** Both ends of a tunnel without any frames in it. */
async function tunnel(scheme: "http" | "https" = "http"): Promise<{ client: RawClient; machine: RawClient }> {
  await edge.backend.answers((_, connection) => {
    connection.send(SWITCHED);
    return null;
  });
  const client =
    scheme === "http" ? await edge.connect() : await RawClient.connectTls(edge.test.httpsPort, { ca: rootOf(edge.test), servername: HOST });
  client.send(UPGRADE);
  assert.equal((await client.response()).status, 101);
  const machine = await edge.backend.connection();
  return { client, machine };
}

test("the upgrade reaches the machine and the answer the client, with nothing added to either but what the edge always says", async () => {
  const { client } = await tunnel();
  using _ = client;
  const [request] = edge.backend.requests;
  assert.equal(request!.header("connection"), "upgrade");
  assert.equal(request!.header("upgrade"), "websocket");
  assert.equal(request!.header("sec-websocket-key"), "x");
  assert.match(client.received, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  assert.match(client.received, /\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n$/);
  assert.equal(/content-length|transfer-encoding/.test(client.received), false);
});

test("what a client sends right behind its upgrade is held until the machine has agreed", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(`${UPGRADE}early`);
  await edge.backend.request();
  client.send(" bird");
  await edge.test.settle();
  const [machine] = edge.backend.connections;
  assert.equal(machine!.rest, "");
  machine!.send(SWITCHED);
  await machine!.until((text) => text.endsWith("early bird"));
  client.send(", and more");
  await machine!.until((text) => text.endsWith("early bird, and more"));
});

test("what a machine sends right behind its 101 reaches the client", async () => {
  await edge.backend.answers((_, connection) => {
    connection.send(`${SWITCHED}first words`);
    return null;
  });
  using client = await edge.connect();
  client.send(UPGRADE);
  await client.until((text) => text.endsWith("\r\n\r\nfirst words"));
});

test("an upgrade that the machine refuses is a request like any other, and what came behind it is the next one", async () => {
  await edge.backend.answers((request) => (request.target === "/chat" ? response("no", [], "403 Forbidden") : response(request.target)));
  using client = await edge.connect();
  client.send(UPGRADE + get("/next"));
  assert.equal((await client.response()).status, 403);
  assert.equal((await client.response()).body, "/next");
  assert.equal(edge.backend.connections.length, 1);
  await edge.untilReleased();
});

test("an upgrade that the machine ignores is answered like any other request", async () => {
  await edge.backend.answers(() => response("plain"));
  using client = await edge.connect();
  assert.equal((await client.send(UPGRADE).response()).body, "plain");
});

for (const [title, answer] of [
  ["another protocol than was asked for", "connection: upgrade\r\nupgrade: chat\r\n"],
  ["no protocol", "connection: upgrade\r\n"],
  ["a protocol that its Connection does not name", "upgrade: websocket\r\n"],
] as const) {
  test(`a 101 with ${title} opens nothing`, async () => {
    await edge.backend.answers((_, connection) => {
      connection.send(`HTTP/1.1 101 Switching Protocols\r\n${answer}\r\nsecret`);
      return null;
    });
    using client = await edge.connect();
    const got = await client.send(`${UPGRADE}bytes for the tunnel`).untilEnd();
    assert.match(got, /^HTTP\/1\.1 502 /);
    assert.match(got, /\r\nkittiwake-error: bad_response\r\n/);
    assert.equal(got.includes("secret"), false);
    const [machine] = edge.backend.connections;
    await machine!.untilEnd();
    assert.equal(machine!.rest, "");
    await edge.untilReleased();
  });
}

test("a 101 before the request's body is complete opens nothing", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(UPGRADE.replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel"));
  const machine = await edge.backend.connection();
  await machine.until((text) => text.includes("hel"));
  machine.send(SWITCHED);
  assert.match(await client.untilEnd(), /^HTTP\/1\.1 502 /);
  await edge.untilReleased();
});

for (const asked of ["h2c", "H2C", "websocket, h2c"]) {
  test(`an upgrade to ${asked} is not passed on`, async () => {
    await edge.backend.answers((_, connection) => {
      connection.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n");
      return null;
    });
    const lines = ["connection: Upgrade, HTTP2-Settings", `upgrade: ${asked}`, "http2-settings: AAMAAABkAAQAAP__"];
    const got = await edge.exchange(get("/", lines));
    assert.match(got, /^HTTP\/1\.1 502 /);
    const [request] = edge.backend.requests;
    assert.equal(request!.header("upgrade"), null);
    assert.equal(request!.header("connection"), null);
    assert.equal(request!.header("http2-settings"), null);
  });
}

for (const scheme of ["http", "https"] as const) {
  describe(`a tunnel over ${scheme}:`, () => {
    test("the client may end its side and still read", async () => {
      const { client, machine } = await tunnel(scheme);
      using _ = client;
      client.send("question").end();
      await machine.until((text) => text.endsWith("question"));
      await machine.untilEnd();
      assert.equal(edge.inFlight, 1, "it is open on one side");
      machine.send("answer").end();
      await client.untilEnd();
      assert.ok(client.received.endsWith("answer"));
      await edge.untilReleased();
      assert.equal(client.wasReset, false);
    });

    test("the machine may end its side and still read", async () => {
      const { client, machine } = await tunnel(scheme);
      using _ = client;
      machine.send("question").end();
      await client.until((text) => text.endsWith("question"));
      await client.untilEnd();
      client.send("answer").end();
      await machine.untilEnd();
      assert.ok(machine.received.endsWith("answer"));
      await edge.untilReleased();
    });

    test("what is still on its way when both sides have ended arrives", async () => {
      for (const [from, to] of DIRECTIONS) {
        let least = 64 * 1024;
        let most = 8 * 1024 * 1024;
        // The receiver has ended its side and does not read. What is looked for is the most that the sender can be rid of, end included:
        // the last of it is then in the edge's hands.
        while (most - least > 24 * 1024) {
          const bytes = (least + most) >> 1;
          const ends = await tunnel(scheme);
          ends[to].end().socket.pause();
          await ends[from].untilEnd();
          ends[from].send(Buffer.alloc(bytes, "x")).end();
          const isOver = await isSoWithin(60, () => edge.inFlight === 0);
          if (isOver) least = bytes;
          else most = bytes;
          ends[to].socket.resume();
          await ends[to].untilEnd();
          assert.equal(ends[to].rest.length, bytes, `from ${from}`);
          await edge.untilReleased();
          ends.client.socket.destroy();
        }
      }
    });

    test("who does not read stops who writes", async () => {
      for (const [from, to] of DIRECTIONS) {
        const ends = await tunnel(scheme);
        ends[to].socket.pause();
        const before = process.memoryUsage.rss();
        const torrent = new Torrent(ends[from].socket);
        await torrent.untilStopped();
        assert.ok(process.memoryUsage.rss() - before < 24 * 1024 * 1024);
        torrent.stop();
        ends[to].socket.resume();
        await ends[to].until((text) => text.length >= torrent.bytes);
        ends.client.reset();
        await edge.untilReleased();
      }
    });
  });
}

function sum(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
