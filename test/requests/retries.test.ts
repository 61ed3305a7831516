// What happens when a machine fails before it answers: another attempt, elsewhere or over another connection, where that cannot do harm.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { after, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { head, startEdge, type Edge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

/** A second machine of the same app, further off; neither is left alone for what it does here. */
function twoMachines(app: string, near: number, far: number): string {
  return staticApp(
    app,
    near,
    `[[kittiwake.machines]]\nid = "${app}-2"\nregion = "nrt"\naddress = "127.0.0.1:${far}"\n[kittiwake.outliers]\nmax_ejected = 0`,
  );
}

const dead = await deadPort();
const far = await ScriptedBackend.start();
const near = await ScriptedBackend.start();
const edge: Edge = await startEdge({
  // Bodies go on as they come, and nothing of them is kept; held-bodies.test.ts and kept-bodies.test.ts have the others.
  tables: "[limits]\nheld_body_bytes = 0\nretry_body_bytes = 0\nreplay_body_bytes = 0",
  apps: {
    halfdead: twoMachines("halfdead", dead, far.port),
    dead: twoMachines("dead", dead, dead).replace("[kittiwake]", '[kittiwake]\nwake_timeout = "1ms"'),
    pair: twoMachines("pair", near.port, far.port),
    spent: twoMachines("spent", near.port, far.port),
  },
});
after(async () => {
  await Promise.all([far[Symbol.asyncDispose](), near[Symbol.asyncDispose]()]);
  await edge[Symbol.asyncDispose]();
});

function requestTo(app: string, method: string, body = "", more = ""): string {
  const length = body === "" ? "" : `content-length: ${body.length}\r\n`;
  return `${method} / HTTP/1.1\r\nhost: ${app}.localhost\r\n${length}${more}\r\n${body}`;
}

for (const [method, body] of [
  ["GET", ""],
  ["POST", ""],
  ["POST", "a body"],
  ["PATCH", "a body"],
] as const) {
  test(`(3.5) a ${method} ${body === "" ? "without" : "with"} a body goes to the next machine when the nearest refuses the connection`, async () => {
    await far.answers((request) => response(`${request.method} ${request.body}`));
    using client = await RawClient.connect(edge.port);
    const answer = await client.send(requestTo("halfdead", method, body)).response();
    assert.equal(answer.status, 200);
    assert.equal(answer.body, `${method} ${body}`);
    assert.equal(edge.test.node.control.inFlight("halfdead-1"), 0);
  });
}

test("(3.5) a large upload that the nearest machine never took goes to the next one whole", async () => {
  await far.answers((request) => response(String(request.body.length)));
  using client = await RawClient.connect(edge.port);
  const body = "x".repeat(3_000_000);
  client.send(requestTo("halfdead", "POST", body));
  assert.equal((await client.response()).body, "3000000");
});

test("(3.4, 3.5) an app of which every machine refuses gets 502, and the client's connection goes on", async () => {
  await far.answers(() => response("fine"));
  using client = await RawClient.connect(edge.port);
  const answer = await client.send(requestTo("dead", "GET")).response();
  assert.equal(answer.status, 502);
  assert.equal(answer.header("kittiwake-error"), "connect_refused");
  assert.equal((await client.send(requestTo("halfdead", "GET")).response()).body, "fine");
  for (const id of ["dead-1", "dead-2"]) assert.equal(edge.test.node.control.inFlight(id), 0);
});

for (const how of ["closes", "resets"] as const) {
  const end = (connection: RawClient): null => {
    if (how === "closes") connection.socket.destroy();
    else connection.reset();
    return null;
  };

  test(`(3.5) a GET goes to the next machine when the nearest ${how} the connection instead of answering`, async () => {
    await near.answers((_, connection) => end(connection));
    await far.answers(() => response("from afar"));
    using client = await RawClient.connect(edge.port);
    assert.equal((await client.send(requestTo("pair", "GET")).response()).body, "from afar");
    assert.equal(near.requests.length, 1);
  });

  test(`(3.5) a POST stays where it may have been seen when that machine ${how} the connection`, async () => {
    await near.answers((_, connection) => end(connection));
    await far.answers(() => response("from afar"));
    using client = await RawClient.connect(edge.port);
    const answer = await client.send(requestTo("pair", "POST", "x")).response();
    assert.equal(answer.status, 502);
    assert.match(answer.header("kittiwake-error")!, /^upstream_(closed|reset)$/);
    assert.equal(near.requests.length, 1);
    assert.equal(far.requests.length, 0);
  });
}

test("(3.5) a response that has begun is never followed by another attempt", async () => {
  await near.answers((_, connection) => {
    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart").end();
    return null;
  });
  await far.answers(() => response("from afar"));
  using client = await RawClient.connect(edge.port);
  await client.send(requestTo("pair", "GET")).untilEnd();
  assert.ok(client.received.endsWith("part"));
  assert.equal(far.requests.length, 0);
});

test("a malformed response is not followed by another attempt", async () => {
  await near.answers(() => "nonsense\r\n\r\n");
  await far.answers(() => response("from afar"));
  using client = await RawClient.connect(edge.port);
  assert.equal((await client.send(requestTo("pair", "GET")).response()).status, 502);
  assert.equal(far.requests.length, 0);
});

