// Clients that leave in the middle: the machine's connection is closed, and the place on the machine is given back.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { get, head, HOST, rootOf, startEdge } from "../support/edge.ts";
import { eventually, untilStill } from "../support/eventually.ts";
import { pour, RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";

const edge = await startEdge();
after(() => edge[Symbol.asyncDispose]());

const LARGE = Buffer.alloc(4 * 1024 * 1024);

async function connect(scheme: "http" | "https"): Promise<RawClient> {
  if (scheme === "http") return await edge.connect();
  return await RawClient.connectTls(edge.test.httpsPort, { ca: rootOf(edge.test), servername: HOST });
}

/** What the client does to leave. */
const WAYS = {
  reset: (client: RawClient) => client.reset(),
  close: (client: RawClient) => client.socket.destroy(),
} as const;

async function untilAllIsLetGo(): Promise<void> {
  await edge.untilReleased();
  await eventually(() => edge.backend.open === 0, "the machine's connection to be closed");
}

for (const scheme of ["http", "https"] as const) {
  for (const [way, leave] of Object.entries(WAYS)) {
    test(`in the middle of its upload over ${scheme}, by ${way}`, async () => {
      await edge.backend.answers(() => null);
      using client = await connect(scheme);
      client.send(`${head("POST", "/", ["content-length: 100000"])}part`);
      const machine = await edge.backend.connection();
      await machine.until((text) => text.endsWith("part"));
      assert.equal(edge.inFlight, 1);
      leave(client);
      await untilAllIsLetGo();
      assert.equal(edge.backend.requests.length, 0, "the machine cannot take the part for the whole");
    });

    test(`in the middle of its download over ${scheme}, by ${way}`, async () => {
      await edge.backend.answers((_, machine) => {
        machine.send(`HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n`).send(LARGE);
        const more = setInterval(() => (machine.ended ? clearInterval(more) : machine.send(LARGE)), 5);
        return null;
      });
      using client = await connect(scheme);
      await client.send(get()).until((text) => text.length > 1_000_000);
      assert.equal(edge.inFlight, 1);
      leave(client);
      await untilAllIsLetGo();
    });
  }

  test(`while it waits for its response over ${scheme}, by reset`, async () => {
    await edge.backend.answers(() => null);
    using client = await connect(scheme);
    client.send(get());
    await edge.backend.request();
    assert.equal(edge.inFlight, 1);
    client.reset();
    await untilAllIsLetGo();
  });

  test(`in the middle of a download that it does not read over ${scheme}, by reset`, async () => {
    await edge.backend.answers((_, machine) => {
      machine.send(`HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n`);
      return null;
    });
    using client = await connect(scheme);
    client.send(get());
    await client.until((text) => text.length > 0);
    client.socket.pause();
    await untilStill(pour(await edge.backend.connection()));
    client.reset();
    await untilAllIsLetGo();
  });
}

test("a client that only closed its sending side is not taken for one that left", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(get()).end();
  await edge.backend.request();
  await edge.test.settle();
  assert.equal(edge.inFlight, 1);
  edge.backend.connections[0]!.send(response("late"));
  assert.equal((await client.response()).body, "late");
  await client.untilEnd();
  await edge.untilReleased();
});

test("a client that closed everything while it waited is noticed when its response comes", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(get());
  await edge.backend.request();
  client.socket.destroy();
  const [machine] = edge.backend.connections;
  machine!.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  const beat = setInterval(() => machine!.send("1\r\nx\r\n"), 5);
  await untilAllIsLetGo().finally(() => clearInterval(beat));
});

test("a client that closes its sending side in the middle of its request is gone", async () => {
  await edge.backend.answers(() => null);
  using client = await edge.connect();
  client.send(`${head("POST", "/", ["content-length: 100000"])}part`);
  await (await edge.backend.connection()).until((text) => text.endsWith("part"));
  client.end();
  await untilAllIsLetGo();
  await client.untilEnd();
  assert.equal(client.received, "");
});

test("clients that leave at every moment at once leave nothing behind", async () => {
  await edge.backend.answers((request, machine) => {
    if (request.target === "/wait") return null;
    machine.send(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE.length}\r\n\r\n`).send(LARGE.subarray(0, 1_000_000));
    return null;
  });
  const clients = await Promise.all(Array.from({ length: 60 }, (_, i) => connect(i % 2 === 0 ? "http" : "https")));
  for (const [i, client] of clients.entries()) {
    if (i % 3 === 0) client.send(`${head("PUT", "/up", ["content-length: 100000"])}part`);
    else client.send(get(i % 3 === 1 ? "/wait" : "/down"));
  }
  for (const [i, client] of clients.entries()) {
    if (i % 5 === 0) await delay(1);
    client.reset();
  }
  await untilAllIsLetGo();
  await edge.backend.answers(() => response("fine"));
  using client = await edge.connect();
  assert.equal((await client.send(get()).response()).body, "fine");
});
