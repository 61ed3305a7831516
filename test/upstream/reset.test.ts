// Sockets that are reset at every moment of their end: each is closed, which Node alone does not see to.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import { reset } from "../../src/upstream/reset.ts";
import { RawClient } from "../support/raw-client.ts";

const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
await once(server, "listening");
after(() => server.close());

const moments: Record<string, (then: () => void) => void> = {
  "at once": (then) => then(),
  "after a microtask": queueMicrotask,
  "after a tick": (then) => process.nextTick(then),
  "after a turn of the event loop": setImmediate,
};

describe("a socket is closed when it is reset", () => {
  for (const [when, wait] of Object.entries(moments)) {
    test(`${when} behind its end, and all that it had sent arrives`, async () => {
      const [client, socket] = await connection();
      using _ = client;
      socket.end("all of it");
      wait(() => reset(socket));
      await once(socket, "close");
      assert.equal(await client.untilEnd(), "all of it");
    });
  }

  test("with its end still to come, behind more than the other side takes, which learns that it was cut short", async () => {
    const [client, socket] = await connection();
    using _ = client;
    client.socket.pause();
    socket.end(Buffer.alloc(32 * 1024 * 1024));
    reset(socket);
    await once(socket, "close");
    client.socket.resume();
    await client.untilEnd();
    assert.equal(client.wasReset, true);
  });
});

async function connection(): Promise<[RawClient, Socket]> {
  const accepted = once(server, "connection");
  const client = await RawClient.connect((server.address() as AddressInfo).port);
  return [client, ((await accepted) as [Socket])[0]];
}
