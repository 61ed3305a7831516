// The client of the admin API against the real server.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";

import { AdminClient } from "../../src/admin/client.ts";
import { RunningServer } from "./running-server.ts";

const TOKEN = "0123456789abcdef";

describe("a client", () => {
  test("gets what the node says, with the names that the wire has", async () => {
    await using server = await RunningServer.start();
    await using client = new AdminClient({ url: `${server.url}/`, token: null });
    assert.equal((await client.status()).listeners[0]?.public_port, 443);
    assert.deepEqual(
      (await client.apps()).map(({ name }) => name),
      ["hello", "slow"],
    );
    assert.equal((await client.machines("hello")).length, 3);
    assert.equal((await client.machine("hello", "nrt")).id, "hello-nrt");
    assert.deepEqual(
      [(await client.explain("https://hello/?a=b&c", [])).url, (await client.explain("hello", [["region", "nrt"]])).region],
      ["https://hello/?a=b&c", "nrt"],
    );
    await client.act("start", "hello", "nrt");
    assert.deepEqual(server.control.asked, ["start hello hello-nrt"]);
  });

  test("shows its token", async () => {
    await using server = await RunningServer.start({ token: TOKEN });
    await using client = new AdminClient({ url: server.url, token: TOKEN });
    assert.equal((await client.status()).node, "ams-1");
    await using stranger = new AdminClient({ url: server.url, token: null });
    await assert.rejects(stranger.status(), { code: "unauthorized" });
  });

  test("throws the node's own errors", async () => {
    await using server = await RunningServer.start();
    await using client = new AdminClient({ url: server.url, token: null });
    await assert.rejects(client.machine("hello", "a/../b"), { code: "machine_not_found", message: 'app "hello" has no machine "a/../b"' });
    await assert.rejects(client.act("suspend", "hello", "ord"), { code: "machine_state", message: "the machine is stopped" });
  });

  test("takes a refused reload for a result", async () => {
    await using server = await RunningServer.start();
    await using client = new AdminClient({ url: server.url, token: null });
    server.control.reloadResult = { applied: false, messages: ["bad"], added: [], changed: [], removed: [] };
    assert.deepEqual(await client.reload(), server.control.reloadResult);
  });

  test("says what to do when no node answers", async () => {
    const server = await RunningServer.start();
    await server.stop();
    await using client = new AdminClient({ url: server.url, token: null });
    const message = `no node answers at ${server.url}; is \`kittiwake run\` active?`;
    await assert.rejects(client.status(), { code: "connect_failed", message });
  });

  test("tells another program from a node", async () => {
    const answers = ["<html>", '"text"', '{"message":"no"}', "null"];
    const other = createServer((_, response) => response.writeHead(404).end(answers.shift()));
    await once(other.listen(0, "127.0.0.1"), "listening");
    await using client = new AdminClient({ url: `http://127.0.0.1:${(other.address() as AddressInfo).port}`, token: null });
    while (answers.length > 0) await assert.rejects(client.status(), { code: "bad_response" });
    other.close();
  });
});
