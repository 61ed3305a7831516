// A reload that cannot be done leaves everything as it was and says why; what only a restart can change is said as well.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { ask, identify, processApp } from "../support/apps.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

const HELLO = processApp("hello", { env: { COLOR: "red" } });

let node: TestNode;
let configPath: string;
let config: string;
let pid: number;
before(async () => {
  node = await startTestNode({ apps: { hello: HELLO } });
  configPath = join(node.dir, "kittiwake.toml");
  config = readFileSync(configPath, "utf8");
  ({ pid } = await identify(node.httpPort, "hello"));
});
after(() => node[Symbol.asyncDispose]());

beforeEach(() => {
  writeFileSync(configPath, config);
  node.writeApp("hello", HELLO);
  node.writeApp("other", processApp("other"));
});

/** Nothing of what was to change has changed. */
async function assertAsBefore(): Promise<void> {
  const { pid: now, color } = await identify(node.httpPort, "hello");
  assert.deepEqual([now, color], [pid, "red"]);
  assert.equal((await ask(node.httpPort, "other")).status, 404);
  assert.equal(node.node.control.isReady(), true);
}

describe("a reload is refused", () => {
  test("when an app's file is broken, with the place of every problem", async () => {
    node.writeApp("hello", `${HELLO}\nwake_timeot = "1s"\n[http_servce]\n`);
    node.writeApp("other", "app = \n");
    const { applied, messages, added, changed } = await node.node.control.reload();
    assert.deepEqual([applied, added, changed], [false, [], []]);
    assert.ok(
      messages.some((message) => /apps\/other\.toml:1/.test(message)),
      messages.join("\n"),
    );
    assert.ok(
      messages.some((message) => /apps\/hello\.toml:\d+ kittiwake\.wake_timeot\b.*wake_timeout/.test(message)),
      messages.join("\n"),
    );
    await assertAsBefore();
  });

  test("when kittiwake.toml is broken or gone", async () => {
    writeFileSync(configPath, `${config}\n[limits]\nattempts = "many"\n`);
    const { applied, messages } = await node.node.control.reload();
    assert.equal(applied, false);
    assert.match(messages.join("\n"), /kittiwake\.toml:\d+ limits\.attempts/);
    await assertAsBefore();
  });

  test("when a port that an app asks for cannot be bound", async (t) => {
    const taken = createServer().listen(0, "127.0.0.1");
    t.after(() => taken.close());
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    node.writeApp("hello", HELLO.replace("red", "blue"));
    const extra = `[[services]]\nprotocol = "tcp"\ninternal_port = 9000\n[[services.ports]]\nport = ${port}\nhandlers = ["http"]\n`;
    node.writeApp("other", `${processApp("other")}\n${extra}`);
    const { applied, messages } = await node.node.control.reload();
    assert.equal(applied, false);
    assert.match(messages.join("\n"), new RegExp(`port ${port} on "127.0.0.1" is in use`));
    await assertAsBefore();
    taken.close();
    assert.equal((await node.node.control.reload()).applied, true);
    assert.equal((await identify(node.httpPort, "other")).app, "other");
    assert.equal((await identify(node.httpPort, "hello")).color, "blue");
  });
});

test("a reload says what of kittiwake.toml needs a restart, every time, and applies the rest", async () => {
  const other = config
    .replace("workers = 1", "workers = 2")
    .replace('region = "ams"', 'region = "nrt"')
    .replace("localhost", "example.net");
  writeFileSync(configPath, `data_dir = "elsewhere"\n${other}\n[timeouts]\ndrain = "5s"\n`);
  for (let times = 0; times < 2; times++) {
    const { applied, messages } = await node.node.control.reload();
    assert.equal(applied, true);
    assert.deepEqual(messages, [
      "region has changed: restart the node for it to come into force",
      "data_dir has changed: restart the node for it to come into force",
      "workers has changed: restart the node for it to come into force",
      // Its file is in data_dir.
      "state has changed: restart the node for it to come into force",
      "timeouts has changed: restart the node for it to come into force",
    ]);
  }
  assert.equal(node.node.control.status().region, "ams");
  assert.equal(node.node.control.status().workers.length, 1);
  // Host names are the apps' own.
  assert.deepEqual(node.node.control.status().apps[0]?.hostnames, ["hello.example.net"]);
});
