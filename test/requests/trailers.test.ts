// Fields behind a body: passed on both ways wherever there can be any, without those that may not stand there, and bounded.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { get, head, HOST, startEdge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { response } from "../support/scripted-backend.ts";

const edge = await startEdge({
  tables: "[limits]\ntrailer_bytes = 200\ntrailers = 4",
});
after(() => edge[Symbol.asyncDispose]());

const CHUNKED = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
/** What may not be a trailer: it would frame, route, authorise or describe what has passed already. */
const FORBIDDEN = ["Host: x", "Content-Length: 5", "Cookie: a=b", "Fly-Region: x", "X-Forwarded-For: x", "Content-Type: x"];

describe("trailers of a request", () => {
  const post = head("POST", "/", ["transfer-encoding: chunked", "trailer: x-sum, host"]);

  test("reach the machine, with their announcement", async () => {
    await edge.backend.answers(() => response("ok"));
    using client = await edge.connect();
    client.send(`${post}5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-note:two \r\n\r\n`);
    assert.equal((await client.response()).status, 200);
    const request = await edge.backend.request();
    assert.equal(request.body, "hello");
    assert.deepEqual(request.trailers, ["X-Sum: 1", "x-note: two"]);
    assert.equal(request.header("trailer"), "x-sum");
  });

  test("reach the machine behind an empty body, in however many pieces they come", async () => {
    await edge.backend.answers(() => response("ok"));
    using client = await edge.connect();
    for (const byte of `${post}0\r\nx-sum: 1\r\n\r\n`) {
      client.send(byte);
      await new Promise(setImmediate);
    }
    assert.equal((await client.response()).status, 200);
    assert.deepEqual((await edge.backend.request()).trailers, ["x-sum: 1"]);
  });

  test("that may not be trailers stay behind, and so do those that Connection names", async () => {
    await edge.backend.answers(() => response("ok"));
    using client = await edge.connect();
    for (const line of FORBIDDEN) {
      client.send(`${head("POST", "/", ["transfer-encoding: chunked", "connection: x-hop"])}0\r\n${line}\r\nx-hop: 1\r\n\r\n`);
      assert.equal((await client.response()).status, 200);
      assert.deepEqual(edge.backend.requests.at(-1)!.trailers, [], line);
    }
  });

  test("are not sent twice: a machine that failed behind them is not asked again", async () => {
    await edge.backend.answers((_, connection) => {
      connection.socket.destroy();
      return null;
    });
    using client = await edge.connect();
    client.send(`${head("PUT", "/", ["transfer-encoding: chunked"])}0\r\nx-sum: 1\r\n\r\n`);
    assert.equal((await client.response()).status, 502);
    assert.equal(edge.backend.connections.length, 1);
  });

  for (const [title, trailers] of [
    ["too many", "a: 1\r\n".repeat(5)],
    ["too large", `a: ${"a".repeat(200)}\r\n`],
    ["endless", `a: ${"a".repeat(10_000)}`],
  ] as const) {
    test(`that are ${title} get 431, and the machine never sees the end of the request`, async () => {
      await edge.backend.answers(() => null);
      const received = await edge.exchange(`${post}0\r\n${trailers}\r\n`);
      assert.match(received, /^HTTP\/1\.1 431 .*\r\nkittiwake-error: head_too_large\r\n/s);
      await eventually(() => edge.backend.open === 0, "the machine's connection to be closed");
      assert.equal(edge.backend.requests.length, 0);
      await edge.untilReleased();
    });
  }
});

