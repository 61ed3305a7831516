// Machines that answer wrongly, by mistake or on purpose: no client takes a wrong body for a whole one, and the next client gets its own
// response.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { get, head, HOST, rootOf, startEdge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import type { Message } from "../support/message.ts";
import { RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";

const edge = await startEdge();
after(() => edge[Symbol.asyncDispose]());

type Case = readonly [title: string, bytes: string];
const OK = "HTTP/1.1 200 OK\r\n";
const STOLEN = response("STOLEN");

/** The machine sends these bytes for a request to /broken and then does as told; all other requests it answers well. */
async function scripted(bytes: string, then: "waits" | "ends" | "resets"): Promise<void> {
  await edge.backend.answers((request, machine) => {
    if (request.target !== "/broken") return response(`well ${request.target}`);
    machine.send(bytes);
    if (then === "ends") machine.end();
    if (then === "resets") setImmediate(() => machine.reset());
    return then === "waits" ? "" : null;
  });
}

/** The next clients of the machine get what is theirs, on the same connection and on another. */
async function assertNextIsWell(): Promise<void> {
  for (let i = 0; i < 2; i++) {
    using client = await edge.connect();
    const answer = await client.send(get(`/next${i}`)).response();
    assert.equal(answer.status, 200);
    assert.equal(answer.body, `well /next${i}`);
  }
  await edge.untilReleased();
}

const MALFORMED: readonly Case[] = [
  ["no HTTP at all", "hello, who are you?\r\n\r\n"],
  ["a request", get()],
  ["a status line without a status", "HTTP/1.1\r\n\r\n"],
  ["a status that is no number", "HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n"],
  ["a status of four digits", "HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n"],
  ["a status of 0", "HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n"],
  ["a status of 600", "HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n"],
  ["HTTP/2", "HTTP/2 200\r\ncontent-length: 0\r\n\r\n"],
  ["HTTP/1.2", "HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n"],
  ["a space before the status line", ` ${STOLEN}`],
  ["an empty line before the status line", `\r\n${STOLEN}`],
  ["a control byte in the reason", "HTTP/1.1 200 O\x01K\r\ncontent-length: 0\r\n\r\n"],
  ["a bare carriage return in the reason", "HTTP/1.1 200 O\rK\r\ncontent-length: 0\r\n\r\n"],
  ["bare line feeds", "HTTP/1.1 200 OK\ncontent-length: 0\n\n"],
  ["a bare line feed in a header", `${OK}x-a: 1\nx-b: 2\r\ncontent-length: 0\r\n\r\n`],
  ["a NUL in a header", `${OK}x-a: 1\0\r\ncontent-length: 0\r\n\r\n`],
  ["a bare carriage return in a header", `${OK}x-a: 1\r2\r\ncontent-length: 0\r\n\r\n`],
  ["a folded header", `${OK}x-a: 1\r\n 2\r\ncontent-length: 0\r\n\r\n`],
  ["a space before a colon", `${OK}content-length : 0\r\n\r\n`],
  ["an empty header name", `${OK}: 1\r\ncontent-length: 0\r\n\r\n`],
  ["a header without a colon", `${OK}x-a\r\ncontent-length: 0\r\n\r\n`],
  ["a head that is too large", `${OK}x-a: ${"a".repeat(40_000)}\r\ncontent-length: 0\r\n\r\n`],
  ["a head that does not end", `${OK}x-a: ${"a".repeat(40_000)}`],
  ["too many headers", `${OK}${"x-a: 1\r\n".repeat(101)}content-length: 0\r\n\r\n`],
  ["a length and chunked", `${OK}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["two different lengths", `${OK}content-length: 5\r\ncontent-length: 6\r\n\r\nhello!`],
  ["the same length twice", `${OK}content-length: 5\r\ncontent-length: 5\r\n\r\nhello`],
  ["a list of lengths", `${OK}content-length: 5, 5\r\n\r\nhello`],
  ["a negative length", `${OK}content-length: -5\r\n\r\nhello`],
  ["a length that is no number", `${OK}content-length: five\r\n\r\nhello`],
  ["a length beyond all numbers", `${OK}content-length: ${"9".repeat(30)}\r\n\r\nhello`],
  ["gzip as transfer coding", `${OK}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ["chunked twice", `${OK}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
  ["identity as transfer coding", `${OK}transfer-encoding: identity\r\n\r\nhello`],
  ["101 that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"],
  ["101 without an Upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ["a malformed interim response", `HTTP/1.1 1x3 Early\r\n\r\n${STOLEN}`],
];

describe("a malformed response is a 502, and its connection is closed:", () => {
  for (const [title, bytes] of MALFORMED) {
    test(title, async () => {
      await scripted(bytes, "waits");
      using client = await edge.connect();
      const answer = await client.send(get("/broken")).response();
      assert.equal(answer.status, 502, answer.raw);
      assert.equal(answer.header("kittiwake-error"), "bad_response");
      assert.equal(answer.raw.includes("STOLEN"), false);
      const [connection] = edge.backend.connections;
      await connection!.untilEnd();
      await assertNextIsWell();
    });
  }
});

describe("a response that is cut short is never taken for a whole one:", () => {
  const cut: readonly Case[] = [
    ["a length, and no body", `${OK}content-length: 100\r\n\r\n`],
    ["a length, and part of the body", `${OK}content-length: 100\r\n\r\nhello`],
    ["a length, and all but one byte", `${OK}content-length: 6\r\n\r\nhello`],
    ["chunked, and nothing", `${OK}transfer-encoding: chunked\r\n\r\n`],
    ["chunked, and part of a size", `${OK}transfer-encoding: chunked\r\n\r\n5`],
    ["chunked, and part of a chunk", `${OK}transfer-encoding: chunked\r\n\r\n5\r\nhel`],
    ["chunked, and whole chunks", `${OK}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n`],
    ["chunked, and half the last chunk", `${OK}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n`],
    ["chunked, and part of a trailer", `${OK}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-a: 1\r\n`],
  ];
  for (const then of ["ends", "resets"] as const) {
    for (const [title, bytes] of cut) {
      for (const scheme of ["http", "https"] as const) {
        test(`${title}; the machine ${then}, over ${scheme}`, async () => {
          await scripted(bytes, then);
          using client =
            scheme === "http"
              ? await edge.connect()
              : await RawClient.connectTls(edge.test.httpsPort, { ca: rootOf(edge.test), servername: HOST });
          await assert.rejects(client.send(get("/broken")).response(), /the connection (ended|was reset) after/);
          await assertNextIsWell();
        });
      }
    }
  }

  test("a body that runs until the connection ends; the machine resets it", async () => {
    await edge.backend.answers((_, machine) => {
      machine.send(`${OK}\r\nhello`);
      return null;
    });
    using client = await edge.connect();
    client.send(get("/broken"));
    await client.until((text) => text.includes("hello"));
    edge.backend.connections[0]!.reset();
    await assert.rejects(client.response(), /the connection (ended|was reset) after/);
  });

  const before: readonly Case[] = [
    ["nothing at all", ""],
    ["half a status line", "HTTP/1.1 2"],
    ["half a head", `${OK}content-length: 5\r\n`],
    ["an interim response only", "HTTP/1.1 103 Early Hints\r\n\r\n"],
  ];
  for (const then of ["ends", "resets"] as const) {
    for (const [title, bytes] of before) {
      test(`${title}; the machine ${then}, which is a 502`, async () => {
        await scripted(bytes, then);
        using client = await edge.connect();
        const answer = await finalResponse(client.send(get("/broken")));
        assert.equal(answer.status, 502);
        assert.match(answer.header("kittiwake-error")!, /^upstream_(closed|reset)$/);
        await assertNextIsWell();
      });
    }
  }
});

describe("a body that turns out to be malformed ends the client's connection:", () => {
  const bad: readonly Case[] = [
    ["a chunk size that is no number", "5\r\nhello\r\nxyz\r\n"],
    ["a negative chunk size", "5\r\nhello\r\n-1\r\n"],
    ["a chunk that is longer than its size", "4\r\nhello\r\n0\r\n\r\n"],
    ["a chunk size beyond all numbers", "fffffffffffffffff\r\nhello\r\n"],
    ["bare line feeds between chunks", "5\nhello\n0\n\n"],
    ["extensions without end", `5;${"a".repeat(5000)}\r\nhello\r\n0\r\n\r\n`],
    ["a malformed trailer", "5\r\nhello\r\n0\r\nx a: 1\r\n\r\n"],
    ["trailers without end", `5\r\nhello\r\n0\r\nx-a: ${"a".repeat(9000)}\r\n\r\n`],
  ];
  for (const [title, body] of bad) {
    test(title, async () => {
      await scripted(`${OK}transfer-encoding: chunked\r\n\r\n${body}`, "waits");
      using client = await edge.connect();
      const outcome = await client
        .send(get("/broken"))
        .response()
        .then(
          ({ status, raw }) => `${status} ${raw}`,
          (error: Error) => error.message,
        );
      assert.match(outcome, /^the connection (ended|was reset) after/);
      assert.equal(client.received.endsWith("0\r\n\r\n"), false);
      await edge.backend.connections[0]!.untilEnd();
      await assertNextIsWell();
    });
  }
});

describe("bytes that nobody asked for reach nobody:", () => {
  const tooMuch: readonly (readonly [title: string, method: string, bytes: string, body: string])[] = [
    ["a second response behind the first", "GET", response("first") + STOLEN, "first"],
    ["a second response behind a chunked one", "GET", `${OK}transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n${STOLEN}`, "first"],
    ["more bytes than the length says", "GET", `${OK}content-length: 5\r\n\r\nfirst and more`, "first"],
    ["a body behind the response to HEAD", "HEAD", response("first"), ""],
    ["a response behind the response to HEAD", "HEAD", `${OK}content-length: 5\r\n\r\n${STOLEN}`, ""],
    ["a body behind 204", "GET", `HTTP/1.1 204 No Content\r\n\r\n${STOLEN}`, ""],
    ["a body behind 304", "GET", `HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nfirst${STOLEN}`, ""],
    ["a body behind a length of 0", "GET", `${OK}content-length: 0\r\n\r\n${STOLEN}`, ""],
    ["an interim response behind the response", "GET", `${response("first")}HTTP/1.1 100 Continue\r\n\r\n`, "first"],
    ["one byte behind the response", "GET", `${response("first")}\n`, "first"],
  ];
  for (const [title, method, bytes, body] of tooMuch) {
    test(`${title}, in one packet`, async () => {
      await scripted(bytes, "waits");
      using client = await edge.connect();
      client.send(head(method, "/broken"));
      assert.equal((await client.response({ toHead: method === "HEAD" })).body, body);
      await edge.backend.connections[0]!.untilEnd();
      // On the same connection of the client, too.
      assert.equal((await client.send(get("/own")).response()).body, "well /own");
      assert.equal(client.rest, "");
      await assertNextIsWell();
    });
  }

  for (const late of [STOLEN, "x", "\r\n", "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"]) {
    test(`${JSON.stringify(late.slice(0, 28))} while the connection rests`, async () => {
      await edge.backend.answers(({ target }) => response(`well ${target}`));
      using client = await edge.connect();
      await client.send(get("/first")).response();
      const [connection] = edge.backend.connections;
      connection!.send(late);
      await connection!.untilEnd();
      assert.equal((await client.send(get("/own")).response()).body, "well /own");
      await assertNextIsWell();
    });
  }
});

test("a flood of bytes behind a response is not read", async () => {
  let sent = 0;
  await edge.backend.answers((_, machine) => {
    machine.send(response("first"));
    const flood = setInterval(() => {
      if (machine.ended) return clearInterval(flood);
      sent += 100_000;
      return void machine.send("x".repeat(100_000));
    }, 1);
    return null;
  });
  using client = await edge.connect();
  assert.equal((await client.send(get()).response()).body, "first");
  await eventually(() => edge.backend.connections[0]!.ended, "the edge to close the connection");
  assert.ok(sent < 50_000_000);
});

async function finalResponse(client: RawClient): Promise<Message> {
  for (;;) {
    const answer = await client.response();
    if (answer.status >= 200) return answer;
  }
}
