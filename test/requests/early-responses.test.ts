// Machines that answer before they have the whole request.

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { after, test } from "node:test";
import { get, head, startEdge, type Edge } from "../support/edge.ts";
import { eventually, isSoWithin } from "../support/eventually.ts";
import { response } from "../support/scripted-backend.ts";

const edge: Edge = await startEdge();
after(() => edge[Symbol.asyncDispose]());

const LARGE = Buffer.alloc(8 * 1024 * 1024);

test("a response that comes while the body is still sent reaches the client whole, and the connection is closed", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(head("POST", "/", [`content-length: ${LARGE.length}`])).send(LARGE.subarray(0, 100_000));
  const machine = await edge.backend.connection();
  await machine.until((text) => text.length > 100_000);
  machine.send(response("x".repeat(200_000), [], "413 Too Large"));
  const answer = await client.response();
  assert.equal(answer.status, 413);
  assert.equal(answer.body.length, 200_000);
  assert.equal(answer.header("connection"), "close");
  client.send(LARGE.subarray(100_000));
  await client.untilEnd();
  await eventually(() => edge.backend.open === 0, "the machine's connection to be closed");
  await edge.untilReleased();
});

test("a response that is streamed while the body is still sent goes on until both are complete", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(head("POST", "/", ["transfer-encoding: chunked"]));
  const machine = await edge.backend.connection();
  machine.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  for (const word of ["one", "two", "three"]) {
    client.send(`${word.length.toString(16)}\r\n${word}\r\n`);
    await machine.until((text) => text.endsWith(`${word}\r\n`));
    machine.send(`${word.length.toString(16)}\r\n${word}\r\n`);
    await client.until((text) => text.endsWith(`${word}\r\n`));
  }
  client.send("0\r\n\r\n");
  await machine.until((text) => text.endsWith("0\r\n\r\n"));
  machine.send("0\r\n\r\n");
  assert.equal((await client.response()).body, "onetwothree");
});

test("a machine that answers and closes in the middle of an upload has answered, every time", async () => {
  // The edge may hear of the reset by a write before it has read the response that came in front of it.
  for (let round = 0; round < 40; round++) {
    await edge.backend.answers(() => null);
    using client = await edge.connect();
    client.send(head("POST", "/", [`content-length: ${LARGE.length}`]));
    const upload = pipeline(Readable.from(blocks(), { objectMode: false }), client.socket, { end: false }).catch(() => {});
    const machine = await edge.backend.connection();
    await machine.until((text) => text.length > 50_000);
    machine.send(response("no, thanks", [], "413 Too Large")).socket.destroySoon();
    const answer = await client.response();
    assert.equal(answer.status, 413, `round ${round}: ${answer.raw}`);
    assert.equal(answer.body, "no, thanks");
    client.socket.destroy();
    await upload;
  }
});

test("a connection goes on after a response that came while the end of the body was still on its way to the machine", async () => {
  const answered = response("early");
  await edge.backend.answers(({ target }) => (target === "/early" ? "" : response(target)));
  let least = 64 * 1024;
  let most = LARGE.length;
  // The largest body that the edge reads to its end, with some of it still in its hands.
  while (most - least > 16 * 1024) {
    const bytes = (least + most) >> 1;
    const index = edge.backend.connections.length;
    using client = await edge.connect();
    // A connection of its own at the machine, which reads nothing for now.
    client.send(head("POST", "/early", [`content-length: ${bytes}`]));
    const machine = await edge.backend.connection(index);
    machine.socket.pause();
    client.send(LARGE.subarray(0, bytes));
    if (await isSoWithin(60, () => client.socket.writableLength === 0)) await edge.test.settle();
    machine.send(answered);
    const answer = await client.response();
    assert.equal(answer.body, "early");
    if (answer.header("connection") === "close") most = bytes;
    else {
      least = bytes;
      client.send(get("/next"));
      machine.socket.resume();
      assert.equal((await client.response()).body, "/next");
    }
    // The next client wants one that nothing was written to.
    machine.socket.destroy();
    await eventually(() => edge.backend.open === 0, "the connections to be gone");
  }
  assert.ok(least > 64 * 1024);
});

function* blocks(): Generator<Buffer> {
  for (let at = 0; at < LARGE.length; at += 64 * 1024) yield LARGE.subarray(at, at + 64 * 1024);
}
