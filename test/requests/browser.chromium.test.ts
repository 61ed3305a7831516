// A real browser: a page with fifty resources over one HTTP/2 connection, and a WebSocket beside them on the same one. Needs Chromium.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { after, describe, test } from "node:test";
import { chromium, type Browser } from "playwright-core";
import { WebSocketServer } from "ws";
import { startBackend, staticApp } from "../support/backend.ts";
import { HOST } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";

const RESOURCES = 50;
const EXECUTABLE = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
const IMAGE = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>';
const PAGE = `<!doctype html><title>fifty</title>${Array.from({ length: RESOURCES }, (_, i) => `<img src="/image-${i}.svg">`).join("")}`;

interface Response {
  readonly response: { readonly url: string; readonly protocol?: string; readonly connectionId: number; readonly status: number };
}

describe("Chromium", { skip: EXECUTABLE === undefined ? "it is not installed" : false }, async () => {
  const backend = await startBackend((request, answer) => {
    if (request.url === "/") answer.writeHead(200, { "content-type": "text/html" }).end(PAGE);
    else if (request.url!.startsWith("/image-")) answer.writeHead(200, { "content-type": "image/svg+xml" }).end(IMAGE);
    else answer.writeHead(404).end();
  });
  const sockets = new WebSocketServer({ server: backend.server });
  sockets.on("connection", (socket) => socket.on("message", (message) => socket.send(`echo ${message}`)));
  const node = await startTestNode({ apps: { hello: staticApp("hello", backend.port) } });
  const args = ["--no-sandbox", `--host-resolver-rules=MAP ${HOST} 127.0.0.1`];
  const options = { executablePath: EXECUTABLE!, args };
  const browser: Browser = await chromium.launch(options);
  after(async () => {
    await browser.close();
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
    await node[Symbol.asyncDispose]();
    await backend[Symbol.asyncDispose]();
  });
  const url = `https://${HOST}:${node.httpsPort}/`;
  // The certificate is of an authority that only this node knows.
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  const devTools = await page.context().newCDPSession(page);
  await devTools.send("Network.enable");

  test("loads a page with fifty resources over one HTTP/2 connection", async () => {
    const responses: Response["response"][] = [];
    devTools.on("Network.responseReceived", ({ response }: Response) => responses.push(response));
    await page.goto(url, { waitUntil: "load" });
    const widths = await page
      .locator("img")
      .evaluateAll((images) => images.map((image) => (image as unknown as { naturalWidth: number }).naturalWidth));
    assert.deepEqual(
      widths,
      Array.from({ length: RESOURCES }, () => 1),
    );
    const ours = responses.filter((response) => response.url.startsWith(url) && response.status === 200);
    assert.equal(ours.length, 1 + RESOURCES);
    assert.deepEqual([...new Set(ours.map(({ protocol }) => protocol))], ["h2"]);
    assert.equal(new Set(ours.map(({ connectionId }) => connectionId)).size, 1, "one connection");
  });

  test("holds a WebSocket over the same connection", async () => {
    const handshakes = async (): Promise<number> => {
      const text = await (await fetch(`${node.adminUrl}/metrics`)).text();
      return Number(/^fly_edge_tls_handshake_time_seconds_count\{[^}]*\} (\d+)$/m.exec(text)?.[1]);
    };
    const before = await handshakes();
    assert.ok(before >= 1, "the connection of the page is counted");
    const connected = once(sockets, "connection");
    const answer = page.evaluate(async (address) => {
      const socket = new WebSocket(address);
      (globalThis as Record<string, unknown>)["held"] = socket;
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = reject;
      });
      socket.send("hello");
      return await new Promise<string>((resolve) => (socket.onmessage = ({ data }) => resolve(data as string)));
    }, `wss://${HOST}:${node.httpsPort}/chat`);
    await connected;
    assert.equal(await answer, "echo hello");
    assert.equal(node.node.control.inFlight("hello-1"), 1);
    assert.equal(await handshakes(), before, "no connection of its own");
    await page.evaluate(() => (globalThis as unknown as { held: { close(): void } }).held.close());
    await eventually(() => node.node.control.inFlight("hello-1") === 0, "the place to be given back");
  });
});
