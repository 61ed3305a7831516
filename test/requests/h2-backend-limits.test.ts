// What a machine that speaks HTTP/2 allows, and what it is allowed: streams, windows and time; and what may be sent again.

import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { openBlackhole } from "../support/blackhole.ts";
import { get, head, HOST, rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { FrameClient } from "../support/frame-client.ts";
import { FrameMachine, well, type MachineRequest } from "../support/frame-machine.ts";
import { CODE, FLAG, SETTING, block, bytes, data, goaway, headers, rstStream, settings, windowUpdate } from "../support/frames.ts";
import { Http2Client } from "../support/http2-client.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";

const ANSWER_MS = 500;
const OK = block([[":status", "200"]]);

const machine = await FrameMachine.start();
const blackhole = await openBlackhole();
const h2App = (name: string, port: number): string =>
  staticApp(name, port).replace("internal_port", "http_options = { h2_backend = true }\ninternal_port");
const edge = await startTestNode({
  apps: { hello: h2App("hello", machine.port), hole: h2App("hole", blackhole.port) },
  tables: `[timeouts]\nupstream_idle = "1h"\nupstream_connect = "${ANSWER_MS}ms"\nupstream_head = "${ANSWER_MS}ms"\nupstream_silence = "${ANSWER_MS}ms"\n[limits]\nattempts = 3\nheld_body_bytes = 0\nretry_body_bytes = 0\nreplay_body_bytes = 0`,
});
after(async () => {
  await edge[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
  await blackhole[Symbol.asyncDispose]();
});
await eventually(() => edge.node.control.machines("hello").every(({ state }) => state === "started"), "the machine");
beforeEach(() => machine.plays(well));

const inFlight = (): number => edge.node.control.inFlight("hello-1");
const untilReleased = (): Promise<void> => eventually(() => inFlight() === 0, "the machine's places to be given back");

async function assertWell(): Promise<void> {
  using client = await RawClient.connect(edge.httpPort);
  assert.equal((await client.send(get("/well")).response()).body, "well /well");
}

async function errorOf(client: RawClient): Promise<string | null> {
  return (await client.response()).header("kittiwake-error");
}

for (const [title, refusal] of [
  ["REFUSED_STREAM", (stream: number) => rstStream(stream, CODE.refusedStream)],
  ["GOAWAY that says so", () => goaway(0)],
] as const) {
  test(`a POST whose body nobody has touched goes again after ${title}`, async () => {
    let asked = 0;
    await machine.plays((request, connection) => {
      if (++asked === 1) connection.send(refusal(request.stream));
      else if (request.hasEnded) well(request, connection);
    });
    using client = await RawClient.connect(edge.httpPort);
    client.send(head("POST", "/post", ["content-length: 4"]));
    await eventually(() => asked === 2, "the second attempt");
    client.send("body");
    await eventually(() => machine.requests.some(({ body, hasEnded }) => body === "body" && hasEnded), "the body");
    const carrier = machine.carrier("/post")!;
    carrier.answer(carrier.requests.at(-1)!.stream, "posted");
    assert.equal((await client.response()).body, "posted");
    await untilReleased();
  });
}

test("a POST whose body was sent does not go again after REFUSED_STREAM", async () => {
  await machine.plays(
    ({ stream }, connection) => void connection.socket.once("data", () => connection.send(rstStream(stream, CODE.refusedStream))),
  );
  using client = await RawClient.connect(edge.httpPort);
  client.send(head("POST", "/post", ["content-length: 4"]));
  await machine.request("/post");
  client.send("body");
  assert.equal(await errorOf(client), "upstream_reset");
  assert.equal(machine.requests.length, 1);
  await untilReleased();
});

test("a machine that takes one stream at a time never has two on a connection, and all requests are served", async () => {
  let most = 0;
  await machine.plays(
    (request, connection) => {
      const { requests } = connection;
      most = Math.max(most, requests.length - answered.filter((known) => requests.includes(known)).length);
      setImmediate(() => {
        answered.push(request);
        well(request, connection);
      });
    },
    { bytes: settings([SETTING.maxConcurrentStreams, 1]) },
  );
  const answered: MachineRequest[] = [];
  using client = await Http2Client.connect(edge);
  for (let round = 0; round < 3; round++) {
    const paths = Array.from({ length: 90 }, (_, nth) => `/${round}/${nth}`);
    const bodies = await Promise.all(paths.map(async (path) => (await client.get(path)).body));
    assert.deepEqual(
      bodies,
      paths.map((path) => `well ${path}`),
    );
  }
  assert.equal(most, 1);
  assert.equal(machine.requests.length, 270);
  assert.ok(machine.connections.length <= 90, `${machine.connections.length} connections`);
  await untilReleased();
});

test("a machine that takes no more streams keeps what it has, and gets the next on another connection", async () => {
  await machine.plays((request, connection) => {
    if (request.path === "/held") connection.send(settings([SETTING.maxConcurrentStreams, 0]));
    else well(request, connection);
  });
  using client = await RawClient.connect(edge.httpPort);
  client.send(get("/held"));
  const { stream } = await machine.request("/held");
  const [first] = machine.connections;
  await eventually(async () => {
    await assertWell();
    return machine.connections.length === 2;
  }, "another connection");
  first!.answer(stream, "kept");
  assert.equal((await client.response()).body, "kept");
  await eventually(() => first!.hasEnded, "the edge to close the first connection");
  await untilReleased();
});

test("a body waits for a window that is opened later, and no byte of it comes before", async () => {
  await machine.plays(() => {}, { bytes: settings([SETTING.initialWindowSize, 0]) });
  using client = await RawClient.connect(edge.httpPort);
  client.send(`${head("POST", "/post", ["content-length: 10"])}0123456789`);
  const request = await machine.request("/post");
  const connection = machine.carrier("/post")!;
  connection.send(windowUpdate(request.stream, 3));
  await eventually(() => request.body === "012", "three bytes");
  connection.send(settings([SETTING.initialWindowSize, 4]));
  await eventually(() => request.body === "0123456", "seven bytes");
  assert.equal(request.hasEnded, false);
  connection.send(settings([SETTING.initialWindowSize, 1]), windowUpdate(request.stream, 3), windowUpdate(request.stream, 3));
  await eventually(() => request.hasEnded, "the end");
  assert.equal(request.body, "0123456789");
  well(request, connection);
  assert.equal((await client.response()).body, "well /post");
  await untilReleased();
});

test("a window that is never opened is a machine that does not answer in time", async () => {
  await machine.plays(() => {}, { bytes: settings([SETTING.initialWindowSize, 0]) });
  using client = await RawClient.connect(edge.httpPort);
  client.send(`${head("POST", "/post", ["content-length: 10"])}0123456789`);
  assert.equal(await errorOf(client), "upstream_timeout");
  assert.equal(machine.requests[0]!.body, "");
  await untilReleased();
});

test("a machine that falls silent costs those who wait their answer, and nobody after them", async () => {
  await machine.plays((request, connection) => {
    if (connection === machine.connections[0]) return;
    well(request, connection);
  });
  using client = await RawClient.connect(edge.httpPort);
  client.send(head("POST", "/silent", ["content-length: 0"]));
  await machine.request("/silent");
  machine.connections[0]!.socket.pause();
  assert.equal(await errorOf(client), "upstream_timeout");
  await assertWell();
  assert.equal(machine.connections.length, 2);
  await untilReleased();
});

test("a machine that answers others in the meantime keeps its connection", async () => {
  await machine.plays((request, connection) => {
    if (request.path !== "/silent") well(request, connection);
  });
  using client = await RawClient.connect(edge.httpPort);
  client.send(head("POST", "/silent", ["content-length: 0"]));
  const silent = await machine.request("/silent");
  const answer = errorOf(client);
  while (silent.reset === null) await assertWell();
  assert.equal(await answer, "upstream_timeout");
  await assertWell();
  assert.equal(machine.connections.length, 1);
});

test("a machine that accepts and never sends its settings gets no request, and does not answer in time", async () => {
  await machine.plays(well, { bytes: "" });
  using client = await RawClient.connect(edge.httpPort);
  client.send(`${head("POST", "/post", ["content-length: 4"])}body`);
  assert.equal(await errorOf(client), "upstream_timeout");
  assert.equal(machine.requests.length, 0);
  await untilReleased();
  machine.greets({});
  await assertWell();
});

test("a machine that never reads makes nobody hold more than a little of a body", async () => {
  await machine.plays(well, { bytes: bytes(settings([SETTING.initialWindowSize, 2 ** 30]), windowUpdate(0, 2 ** 30)) });
  await assertWell();
  const [connection] = machine.connections;
  connection!.socket.pause();
  using client = await RawClient.connect(edge.httpPort);
  const size = 64 * 1024 * 1024;
  client.send(head("POST", "/post", [`content-length: ${size}`]));
  client.send(Buffer.alloc(size));
  assert.equal(await errorOf(client), "upstream_timeout");
  assert.ok(client.socket.writableLength > size / 4, `${size - client.socket.writableLength} bytes were taken`);
  await untilReleased();
  await assertWell();
});

test("a body that is complete without being said to be is let go in time", async () => {
  await machine.plays((request, connection) => {
    if (request.path !== "/endless") return well(request, connection);
    connection.send(
      headers(
        request.stream,
        block([
          [":status", "200"],
          ["content-length", "5"],
        ]),
        FLAG.endHeaders,
      ),
      data(request.stream, "hello", 0),
    );
  });
  using client = await RawClient.connect(edge.httpPort);
  assert.equal((await client.send(get("/endless")).response()).body, "hello");
  await untilReleased();
  await eventually(() => machine.connections[0]!.hasEnded, "the edge to close a connection where nothing comes");
  await assertWell();
});

test("a machine that sends more than a slow client takes loses the stream, and nothing else", async () => {
  await machine.plays((request, connection) => {
    if (request.path !== "/more") return well(request, connection);
    connection.send(headers(request.stream, OK, FLAG.endHeaders));
    for (let i = 0; i < 600; i++) connection.send(data(request.stream, Buffer.alloc(16_000), 0));
  });
  using slow = await FrameClient.open(edge.httpsPort, { ca: rootOf(edge), servername: HOST });
  slow.send(
    headers(
      1,
      block([
        [":method", "GET"],
        [":scheme", "https"],
        [":authority", HOST],
        [":path", "/more"],
      ]),
    ),
  );
  const seen = await slow.untilOver(1);
  assert.equal(seen.hasEnded, false);
  assert.ok(seen.body.length <= 65_535);
  await assertWell();
  assert.equal(machine.connections.length, 1);
  assert.notEqual((await machine.request("/more")).reset, null);
  await untilReleased();
});

test("all that a machine sent on streams that clients left is given back to the window of the connection", async () => {
  await machine.plays((request, connection) => {
    if (request.path !== "/left") return well(request, connection);
    connection.send(headers(request.stream, OK, FLAG.endHeaders), data(request.stream, Buffer.alloc(16_000), 0));
  });
  let sent = 0;
  while (sent < 20_000_000) {
    const before = machine.requests.length;
    const client = await RawClient.connect(edge.httpPort);
    client.send(get("/left"));
    await eventually(() => machine.requests.length > before, "the request");
    const request = machine.requests.at(-1)!;
    client.reset();
    await eventually(() => request.reset !== null, "the reset");
    for (let i = 0; i < 16; i++) machine.connections[0]!.send(data(request.stream, Buffer.alloc(16_000), 0));
    sent += 17 * 16_000;
  }
  await assertWell();
  await eventually(() => machine.connections[0]!.granted > sent, "the window to be given back");
  assert.equal(machine.connections.length, 1);
  await untilReleased();
});

test("a request whose machine leaves the app while it is being dialled has its answer in time, and the place is given back", async () => {
  using client = await RawClient.connect(edge.httpPort);
  client.send("GET / HTTP/1.1\r\nhost: hole.localhost\r\n\r\n");
  await eventually(() => edge.node.control.inFlight("hole-1") === 1, "the place on the machine");
  edge.writeApp("hole", h2App("hole", machine.port).replace("hole-1", "hole-2"));
  await edge.node.control.reload();
  const answer = await client.response();
  assert.ok(answer.body === "well /" || answer.header("kittiwake-error") === "connect_timeout", answer.raw);
  await eventually(
    () => edge.node.control.inFlight("hole-1") === 0 && edge.node.control.inFlight("hole-2") === 0,
    "the places to be given back",
  );
});
