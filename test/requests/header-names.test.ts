// Names that an app could take for others: with "_" for "-", or those of an object's own properties.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { get, head, startEdge, type Edge } from "../support/edge.ts";
import type { Message } from "../support/message.ts";
import { response } from "../support/scripted-backend.ts";

const LINES = ["X_Forwarded_For: 6.6.6.6", "X-A: under_score", "Content_Length: 3", "X-B: b", "_: 1", "X-C: c"];
const WITH_TRAILERS = `${head("POST", "/a_b?c_d=e_f", [...LINES, "transfer-encoding: chunked"])}0\r\nx_sum: 1\r\nx-sum: 2\r\n\r\n`;

async function seenWith(underscores: string | null, bytes: string): Promise<{ readonly edge: Edge; readonly received: string }> {
  const edge = await startEdge({ tables: underscores === null ? "" : `[limits]\nunderscores = "${underscores}"` });
  await edge.backend.answers(() => response("ok"));
  using client = await edge.connect();
  client.send(bytes).end();
  return { edge, received: await client.untilEnd() };
}

const named = (request: Message): string[] => request.fields.filter(([name]) => /_|^x-[abc]$/.test(name)).map((field) => field.join(": "));

describe("header names with an underscore", () => {
  for (const setting of [null, "drop"]) {
    test(`are dropped ${setting === null ? "by default" : "where told so"}, trailers too; values and targets are left alone`, async () => {
      const { edge } = await seenWith(setting, WITH_TRAILERS);
      await using _ = edge;
      const request = await edge.backend.request();
      assert.deepEqual(named(request), ["x-a: under_score", "x-b: b", "x-c: c"]);
      assert.deepEqual(request.trailers, ["x-sum: 2"]);
      assert.equal(request.target, "/a_b?c_d=e_f");
      assert.equal(request.header("x-forwarded-for"), "127.0.0.1, 127.0.0.1");
    });
  }

  test("pass where they may", async () => {
    const { edge } = await seenWith("pass", WITH_TRAILERS);
    await using _ = edge;
    const request = await edge.backend.request();
    assert.equal(named(request).length, LINES.length);
    assert.deepEqual(request.trailers, ["x_sum: 1", "x-sum: 2"]);
  });

  test("are refused where they must not be", async () => {
    const { edge, received } = await seenWith("refuse", get("/", ["x-a: under_score"]) + get("/", LINES));
    await using _ = edge;
    assert.match(received, /^HTTP\/1\.1 200 .*HTTP\/1\.1 400 .*\r\nkittiwake-error: bad_header\r\n/s);
    assert.equal(edge.backend.requests.length, 1);
    const trailers = await edge.exchange(`${head("POST", "/", ["transfer-encoding: chunked"])}0\r\nx_sum: 1\r\n\r\n`);
    assert.match(trailers, /^HTTP\/1\.1 400 .*\r\nkittiwake-error: bad_header\r\n/s);
  });

  test("of a response are the app's own business", async () => {
    const edge = await startEdge();
    await using _ = edge;
    await edge.backend.answers(() => response("ok", ["x_app: 1"]));
    using client = await edge.connect();
    assert.equal((await client.send(get()).response()).header("x_app"), "1");
  });
});

test("names that an object has of itself are names like others", async () => {
  await using edge = await startEdge({ tables: '[limits]\nunderscores = "pass"' });
  await edge.backend.answers(() => response("ok", ["__proto__: back", "constructor: 1", "hasOwnProperty: 2"]));
  using client = await edge.connect();
  const lines = ["__proto__: polluted", "constructor: x", "toString: y", "connection: __proto__x, constructor"];
  const answer = await client.send(get("/?__proto__[polluted]=1&constructor.prototype.x=1", lines)).response();
  assert.deepEqual([answer.header("__proto__"), answer.header("constructor"), answer.header("hasownproperty")], ["back", "1", "2"]);
  const request = await edge.backend.request();
  assert.equal(request.target, "/?__proto__[polluted]=1&constructor.prototype.x=1");
  assert.equal(request.header("__proto__"), "polluted");
  assert.equal(request.header("constructor"), null, "named in Connection");
  assert.equal(request.header("tostring"), "y");
  const host = await edge.exchange("GET / HTTP/1.1\r\nhost: __proto__\r\nconnection: close\r\n\r\n");
  assert.match(host, /^HTTP\/1\.1 404 .*\r\nkittiwake-error: unknown_host\r\n/s);
  assert.equal(Object.hasOwn(Object.prototype, "polluted"), false);
});
