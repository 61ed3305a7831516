// A real browser and an app that sleeps: the page shows, counts down and turns into the app's, without a click and without breaking the history;
// a form is held. Needs Chromium. Issue 5 part 6.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { chromium, type Page } from "playwright-core";
import { WAKE_PATH } from "../../src/edge/wait-page.ts";
import { machineOf, processApp, untilMachine } from "../support/apps.ts";
import { startTestNode } from "../support/node.ts";

const EXECUTABLE = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
const HOST = "paged.localhost";
/** Each path is a page of that title, never kept; a form leads to /done. */
const SERVER = `require('node:http').createServer((request, response) => {
  if (request.method === 'POST') return response.writeHead(303, { location: '/done' }).end();
  const form = '<form method=post action=/form><button>send</button></form>';
  response.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'no-store' });
  response.end('<!doctype html><title>' + request.url + '</title><a href=/second>next</a>' + form);
}).listen(process.env.PORT, '127.0.0.1')`.replaceAll("\n", " ");

describe("Chromium, with an app that sleeps", { skip: EXECUTABLE === undefined ? "it is not installed" : false }, async () => {
  const command = `[ -p paged.go ] || mkfifo paged.go; read go < paged.go; exec '${process.execPath}' -e "${SERVER}"`;
  const node = await startTestNode({ apps: { paged: processApp("paged", { command, more: "wait_page = true" }) } });
  const browser = await chromium.launch({
    executablePath: EXECUTABLE!,
    args: ["--no-sandbox", "--disable-gpu", `--host-resolver-rules=MAP ${HOST} 127.0.0.1`],
  });
  after(async () => {
    await browser.close();
    await node[Symbol.asyncDispose]();
  });
  const url = `https://${HOST}:${node.httpsPort}`;
  // The certificate is of an authority that only this node knows.
  const settings = { ignoreHTTPSErrors: true, reducedMotion: "reduce" } as const;
  const page = await (await browser.newContext(settings)).newPage();

  /** Lets the machine's program begin, once it has been asked to. */
  const go = (): Promise<void> => writeFile(join(node.dir, "apps/paged.go"), "go\n");
  const stop = (): Promise<unknown> => node.node.control.stop("paged", machineOf(node, "paged").id);
  const untilTitle = (title: string, of: Page = page): Promise<unknown> =>
    of.waitForFunction((wanted) => (globalThis as unknown as { document: { title: string } }).document.title === wanted, title, {
      polling: 50,
    });
  const entries = (): Promise<number> => page.evaluate(() => (globalThis as unknown as { history: { length: number } }).history.length);

  test("shows how long it still takes, counts down, and turns into the app's page", async () => {
    const answer = await page.goto(`${url}/first?a=b#c`);
    assert.equal(answer!.status(), 503);
    assert.equal(await page.title(), "Waking paged");
    const before = await entries();
    const left = page.locator("#left");
    const seen: string[] = [];
    for (const next of [/^About [12] seconds? left$/, /^About 1 second left$/, /^Almost there…$/]) {
      await left.filter({ hasText: next }).waitFor();
      seen.push((await left.textContent())!);
    }
    assert.ok(new Set(seen).size >= 2, seen.join());
    const share = Number(await page.locator("#bar").evaluate((bar) => (bar as unknown as { value: number }).value));
    assert.ok(share > 0.8 && share < 1, `${share}`);
    await go();
    await untilTitle("/first?a=b");
    assert.equal(page.url(), `${url}/first?a=b#c`);
    assert.equal(await entries(), before);
  });

  test("goes back to a page by way of it, and forward again", async () => {
    await page.getByText("next").click();
    await untilTitle("/second");
    await stop();
    await page.goBack();
    assert.equal(await page.title(), "Waking paged");
    await go();
    await untilTitle("/first?a=b");
    await page.goForward();
    assert.equal(await page.title(), "/second");
  });

  test("has a form held, and answered by the app", async () => {
    await stop();
    const statuses: number[] = [];
    page.on("response", (response) => statuses.push(response.status()));
    const clicked = page.getByText("send").click();
    await untilMachine(node, "paged", ({ state }) => state === "starting");
    await go();
    await clicked;
    await untilTitle("/done");
    assert.deepEqual(statuses, [303, 200]);
    page.removeAllListeners("response");
  });

  test("does so without scripts", async () => {
    await stop();
    const plain = await (await browser.newContext({ ...settings, javaScriptEnabled: false })).newPage();
    await plain.goto(`${url}/plain`);
    assert.equal(await plain.title(), "Waking paged");
    const turned = plain.waitForEvent("domcontentloaded");
    await go();
    await turned;
    assert.equal(await plain.title(), "/plain");
  });

  test("says why it does not go on when no machine can be woken", async () => {
    await stop();
    const listens = page.waitForResponse((response) => response.url() === url + WAKE_PATH);
    await page.goto(`${url}/third`);
    await listens;
    await node.passTime(21_000);
    await page.getByText("paged did not wake").waitFor();
    assert.equal(await page.locator("#code").textContent(), "wake_timeout");
    assert.equal(await page.locator("#going").isVisible(), false);
    assert.equal(await page.title(), "paged did not wake");
  });
});
