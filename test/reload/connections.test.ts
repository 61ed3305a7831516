// What is under way with one app does not notice that others come, change and go.

import assert from "node:assert/strict";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { WebSocket } from "ws";
import { askMachine, identify, machineOf, processApp } from "../support/apps.ts";
import { startTestNode } from "../support/node.ts";

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
