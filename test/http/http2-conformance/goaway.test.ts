// How the server takes leave of a client when it stops. RFC 9113 section 6.8.

import assert from "node:assert/strict";
import { test } from "node:test";
import { HOST, rootOf, startEdge, type Edge } from "../../support/edge.ts";
import { FrameClient } from "../../support/frame-client.ts";
import { CODE, data, FLAG } from "../../support/frames.ts";
import { response } from "../../support/scripted-backend.ts";
import { ask } from "./suite.ts";

async function connect(edge: Edge): Promise<FrameClient> {
  return await FrameClient.open(edge.test.httpsPort, { ca: rootOf(edge.test), servername: HOST });
}

test("a connection that rests is told that there is no error, and closed (RFC 9113 6.8)", async () => {
  await using edge = await startEdge();
  using client = await connect(edge);
  client.send(ask(1));
  await client.untilOver(1);
  const stopped = edge.test.node.stop();
  await client.untilEnd();
  assert.deepEqual([client.goaway?.code, client.violations], [CODE.noError, []]);
  assert.ok(client.goaway!.lastStream >= 1);
  client.end();
  await stopped;
});

test("what is under way is finished behind GOAWAY, which names it, and then the connection is closed (RFC 9113 6.8)", async () => {
  await using edge = await startEdge();
  await edge.backend.answers((request) => (request.target === "/slow" ? null : response(request.target)));
  using client = await connect(edge);
  client.send(ask(1, "/slow"), ask(3, "/upload", FLAG.endHeaders), data(3, "hello", 0));
  const machine = await edge.backend.connection();
  await edge.backend.request(0);
  const stopped = edge.test.node.stop();
  await client.until(() => client.goaway !== null, "GOAWAY");
  assert.equal(client.goaway!.code, CODE.noError);
  assert.ok(client.goaway!.lastStream >= 3);
  // What the client sends of a stream that the server has taken counts as before.
  client.send(data(3, "world"));
  assert.equal((await client.untilOver(3)).body.toString(), "/upload");
  for (const connection of edge.backend.connections) if (connection.received.includes("/slow")) connection.send(response("slow"));
  assert.equal((await client.untilOver(1)).body.toString(), "slow");
  await client.untilEnd();
  assert.deepEqual([client.goaway!.code, client.violations], [CODE.noError, []]);
  assert.ok(client.goaway!.lastStream >= 3);
  client.end();
  machine.end();
  await stopped;
});

test("a stream that crosses with GOAWAY is answered or can be asked for elsewhere (RFC 9113 6.8)", async () => {
  await using edge = await startEdge();
  await edge.backend.answers((request) => (request.target === "/slow" ? null : response(request.target)));
  using client = await connect(edge);
  client.send(ask(1, "/slow"));
  await edge.backend.request(0);
  const stopped = edge.test.node.stop();
  await client.until(() => client.goaway !== null, "GOAWAY");
  client.send(ask(3, "/crossing"));
  await edge.backend.connection();
  for (const connection of edge.backend.connections) if (connection.received.includes("/slow")) connection.send(response("slow"));
  await client.untilEnd();
  const { hasEnded, reset, fields } = client.on(3);
  const isAnswered = hasEnded && client.status(3) === 200;
  const isRefused = reset === CODE.refusedStream || (fields === null && client.goaway!.lastStream < 3);
  assert.ok(isAnswered || isRefused, client.describe());
  assert.equal(client.on(1).body.toString(), "slow");
  assert.deepEqual(client.violations, []);
  client.end();
  await stopped;
});
