// What is under way with one app does not notice that others come, change and go.

import assert from "node:assert/strict";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { askMachine, identify, machineOf, processApp } from "../support/apps.ts";
import { startBackend, staticApp } from "../support/backend.ts";
import { HOST, rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client, responseOf } from "../support/http2-client.ts";
import { startTestNode } from "../support/node.ts";

const RELOADS = 1000;

test(
  `WebSockets, downloads and HTTP/2 streams of one app are not touched by ${RELOADS} reloads of another`,
  { timeout: 120_000 },
  async () => {
    await using backend = await startBackend((_, answer) => {
      const timer = setInterval(() => answer.write("."), 5);
      answer.on("close", () => clearInterval(timer));
      endings.push(() => {
        clearInterval(timer);
        answer.end("end");
      });
    });
    const endings: (() => void)[] = [];
    const sockets = new WebSocketServer({ server: backend.server });
    sockets.on("connection", (machine) => machine.on("message", (data) => machine.send(`echo ${String(data)}`)));
    await using node = await startTestNode({
      workers: 2,
      apps: { hello: staticApp("hello", backend.port), changing: staticApp("changing", backend.port) },
    });
    const clients = await Promise.all(
      (["ws", "wss"] as const).flatMap((scheme) =>
        Array.from({ length: 4 }, async () => {
          const port = scheme === "ws" ? node.httpPort : node.httpsPort;
          const tls = { servername: HOST, ca: rootOf(node) };
          const client = new WebSocket(`${scheme}://127.0.0.1:${port}/`, [], { headers: { host: HOST }, ...tls });
          await once(client, "open");
          return client;
        }),
      ),
    );
    using http2 = await Http2Client.connect(node);
    const streams = Array.from({ length: 4 }, () => responseOf(http2.open()));
    const downloads = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const [response] = (await once(
          get({ port: node.httpPort, host: "127.0.0.1", headers: { host: HOST }, agent: false }),
          "response",
        )) as [IncomingMessage];
        return { body: response.setEncoding("latin1").toArray() };
      }),
    );
    await eventually(() => endings.length === 8, "all downloads to have begun");
    const inFlight = clients.length + streams.length + downloads.length;
    assert.equal(node.node.control.inFlight("hello-1"), inFlight);

    for (let i = 1; i <= RELOADS; i++) {
      const text = `[kittiwake]
idle_timeout = "${i}m"
hostnames = ["host-${i}.example.com"]`;
      node.writeApp("changing", staticApp("changing", backend.port).replace("[kittiwake]", text));
      const { applied, changed } = await node.node.control.reload();
      assert.deepEqual([applied, changed], [true, ["changing"]]);
      const client = clients[i % clients.length]!;
      client.send(String(i));
      const [data] = (await once(client, "message")) as [Buffer];
      assert.equal(data.toString(), `echo ${i}`);
    }

    assert.equal(node.node.control.inFlight("hello-1"), inFlight);
    for (const end of endings) end();
    for (const { body } of downloads) assert.match((await body).join(""), /^\.+end$/);
    for (const { status, body } of await Promise.all(streams)) {
      assert.equal(status, 200);
      assert.match(body, /^\.+end$/);
    }
    for (const client of clients) {
      client.close(1000);
      const [code] = (await once(client, "close")) as [number];
      assert.equal(code, 1000);
    }
    sockets.close();
  },
);

test("a WebSocket and a download go on through every kind of reload", async () => {
  await using node = await startTestNode({
    workers: 2,
    apps: {
      calm: processApp("calm"),
      changing: processApp("changing", { autoStop: "off" }),
      leaving: processApp("leaving", { autoStop: "off" }),
    },
  });
  const { pid } = await identify(node.httpPort, "calm");
  const socket = new WebSocket(`ws://127.0.0.1:${node.httpPort}/`, { headers: { host: "calm.localhost" } });
  await once(socket, "open");
  let received = "";
  const download = get({ port: node.httpPort, host: "127.0.0.1", path: "/stream", headers: { host: "calm.localhost" }, agent: false });
  const [response] = await once(download, "response");
  response.setEncoding("utf8").on("data", (text: string) => (received += text));
  const ended = once(response, "end");

  const bothGoOn = async (): Promise<void> => {
    const before = received.length;
    while (received.length === before) await once(response, "data");
    socket.send("ping");
    const [data] = (await once(socket, "message")) as [Buffer];
    assert.equal(data.toString(), `${pid} ping`);
  };
  const reload = async (): Promise<boolean> => {
    const { applied } = await node.node.control.reload();
    await bothGoOn();
    return applied;
  };

  node.writeApp("added", processApp("added"));
  assert.equal(await reload(), true);
  assert.equal((await identify(node.httpPort, "added")).app, "added");
  node.writeApp("changing", processApp("changing", { autoStop: "off", env: { COLOR: "blue" } }));
  assert.equal(await reload(), true);
  assert.equal((await identify(node.httpPort, "changing")).color, "blue");
  rmSync(join(node.dir, "apps/leaving.toml"));
  assert.equal(await reload(), true);
  node.writeApp("added", "app = ");
  assert.equal(await reload(), false);
  // Even its own app may change, as long as its machine does not.
  rmSync(join(node.dir, "apps/added.toml"));
  node.writeApp("calm", processApp("calm", { softLimit: 7, idleTimeout: "2h", more: 'hostnames = ["calm.example.com"]' }));
  assert.equal(await reload(), true);

  socket.close();
  await askMachine(machineOf(node, "calm"), "/release");
  await ended;
  const lines = received.trim().split("\n");
  assert.equal(lines.pop(), "end");
  assert.deepEqual(
    lines,
    lines.map((_, index) => String(index + 1)),
  );
});
