// Clients and machines that are slow in the middle of a body: how long each is waited for, and that a steady one is never cut.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import { get, head, HOST, rootOf, startEdge } from "../support/edge.ts";
import { eventually, untilStill } from "../support/eventually.ts";
import { Http2Client, responseOf } from "../support/http2-client.ts";
import { pour, RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";

/** Nobody waits for these: the tests have the time pass (TestNode.passTime). */
const CLIENT_MS = 60_000;
const BYTES_PER_SECOND = 1000;
const ANSWER_MS = 50_000;
const SILENCE_MS = 40_000;
const TUNNEL_MS = 50_000;
const LARGE_BYTES = 32 * 1024 * 1024;
/** How often a slow one moves something. */
const EVERY_MS = 3000;
/** Twice what it has to move in that time. */
const STEADY = "x".repeat((2 * BYTES_PER_SECOND * EVERY_MS) / 1000);
/** How often, to be steady for three times as long as it may be silent. */
const PIECES = (3 * CLIENT_MS) / EVERY_MS;

const edge = await startEdge({
  tables: `
[timeouts]
client_idle = "${CLIENT_MS}ms"
upstream_head = "${ANSWER_MS}ms"
upstream_silence = "${SILENCE_MS}ms"
tunnel_idle = "${TUNNEL_MS}ms"
[limits]
client_bytes_per_second = ${BYTES_PER_SECOND}
held_body_bytes = 0
`,
});
after(() => edge[Symbol.asyncDispose]());

/** Takes a step every now and then, for almost as long as a time-out; whoever is not to gain by it ends with that. */
async function endsNonetheless<Result>(ms: number, work: Promise<Result>, step: () => void): Promise<Result> {
  for (let passedMs = 0; passedMs < ms * 0.8; passedMs += EVERY_MS) {
    step();
    await edge.test.passTime(EVERY_MS);
  }
  return await edge.test.endsAfter(ms * 0.2, work);
}

async function connect(scheme: "http" | "https"): Promise<RawClient> {
  if (scheme === "http") return await edge.connect();
  return await RawClient.connectTls(edge.test.httpsPort, { ca: rootOf(edge.test), servername: HOST });
}

for (const scheme of ["http", "https"] as const) {
  describe(`a client over ${scheme}`, () => {
    test("that falls silent in its body is a 408", async () => {
      await edge.backend.answers(() => null);
      using client = await connect(scheme);
      client.send(`${head("POST", "/", ["content-length: 100000"])}begun`);
      await (await edge.backend.connection()).until((text) => text.endsWith("begun"));
      const received = await edge.test.endsAfter(CLIENT_MS, client.untilEnd());
      assert.match(received, /^HTTP\/1\.1 408 /);
      assert.match(received, /kittiwake-error: request_timeout\r\n/);
      await edge.untilReleased();
    });

    test("that trickles its body has hardly more time than one that is silent", async () => {
      await edge.backend.answers(() => null);
      using client = await connect(scheme);
      client.send(head("POST", "/", ["content-length: 100000"]));
      await edge.backend.connection();
      const received = await endsNonetheless(CLIENT_MS, client.untilEnd(), () => client.send("x"));
      assert.match(received, /^HTTP\/1\.1 408 /);
      await edge.untilReleased();
    });

    test("that sends steadily has all the time it needs", async () => {
      await edge.backend.answers(({ body }) => response(String(body.length)));
      using client = await connect(scheme);
      client.send(head("POST", "/", [`content-length: ${PIECES * STEADY.length}`]));
      for (let i = 0; i < PIECES; i++) {
        client.send(STEADY);
        await edge.test.passTime(EVERY_MS);
      }
      assert.equal((await client.response()).body, String(PIECES * STEADY.length));
    });

    test("that does not read, or hardly, is cut, and what it got does not look complete", async () => {
      for (const isTrickling of [false, true]) {
        await edge.backend.answers(() => response("x".repeat(LARGE_BYTES)));
        using client = await connect(scheme);
        client.send(get());
        await client.until((text) => text.length > 100);
        client.socket.pause();
        const trickle = (): boolean => {
          if (isTrickling) client.socket.read(10);
          return edge.inFlight === 0;
        };
        const tookMs = await edge.test.passTimeUntil(trickle, EVERY_MS);
        assert.ok(tookMs >= CLIENT_MS * 0.9, `${tookMs} ms`);
        client.socket.resume();
        const received = await client.untilEnd();
        assert.ok(received.length < LARGE_BYTES);
      }
    });
  });
}

describe("a stream of a client over HTTP/2", () => {
  test("that trickles its body is a 408, and its connection goes on", async () => {
    await edge.backend.answers(() => null);
    using client = await Http2Client.connect(edge.test);
    const stream = client.open({ ":method": "POST" }, false);
    await edge.backend.connection();
    const answer = once(stream, "response");
    const [headers] = (await endsNonetheless(CLIENT_MS, answer, () => stream.write("x"))) as [{ ":status": number }];
    assert.equal(headers[":status"], 408);
    await edge.backend.answers(() => response("well"));
    assert.equal((await client.get("/")).body, "well");
    await edge.untilReleased();
  });

  test("that sends steadily has all the time it needs", async () => {
    await edge.backend.answers(({ body }) => response(String(body.length)));
    using client = await Http2Client.connect(edge.test);
    const stream = client.open({ ":method": "POST" }, false);
    const answer = responseOf(stream);
    for (let i = 0; i < PIECES; i++) {
      stream.write(STEADY);
      await edge.test.passTime(EVERY_MS);
    }
    stream.end();
    assert.equal((await answer).body, String(PIECES * STEADY.length));
  });

  test("that takes its response byte by byte is reset", async () => {
    await edge.backend.answers(() => response("x".repeat(1000)));
    const tls = { ca: rootOf(edge.test), servername: HOST, ALPNProtocols: ["h2"] };
    using client = await RawClient.connectTls(edge.test.httpsPort, tls);
    const noWindow = Buffer.from([0, 4, 0, 0, 0, 0]);
    // :method GET, :scheme https, :path /, :authority (RFC 7541 appendix A)
    const block = Buffer.concat([Buffer.from([0x82, 0x87, 0x84, 0x01, HOST.length]), Buffer.from(HOST)]);
    client
      .send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
      .send(frame(4, 0, 0, noWindow))
      .send(frame(1, 0x05, 1, block));
    await edge.backend.request();
    // RST_STREAM of the stream.
    const reset = frame(3, 0, 1, Buffer.alloc(4)).subarray(0, 9).toString("latin1");
    const wasReset = client.until((text) => text.includes(reset));
    const received = await endsNonetheless(CLIENT_MS, wasReset, () => client.send(frame(8, 0, 1, Buffer.from([0, 0, 0, 1]))));
    assert.ok(received.includes(frame(0, 0, 1, Buffer.from("x")).toString("latin1")), "it got some");
    await edge.untilReleased();
  });
});

describe("a machine that is silent", () => {
  test("in the middle of its response is cut, and so is the response", async () => {
    for (const framing of ["content-length: 100", "transfer-encoding: chunked", "x-framing: until the end"]) {
      await edge.backend.answers((_, machine) => {
        machine.send(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n`);
        return null;
      });
      using client = await edge.connect();
      await client.send(get()).until((text) => text.includes("\r\n\r\n"));
      await edge.test.endsAfter(SILENCE_MS, client.untilEnd());
      assert.equal(client.wasReset, true);
      assert.doesNotMatch(client.received, /\r\n0\r\n\r\n$/);
      await edge.untilReleased();
    }
  });

  test("but speaks now and then may go on for ever", async () => {
    await edge.backend.answers((_, machine) => {
      machine.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
      return null;
    });
    using client = await edge.connect();
    await client.send(get()).until((text) => text.includes("\r\n\r\n"));
    const machine = await edge.backend.connection();
    for (let i = 0; i < 5; i++) {
      await edge.test.passTime(SILENCE_MS * 0.9);
      machine.send("data: still here\n\n");
    }
    machine.end();
    assert.equal((await client.response()).body, "data: still here\n\n".repeat(5));
  });

  test("may be so while its client goes on sending, and has its whole time after that", async () => {
    await edge.backend.answers(() => null);
    using client = await edge.connect();
    client.send(head("POST", "/", ["content-length: 8"]));
    const machine = await edge.backend.connection();
    machine.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    await client.until((text) => text.includes("\r\n\r\n"));
    // Slower than a client may be whose request has no response yet: this is a conversation.
    for (let i = 0; i < 8; i++) {
      await edge.test.passTime(SILENCE_MS / 2);
      client.send("x");
    }
    for (let i = 0; i < 5; i++) {
      await edge.test.passTime(SILENCE_MS / 2);
      machine.send("y");
    }
    assert.equal((await client.response()).body, "yyyyy");
  });

  test("and takes nothing more of a body after its response has begun is cut", async () => {
    await edge.backend.answers(() => null);
    using client = await edge.connect();
    client.send(head("POST", "/", ["content-length: 100000000"]));
    const machine = await edge.backend.connection();
    machine.socket.pause();
    machine.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    await client.until((text) => text.includes("\r\n\r\n"));
    await untilStill(pour(client));
    await edge.test.endsAfter(SILENCE_MS, client.untilEnd());
    assert.equal(client.wasReset, true);
    await edge.untilReleased();
    machine.socket.destroy();
  });
});

test("a request that goes on and on is cut when its time in all is up, and a tunnel is not", async () => {
  const TOTAL_MS = 60_000;
  await using bounded = await startEdge({ tables: `[timeouts]\ntotal = "${TOTAL_MS}ms"` });
  await bounded.backend.answers(() => null);
  using waiting = await bounded.connect();
  waiting.send(get());
  await bounded.backend.request();
  const answer = await bounded.test.endsAfter(TOTAL_MS, waiting.response());
  assert.deepEqual([answer.status, answer.header("kittiwake-error")], [504, "total_timeout"]);
  await bounded.backend.answers((_, machine) => {
    machine.send("HTTP/1.1 200 OK\r\n\r\n");
    return null;
  });
  using reading = await bounded.connect();
  await reading.send(get()).until((text) => text.includes("\r\n\r\n"));
  const machine = await bounded.backend.connection();
  for (let i = 0; i < 5; i++) {
    await bounded.test.passTime(TOTAL_MS / 10);
    machine.send("more");
  }
  await bounded.test.endsAfter(TOTAL_MS / 2, reading.untilEnd());
  assert.equal(reading.wasReset, true);
  await bounded.untilReleased();
  await bounded.backend.answers((_, machine) => {
    machine.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    return null;
  });
  using talking = await bounded.connect();
  await talking.send(get("/", ["connection: upgrade", "upgrade: websocket"])).response();
  await bounded.test.passTime(2 * TOTAL_MS);
  talking.send("still here");
  await (await bounded.backend.connection()).until((text) => text.endsWith("still here"));
});

test("a client and a machine of which neither reads what the other sends are both cut", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(head("POST", "/", [`content-length: ${LARGE_BYTES}`]));
  const machine = await edge.backend.connection();
  machine.socket.pause();
  client.send(Buffer.alloc(LARGE_BYTES));
  client.socket.pause();
  machine.send(response("x".repeat(LARGE_BYTES)));
  await eventually(() => edge.inFlight === 1, "the request in flight");
  await edge.test.passTimeUntil(() => edge.inFlight === 0, EVERY_MS);
  machine.socket.destroy();
});

describe("a tunnel", () => {
  const UPGRADE = get("/", ["connection: upgrade", "upgrade: websocket"]);
  const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

  async function open(): Promise<{ client: RawClient; machine: RawClient }> {
    await edge.backend.answers((_, connection) => {
      connection.send(SWITCHED);
      return null;
    });
    const client = await edge.connect();
    await client.send(UPGRADE).response();
    return { client, machine: await edge.backend.connection() };
  }

  test("is cut on both sides when nothing passes for tunnel_idle", async () => {
    const { client, machine } = await open();
    using _ = client;
    await edge.test.endsAfter(TUNNEL_MS, client.untilEnd());
    await machine.untilEnd();
    await edge.untilReleased();
  });

  test("stays open as long as either side says something", async () => {
    const { client, machine } = await open();
    using _ = client;
    for (const [from, to] of [
      [client, machine],
      [machine, client],
    ] as const) {
      const before = to.rest;
      for (let i = 1; i <= 5; i++) {
        await edge.test.passTime(TUNNEL_MS / 2);
        from.send("x");
        await to.until(() => to.rest === before + "x".repeat(i));
      }
    }
  });

  test("whose ends are silent is asked by the kernel whether they are still there", async () => {
    const { client } = await open();
    using _ = client;
    const [machine] = edge.backend.connections;
    await eventually(() => hasKeepAlive(edge.port, client.socket.localPort!), "keep-alive of the client's connection");
    await eventually(() => hasKeepAlive(machine!.socket.remotePort!, edge.backend.port), "keep-alive of the machine's connection");
  });
});

/** Does a timer run for this connection that is not one of retransmission? proc_net_tcp: `tr` is 2 for keep-alive. */
function hasKeepAlive(localPort: number, remotePort: number): boolean {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, "0");
  const rows = readFileSync("/proc/self/net/tcp", "utf8").split("\n");
  const row = rows
    .map((line) => line.trim().split(/\s+/))
    .find((cells) => {
      const [, local = "", remote = ""] = cells;
      return local.endsWith(`:${hex(localPort)}`) && remote.endsWith(`:${hex(remotePort)}`);
    });
  return row?.[5]?.startsWith("02:") ?? false;
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream]), payload]);
}
