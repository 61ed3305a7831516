// Public ports come and go with the apps that ask for them, on all workers, and also while one of these is being replaced.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, identify, processApp } from "../support/apps.ts";
import { freePort } from "../support/backend.ts";
import { rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

let node: TestNode;
let port: number;
before(async () => {
  node = await startTestNode({ workers: 2, apps: { hello: processApp("hello") } });
  port = await freePort();
});
after(() => node[Symbol.asyncDispose]());

/** An app with one more public port. */
function withPort(handlers: readonly string[]): string {
  return `${processApp("more")}\n[[services]]\nprotocol = "tcp"\ninternal_port = 8080\n[[services.ports]]\nport = ${port}\nhandlers = ${JSON.stringify(handlers)}\n`;
}

async function reload(): Promise<void> {
  const { applied, messages } = await node.node.control.reload();
  assert.ok(applied, messages.join("\n"));
}

/** Workers close behind the reload's back. */
async function untilClosed(): Promise<void> {
  const isRefused = (error: NodeJS.ErrnoException): boolean => error.code === "ECONNREFUSED";
  await eventually(() => ask(port, "more").then(() => false, isRefused), "the port to be closed");
}

function statusOverTls(): Promise<number | undefined> {
  const name = "more.localhost";
  return new Promise((resolve, reject) => {
    const options = { port, host: "127.0.0.1", servername: name, headers: { host: name }, ca: rootOf(node), agent: false };
    request(options, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
}

describe("a public port", () => {
  test("is there as soon as a reload says that it is, and gone when its app is", async () => {
    node.writeApp("more", withPort(["http"]));
    await reload();
    const answers = await Promise.all(Array.from({ length: 20 }, () => identify(port, "more")));
    assert.equal(answers.length, 20);
    assert.ok(node.node.control.status().listeners.some(({ publicPort, scheme }) => publicPort === port && scheme === "http"));
    rmSync(join(node.dir, "apps/more.toml"));
    await reload();
    await untilClosed();
  });

  test("speaks TLS from the moment its app says so", async () => {
    node.writeApp("more", withPort(["http"]));
    await reload();
    assert.equal((await ask(port, "more")).status, 200);
    node.writeApp("more", withPort(["http", "tls"]));
    await reload();
    await eventually(
      () =>
        statusOverTls().then(
          (status) => status === 200,
          () => false,
        ),
      "an answer over TLS",
    );
    node.writeApp("more", withPort(["http"]));
    await reload();
    await eventually(
      () =>
        ask(port, "more").then(
          ({ status }) => status === 200,
          () => false,
        ),
      "an answer without TLS",
    );
    rmSync(join(node.dir, "apps/more.toml"));
    await reload();
    await untilClosed();
  });

  test("opens on all workers even when one of them dies meanwhile", async () => {
    for (const worker of [0, 1]) {
      node.node.crashWorker(worker);
      node.writeApp("more", withPort(["http"]));
      await reload();
      await eventually(() => node.node.control.isReady(), "the replacement to be ready");
      const answers = await Promise.all(Array.from({ length: 20 }, () => identify(port, "more")));
      assert.equal(answers.length, 20);
      rmSync(join(node.dir, "apps/more.toml"));
      await reload();
      await untilClosed();
    }
  });
});
