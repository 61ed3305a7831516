// Sockets that are read past Node's queue: bytes come in order, a pause holds them back, and the end comes last. Real sockets.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";

import { readDirectly } from "../../src/edge/read-directly.ts";

interface Pair {
  readonly ours: Socket;
  readonly client: Socket;
}

async function createPair(context: TestContext): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [ours] = (await accepted) as [Socket];
  context.after(() => {
    for (const socket of [ours, client]) socket.destroy();
    server.close();
  });
  readDirectly(ours);
  return { ours, client };
}

test("bytes come in order, those that came during a pause before the later ones, and the end comes last", async (context) => {
  const { ours, client } = await createPair(context);
  let text = "";
  let hasEnded = false;
  ours.on("data", (chunk: Buffer) => {
    assert.equal(hasEnded, false);
    assert.equal(ours.isPaused(), false, "a chunk came to a paused socket");
    text += chunk.toString("latin1");
    ours.pause();
    setImmediate(() => ours.resume());
  });
  ours.on("end", () => (hasEnded = true));
  let sent = "";
  for (let piece = 0; piece < 300; piece++) {
    const bytes = `${piece},`.repeat(1 + ((piece * 37) % 500));
    sent += bytes;
    client.write(bytes);
    if (piece % 7 === 0) await new Promise((resolve) => void setImmediate(resolve));
  }
  client.end();
  await once(ours, "end");
  assert.equal(text, sent);
});

test("an end that comes during a pause waits for it", async (context) => {
  const { ours, client } = await createPair(context);
  const chunks: string[] = [];
  ours.on("data", (chunk: Buffer) => chunks.push(chunk.toString("latin1")));
  ours.on("end", () => chunks.push("end"));
  client.write("first");
  await once(ours, "data");
  ours.pause();
  client.end("last");
  while (ours.readableLength === 0) await new Promise((resolve) => void setImmediate(resolve));
  assert.deepEqual(chunks, ["first"]);
  ours.resume();
  await once(ours, "end");
  assert.deepEqual(chunks, ["first", "last", "end"]);
});

test("a paused socket takes a bounded amount, and reads on when it is resumed", async (context) => {
  const { ours, client } = await createPair(context);
  let received = 0;
  ours.on("data", (chunk: Buffer) => (received += chunk.length));
  client.write("x");
  await once(ours, "data");
  ours.pause();
  const bytes = 32 * 1024 * 1024;
  client.end(Buffer.alloc(bytes));
  // A write of that size is not over before the other side has read most of it.
  const full = ours.readableHighWaterMark;
  while (ours.readableLength < full) await new Promise((resolve) => void setImmediate(resolve));
  await new Promise((resolve) => void setImmediate(() => setImmediate(resolve)));
  assert.ok(ours.readableLength < full + 64 * 1024 + 1, `${ours.readableLength} bytes are held`);
  assert.equal(received, 1);
  ours.resume();
  await once(ours, "end");
  assert.equal(received, bytes + 1);
});
