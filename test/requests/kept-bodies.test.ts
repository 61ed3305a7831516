// A body that goes on as it comes is kept meanwhile, so that another attempt can send it again; how much of it is bounded (reference
// sections 2.7 and 3.5).

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { rootOf, startEdge } from "../support/edge.ts";
import { FrameClient } from "../support/frame-client.ts";
import { block, data, FLAG, headers } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const MOST_BYTES = 100_000;
const ALL_BYTES = 150_000;

const near = await ScriptedBackend.start();
const far = await ScriptedBackend.start();
const edge = await startEdge({
  apps: {
    pair: staticApp(
      "pair",
      near.port,
      `[[kittiwake.machines]]\nid = "pair-2"\nregion = "nrt"\naddress = "127.0.0.1:${far.port}"\n[kittiwake.outliers]\nmax_ejected = 0`,
    ),
  },
  tables: `[limits]\nheld_body_bytes = 0\nretry_body_bytes = ${MOST_BYTES}\nreplay_body_bytes = 0\nkept_bodies_bytes = ${ALL_BYTES}`,
});
after(async () => {
  await edge[Symbol.asyncDispose]();
  await Promise.all([near[Symbol.asyncDispose](), far[Symbol.asyncDispose]()]);
});

function put(bytes: number, method = "PUT"): string {
  return `${method} / HTTP/1.1\r\nhost: pair.localhost\r\ncontent-length: ${bytes}\r\n\r\n`;
}

/** Every byte is told from its neighbours. */
function bodyOf(bytes: number): string {
  return Array.from({ length: bytes }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
}

/** The nearest machine leaves when it has seen so much of the body; returns as soon as it has. */
async function breaksOff(after: number): Promise<void> {
  const connection = await near.connection();
  await connection.until((text) => text.includes("\r\n\r\n") && text.length - text.indexOf("\r\n\r\n") - 4 >= after);
  connection.reset();
}

async function script(): Promise<void> {
  await near.answers(() => null);
  await far.answers(({ body, framing }) => response(`${framing} ${body}`));
}

for (const [title, seen] of [
  ["of which half was seen", 25_000],
  ["that was seen whole", 50_000],
] as const) {
  test(`(3.5) a PUT ${title} goes to the next machine from its first byte, and the rest as it comes`, async () => {
    await script();
    using client = await RawClient.connect(edge.port);
    const body = bodyOf(50_000);
    client.send(put(body.length) + body.slice(0, seen));
    await breaksOff(seen);
    client.send(body.slice(seen));
    assert.equal((await client.response()).body, `length ${body}`);
    await edge.test.settle();
    assert.equal(far.requests.length, 1);
  });
}

test("(3.5) chunks go to the next machine, with the trailers behind them", async () => {
  await script();
  await far.answers(({ body, raw }) => response(`${body} ${raw.endsWith("0\r\nx-sum: 7\r\n\r\n")}`));
  using client = await RawClient.connect(edge.port);
  client.send("PUT / HTTP/1.1\r\nhost: pair.localhost\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n5\r\nhello\r\n");
  client.send("6\r\n world\r\n0\r\nx-sum: 7\r\n\r\n");
  const first = await near.connection();
  await first.until((text) => text.endsWith("x-sum: 7\r\n\r\n"));
  first.reset();
  assert.equal((await client.response()).body, "hello world true");
});

test("(3.5) over HTTP/2 too", async () => {
  await script();
  using client = await FrameClient.open(edge.test.httpsPort, { ca: rootOf(edge.test), servername: "pair.localhost" });
  const fields = [
    [":method", "PUT"],
    [":scheme", "https"],
    [":path", "/"],
    [":authority", "pair.localhost"],
    ["content-length", "10"],
  ] as const;
  client.send(headers(1, block(fields), FLAG.endHeaders), data(1, "hello", 0));
  await breaksOff(5);
  client.send(data(1, "world"));
  assert.equal((await client.untilOver(1)).body.toString(), "length helloworld");
});

for (const [title, start, seen] of [
  ["whose length says that it is too long", put(MOST_BYTES + 1), 10],
  ["that grows too long", "PUT / HTTP/1.1\r\nhost: pair.localhost\r\ntransfer-encoding: chunked\r\n\r\n", MOST_BYTES + 1],
  ["of a POST", put(100, "POST"), 10],
] as const) {
  test(`(2.7) a body ${title} is not kept: the failure is the answer`, async () => {
    await script();
    using client = await RawClient.connect(edge.port);
    const sent = bodyOf(seen);
    client.send(start + (start.includes("chunked") ? `${seen.toString(16)}\r\n${sent}\r\n` : sent));
    await breaksOff(seen);
    const answer = await client.response();
    assert.equal(answer.status, 502);
    assert.equal(answer.header("kittiwake-error"), "upstream_reset");
    assert.equal(far.connections.length, 0);
  });
}

test("(2.7) all bodies together are bounded, and what ends makes room for others", async () => {
  await script();
  using first = await RawClient.connect(edge.port);
  first.send(put(80_000) + bodyOf(79_999));
  const held = await near.connection();
  await held.until((text) => text.length > 79_999);

  using second = await RawClient.connect(edge.port);
  second.send(put(80_000) + bodyOf(10));
  const refused = await near.connection(1);
  await refused.until((text) => text.endsWith(bodyOf(10)));
  refused.reset();
  assert.equal((await second.response()).status, 502);

  first.send("z");
  await near.request();
  held.send(response("done", ["connection: close"])).end();
  assert.equal((await first.response()).body, "done");

  using third = await RawClient.connect(edge.port);
  third.send(put(80_000) + bodyOf(80_000));
  const left = await near.connection(2);
  await left.until((text) => text.endsWith(bodyOf(80_000)));
  left.reset();
  assert.equal((await third.response()).body, `length ${bodyOf(80_000)}`);
});

test("(3.5) once a response has begun there is no other attempt", async () => {
  await script();
  using client = await RawClient.connect(edge.port);
  client.send(put(100) + bodyOf(10));
  const first = await near.connection();
  await first.until((text) => text.endsWith(bodyOf(10)));
  first.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart");
  await client.until((text) => text.endsWith("part"));
  first.reset();
  await client.untilEnd();
  assert.equal(far.connections.length, 0);
});