describe("trailers of a response", () => {
  const withTrailers = `${CHUNKED}trailer: Server-Timing, set-cookie\r\n\r\n3\r\nabc\r\n0\r\nServer-Timing:db \r\nX-Sum: 1\r\n`;

  test("reach the client, with their announcement, asked for by TE or not", async () => {
    await edge.backend.answers(() => `${withTrailers}\r\n`);
    using client = await edge.connect();
    for (const lines of [[], ["TE: trailers"]]) {
      const answer = await client.send(get("/", lines)).response();
      assert.equal(answer.body, "abc");
      assert.deepEqual(answer.trailers, ["Server-Timing: db", "X-Sum: 1"]);
      assert.equal(answer.header("trailer"), "Server-Timing");
      assert.equal(answer.header("connection"), null, "the connection goes on");
    }
  });

  test("that may not be trailers stay behind, and so do those that Connection names", async () => {
    for (const line of [...FORBIDDEN, "Set-Cookie: a=b", "Location: /x", "Via: x"]) {
      await edge.backend.answers(() => `${CHUNKED}connection: x-hop\r\n\r\n0\r\n${line}\r\nx-hop: 1\r\n\r\n`);
      using client = await edge.connect();
      assert.deepEqual((await client.send(get()).response()).trailers, [], line);
    }
  });

  test("are dropped for a client of HTTP/1.0, and with the answer to HEAD", async () => {
    await edge.backend.answers(({ method }) =>
      method === "HEAD" ? withTrailers.slice(0, withTrailers.indexOf("3\r\n")) : `${withTrailers}\r\n`,
    );
    const received = await edge.exchange(`GET / HTTP/1.0\r\nhost: ${HOST}\r\n\r\n`);
    assert.match(received, /\r\n\r\nabc$/);
    assert.doesNotMatch(received, /trailer|sum/i);
    using client = await edge.connect();
    assert.equal((await client.send(head("HEAD")).response({ toHead: true })).header("trailer"), null);
  });

  test("that are cut off are not passed off as complete", async () => {
    await edge.backend.answers((_, connection) => {
      connection.send(withTrailers).end();
      return null;
    });
    using client = await edge.connect();
    await client.send(get()).untilEnd();
    assert.ok(client.wasReset);
    assert.ok(!client.received.includes("0\r\n"), client.received);
  });

  for (const [title, trailers] of [
    ["too many", "a: 1\r\n".repeat(5)],
    ["too large", `a: ${"a".repeat(200)}\r\n`],
  ] as const) {
    test(`that are ${title} cut the response off, and the machine's connection is not used again`, async () => {
      await edge.backend.answers(() => `${CHUNKED}\r\n3\r\nabc\r\n0\r\n${trailers}\r\n`);
      using client = await edge.connect();
      await client.send(get()).untilEnd();
      assert.ok(client.wasReset);
      await eventually(() => edge.backend.open === 0, "the machine's connection to be closed");
    });
  }
});

describe("TE", () => {
  test("stands beside the end of a connection that is not kept", async () => {
    await using once = await startEdge({ edit: (text) => text.replace('type = "requests"', 'type = "connections"') });
    await once.backend.answers(() => response("ok"));
    using client = await once.connect();
    assert.equal((await client.send(get("/", ["TE: trailers"])).response()).status, 200);
    const request = await once.backend.request();
    assert.deepEqual([request.header("te"), request.header("connection")], ["trailers", "close, te"]);
  });

  const seenTe = async (version: string, lines: readonly string[]): Promise<(string | null)[]> => {
    await edge.backend.answers(() => response("ok"));
    await edge.exchange(
      `GET / HTTP/${version}\r\nhost: ${HOST}\r\n${lines.map((line) => `${line}\r\n`).join("")}connection: close\r\n\r\n`,
    );
    const request = await edge.backend.request();
    return [request.header("te"), request.header("connection")];
  };

  test("says to the machine that trailers are wanted, exactly where the client said so", async () => {
    assert.deepEqual(await seenTe("1.1", ["TE: trailers", "Connection: TE"]), ["trailers", "te"]);
    assert.deepEqual(await seenTe("1.1", ["te: gzip;q=0.5, Trailers"]), ["trailers", "te"]);
    assert.deepEqual(await seenTe("1.1", ["te: gzip", "te: trailers"]), ["trailers", "te"]);
    assert.deepEqual(await seenTe("1.1", ["te: gzip, xtrailers"]), [null, null]);
    assert.deepEqual(await seenTe("1.1", []), [null, null]);
    assert.deepEqual(await seenTe("1.0", ["TE: trailers"]), [null, null]);
  });
});
