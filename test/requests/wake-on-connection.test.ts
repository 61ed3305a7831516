// What wakes a machine that is no HTTP request of the usual kind: a TLS connection that is passed through, and a WebSocket upgrade. Raw TCP and UDP
// are in test/connections. Issue 5 part 6, reference section 6.2.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { machineOf, processApp } from "../support/apps.ts";
import { helloMessage, inRecords } from "../support/client-hello.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";

/** Sends back what it gets: whoever speaks TLS to it hears that it came as it was. */
const ECHO = `require('net').createServer({ allowHalfOpen: true }, (s) => s.pipe(s)).listen(process.env.PORT, '127.0.0.1')`;
const PASSED = [
  'app = "passed"',
  'primary_region = "ams"',
  "[processes]",
  `app = ${JSON.stringify(`exec '${process.execPath}' -e "${ECHO}"`)}`,
  "[[services]]",
  'protocol = "tcp"',
  "internal_port = 8080",
  'auto_stop_machines = "stop"',
  "[[services.ports]]",
  "port = 443",
  "kittiwake = { tls_passthrough = true }",
  "[kittiwake]",
  'idle_timeout = "1h"',
].join("\n");

let node: TestNode;
before(async () => {
  node = await startTestNode({ workers: 2, apps: { passed: PASSED, chat: processApp("chat", { env: { BOOT_MS: "100" } }) } });
});
after(() => node[Symbol.asyncDispose]());

const wakes = (app: string): number => node.events.filter((event) => event.type === "woke" && event.app === app).length;

describe("a machine that is asleep", () => {
  test("is woken by TLS that is passed through, once for all who come, and gets every byte (6.2)", async () => {
    assert.equal(machineOf(node, "passed").state, "created");
    const hello = inRecords(helloMessage({ name: "passed.localhost" }));
    const clients = await Promise.all(Array.from({ length: 10 }, () => RawClient.connect(node.httpsPort)));
    for (const client of clients) client.send(hello).end();
    for (const client of clients) assert.equal(await client.untilEnd(), hello.toString("latin1"));
    assert.equal(wakes("passed"), 1);
  });

  test("is not woken by TLS for a name that nobody declares", async () => {
    const { id } = machineOf(node, "passed");
    await node.node.control.stop("passed", id);
    using client = await RawClient.connect(node.httpsPort);
    client.send(inRecords(helloMessage({ name: "elsewhere.example" })));
    await client.untilEnd();
    await node.settle();
    assert.equal(machineOf(node, "passed").state, "stopped");
  });

  test("is woken by a WebSocket, which is open when it is up (6.2)", async () => {
    assert.equal(machineOf(node, "chat").state, "created");
    const client = new WebSocket(`ws://127.0.0.1:${node.httpPort}/`, { headers: { host: "chat.localhost" } });
    await once(client, "open");
    client.send("hello");
    const [data] = (await once(client, "message")) as [Buffer];
    assert.equal(data.toString(), `${machineOf(node, "chat").pid} hello`);
    client.close();
    await once(client, "close");
    assert.equal(wakes("chat"), 1);
  });
});
