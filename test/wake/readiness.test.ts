import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { describe, it } from "node:test";

import { pauseMs, waitUntilListening } from "../../src/wake/readiness.ts";

describe("waiting for a port", () => {
  it("ends as soon as it accepts, and leaves no connection behind", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    const wait = waitUntilListening({ host: "127.0.0.1", port }, AbortSignal.timeout(5000));
    setImmediate(() => server.listen(port, "127.0.0.1"));
    await wait;
    server.close();
    await once(server, "close");
  });

  it("ends with the reason of the one who gave up", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    const stop = new AbortController();
    const wait = waitUntilListening({ host: "127.0.0.1", port }, stop.signal);
    setImmediate(() => stop.abort(new Error("enough")));
    await assert.rejects(wait, { message: "enough" });
  });

  it("tries a few milliseconds apart at first, and less often later", () => {
    assert.deepEqual([0, 80, 400, 1000, 29_999, 30_000].map(pauseMs), [2, 2, 10, 25, 25, 1000]);
  });
});