test("a PUT whose body nobody has seen yet goes to the next machine, with its body behind its head", async () => {
  await near.answers(() => null);
  await far.answers((request) => response(request.body));
  using client = await RawClient.connect(edge.port);
  client.send(`PUT / HTTP/1.1\r\nhost: pair.localhost\r\ncontent-length: 5\r\n\r\n`);
  const first = await near.connection();
  await first.until((text) => text.endsWith("\r\n\r\n"));
  first.socket.destroy();
  // Sent while the next connection may not stand yet.
  client.send("hello");
  assert.equal((await client.response()).body, "hello");
  assert.equal(far.requests[0]!.raw.indexOf("PUT / HTTP/1.1\r\n"), 0);
});

test("a PUT whose body was seen in part stays", async () => {
  await near.answers(() => null);
  await far.answers((request) => response(request.body));
  using client = await RawClient.connect(edge.port);
  client.send(`PUT / HTTP/1.1\r\nhost: pair.localhost\r\ncontent-length: 5\r\n\r\nhe`);
  const first = await near.connection();
  await first.until((text) => text.endsWith("he"));
  first.socket.destroy();
  const answer = await client.response();
  assert.equal(answer.status, 502);
  assert.equal(answer.header("connection"), "close", "the rest of the body may be on its way");
  assert.equal(far.connections.length, 0);
});

test("a chunked PUT that was empty is ended at the next machine too", async () => {
  await near.answers((_, connection) => {
    connection.reset();
    return null;
  });
  await far.answers((request) => response(`${request.framing} ${request.body.length}`));
  using client = await RawClient.connect(edge.port);
  client.send(`PUT / HTTP/1.1\r\nhost: pair.localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`);
  assert.equal((await client.response()).body, "chunked 0");
});

test("a connection that the machine closed while it rested is not used", async () => {
  await edge.backend.answers((_, connection) => {
    connection.send(response("once")).end();
    return null;
  });
  using client = await edge.connect();
  for (let i = 0; i < 3; i++) {
    assert.equal((await client.send(head("POST", "/", ["content-length: 0"])).response()).body, "once");
    await eventually(() => edge.backend.connections.every(({ ended }) => ended), "the edge to close its side");
  }
});

/** Leaves `count` connections resting at the edge, each of which the machine will reset as soon as another request comes. */
async function restConnections(count: number): Promise<void> {
  await edge.backend.answers(() => null);
  const clients = await Promise.all(Array.from({ length: count }, () => edge.connect()));
  for (const client of clients) client.send(head("GET"));
  await edge.backend.request(count - 1);
  for (const connection of edge.backend.connections) {
    connection.send(response("first"));
    connection.socket.once("data", () => connection.reset());
  }
  for (const client of clients) {
    assert.equal((await client.response()).body, "first");
    client.socket.destroy();
  }
  edge.backend.continuesWith(() => response("second"));
}

test("a GET over a connection that the machine gave up meanwhile is sent again over a new one, to the same machine", async () => {
  await restConnections(1);
  using client = await edge.connect();
  assert.equal((await client.send(head("GET")).response()).body, "second");
  assert.equal(edge.backend.connections.length, 2);
});

test("one attempt is enough to find out that all resting connections may be stale", async () => {
  await restConnections(60);
  using client = await edge.connect();
  assert.equal((await client.send(head("GET")).response()).body, "second");
  assert.equal(edge.backend.connections.length, 61);
});

test("a POST over a connection that the machine gave up meanwhile is not sent again", async () => {
  await restConnections(1);
  using client = await edge.connect();
  const answer = await client.send(head("POST", "/", ["content-length: 0"])).response();
  assert.equal(answer.status, 502);
  assert.match(answer.header("kittiwake-error")!, /^upstream_(closed|reset)$/);
  // Another attempt would have been made before the answer was given.
  assert.equal((await client.send(head("GET")).response()).body, "second");
  assert.deepEqual(
    edge.backend.requests.map(({ method }) => method),
    ["GET", "GET"],
  );
  assert.equal(edge.backend.connections.length, 2);
});

test("a machine that fails every request is asked twice at most, and the client hears of it", async () => {
  await edge.backend.answers((_, connection) => {
    connection.reset();
    return null;
  });
  using client = await edge.connect();
  const answer = await client.send(head("GET")).response();
  assert.equal(answer.status, 502);
  assert.ok(edge.backend.requests.length <= 2, String(edge.backend.requests.length));
  await edge.untilReleased();
});

async function deadPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("(3.5) what was sent is sent again ten times a second where there are few requests, and then no more", async () => {
  await Promise.all([
    far.answers(() => response("far")),
    near.answers((_, connection) => {
      connection.socket.destroy();
      return null;
    }),
  ]);
  // Of the budget's ten seconds, half are forgotten at a time.
  const budget = 100;
  const startedMs = performance.now();
  const answers = new Map<string, number>();
  for (let asked = 0; asked < budget + 20; asked++) {
    using client = await RawClient.connect(edge.port);
    const { status, body } = await client.send(requestTo("spent", "GET")).response();
    const answer = status === 200 ? body : String(status);
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  }
  const most = budget * (1 + Math.floor((performance.now() - startedMs) / 5000));
  const again = answers.get("far") ?? 0;
  assert.ok(again >= budget && again <= most, `${again} of ${most}`);
  assert.equal(answers.get("502") ?? 0, budget + 20 - again);
  assert.equal(near.requests.length, budget + 20);
});
