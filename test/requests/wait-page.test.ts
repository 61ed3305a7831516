// The page that browsers get while a machine wakes, and the events that it listens to; all others are held. Issue 5 part 6.

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { WAKE_PATH } from "../../src/edge/wait-page.ts";
import { APP_COMMAND, machineOf, processApp, startsIn, untilMachine } from "../support/apps.ts";
import { staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client } from "../support/http2-client.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const NAVIGATES = "sec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";
/** A wish of its own, as a cookie by which a client sticks to a machine is one. */
const AIMED = "fly-force-region: ams\r\n";
const NAVIGATES_HTTP2 = { ":authority": "paged.localhost", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };

const web = await ScriptedBackend.start();
await web.answers(() => response("mine"));
const node = await startTestNode({
  apps: {
    // Starts when the test writes to the pipe.
    paged: processApp("paged", {
      command: `mkfifo paged.go; read go < paged.go; ${APP_COMMAND}`,
      env: { STARTS_FILE: "paged.starts" },
      hardLimit: 20,
      more: "wait_page = true",
    }),
    broken: processApp("broken", { command: "exit 7", more: "wait_page = true" }),
    plain: staticApp("plain", web.port),
  },
});
await eventually(() => node.node.control.machines("plain").every(({ state }) => state === "started"), "the machine of plain");
after(async () => {
  for (const part of [web, node]) await part[Symbol.asyncDispose]();
});

async function send(text: string, app = "paged"): Promise<RawClient> {
  const client = await RawClient.connect(node.httpPort);
  const [line = "", ...rest] = text.split("\r\n");
  return client.send([`${line} HTTP/1.1`, `host: ${app}.localhost`, ...rest].join("\r\n"));
}

async function waiting(): Promise<number> {
  await node.node.control.metrics();
  return node.node.control.status().waiting;
}

const navigation = `GET /a?b=c\r\n${NAVIGATES}\r\n`;
const listening = `GET ${WAKE_PATH}\r\naccept: text/event-stream\r\n\r\n`;
const events = (received: string): string[] => [...received.matchAll(/^event: (\w+)$/gm)].map((match) => match[1]!);

describe("an app with wait_page that is asleep", () => {
  test("answers a navigation at once with a page that nobody keeps, and wakes a machine", async () => {
    using http2 = await Http2Client.connect(node, {}, "paged.localhost");
    using client = await send(navigation);
    const page = await client.response();
    const second = await http2.get("/a?b=c", NAVIGATES_HTTP2);
    assert.deepEqual([second.status, second.headers["kittiwake-asleep"]], [503, "1"]);
    const aimed = await client.send(`GET / HTTP/1.1\r\nhost: paged.localhost\r\n${NAVIGATES}${AIMED}\r\n`).response();
    assert.deepEqual([aimed.status, aimed.header("kittiwake-asleep")], [503, "1"]);
    assert.deepEqual(
      ["cache-control", "retry-after", "kittiwake-asleep", "x-content-type-options", "content-type"].map((name) => page.header(name)),
      ["no-store", "2", "1", "nosniff", "text/html; charset=utf-8"],
    );
    assert.equal(page.status, 503);
    assert.match(page.header("content-security-policy")!, /default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-/);
    assert.match(page.body, /<title>Waking paged<\/title>/);
    assert.match(page.body, /data-left="(19|20)\d\d"/);
    await untilMachine(node, "paged", ({ state }) => state === "starting");
    assert.equal(await waiting(), 0);
  });

  test("tells its page how far it is, and of a wake that takes too long", async () => {
    using client = await send(listening);
    const received = await client.until((text) => events(text).length === 1);
    assert.match(received, /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/event-stream\r\ncache-control: no-store\r\n/);
    assert.match(received, /data: \{"elapsed_ms":\d+,"left_ms":\d+\}/);
    await node.passTime(1100);
    await client.until((text) => events(text).length === 2);
    assert.equal(await waiting(), 1);
    await node.endsAfter(
      18_900,
      client.until((text) => text.includes("failed")),
    );
    assert.match(client.received, /event: failed\ndata: \{"code":"wake_timeout"\}\n\n\r\n0\r\n\r\n$/);
    assert.equal(await waiting(), 0);
  });

  test("forgets a page that is closed", async () => {
    const client = await send(listening);
    await client.until((text) => events(text).length === 1);
    assert.equal(await waiting(), 1);
    client.reset();
    await eventually(async () => (await waiting()) === 0, "the stream to be given back");
  });

  test("has a hundred pages told, and lets more come again later", async () => {
    using first = await Http2Client.connect(node, {}, "paged.localhost");
    using second = await Http2Client.connect(node, {}, "paged.localhost");
    const open = (client: Http2Client): Promise<number> => {
      const stream = client.open({ ":authority": "paged.localhost", ":path": WAKE_PATH });
      return once(stream, "response").then(([headers]) => Number((headers as { ":status": number })[":status"]));
    };
    const statuses = await Promise.all(Array.from({ length: 101 }, (_, i) => open(i < 51 ? first : second)));
    assert.deepEqual([statuses.filter((status) => status === 200).length, statuses.filter((status) => status === 503).length], [100, 1]);
    assert.equal(await waiting(), 100);
    first.session.destroy();
    second.session.destroy();
    await eventually(async () => (await waiting()) === 0, "the streams to be given back");
  });

  test("holds what is no navigation, over HTTP/2 as well, and answers all of it when it is awake", async () => {
    const requests = [
      "GET /\r\n\r\n",
      "GET /\r\naccept: application/json\r\n\r\n",
      `POST /\r\n${NAVIGATES}content-length: 2\r\n\r\nhi`,
      `HEAD /\r\n${NAVIGATES}\r\n`,
      `GET /\r\n${NAVIGATES}range: bytes=0-1\r\n\r\n`,
      `GET /\r\nsec-fetch-mode: cors\r\nsec-fetch-dest: empty\r\naccept: text/html\r\n\r\n`,
    ];
    const clients = await Promise.all(requests.map((text) => send(text)));
    using http2 = await Http2Client.connect(node, {}, "paged.localhost");
    const posted = http2.post("/", "hi", NAVIGATES_HTTP2);
    using listener = await send(listening);
    using aimed = await send(`GET ${WAKE_PATH}\r\n${AIMED}\r\n`);
    const told = http2.get(WAKE_PATH, { ":authority": "paged.localhost" });
    await eventually(async () => (await waiting()) === requests.length + 4, "all to wait");
    assert.equal(clients.map(({ received }) => received).join(""), "");
    assert.equal(machineOf(node, "paged").state, "starting");

    await writeFile(join(node.dir, "apps/paged.go"), "go\n");
    for (const [index, client] of clients.entries()) {
      const { status } = await client.response({ toHead: requests[index]!.startsWith("HEAD") });
      assert.equal(status, 200, requests[index]!);
      client[Symbol.dispose]();
    }
    assert.equal((await posted).status, 200);
    assert.deepEqual(events((await told).body), ["progress", "ready"]);
    for (const one of [listener, aimed]) assert.deepEqual(events((await one.response()).body), ["progress", "ready"]);
    assert.equal(startsIn(join(node.dir, "apps/paged.starts")).length, 1);
    assert.equal(await waiting(), 0);
    await eventually(() => node.node.control.inFlight(machineOf(node, "paged").id) === 0, "the places");
  });

  test("holds a navigation that waits for no longer than a second", async () => {
    await node.node.control.suspend("paged", machineOf(node, "paged").id);
    using client = await send(navigation);
    assert.equal((await client.response()).status, 200);
  });
});

test("an app with wait_page that is awake answers navigations itself, and says so to pages that still listen", async () => {
  using client = await send(navigation);
  assert.match((await client.response()).body, /"app":"paged"/);
  const told = await client.send(`GET ${WAKE_PATH} HTTP/1.1\r\nhost: paged.localhost\r\n\r\n`).response();
  assert.deepEqual(events(told.body), ["progress", "ready"]);
});

test("without wait_page the path of the events is the app's", async () => {
  using client = await send(listening, "plain");
  assert.equal((await client.response()).body, "mine");
});

test("a page whose app cannot be woken is told why, and so is whoever asks again at once", async () => {
  using client = await send(navigation, "broken");
  assert.equal((await client.response()).header("kittiwake-asleep"), "1");
  await node.event("machine_changed", ({ record }) => record.app === "broken" && /code 7/.test(record.reason));
  using listener = await send(listening, "broken");
  await listener.until((text) => text.includes("failed"));
  assert.match(listener.received, /event: failed\ndata: \{"code":"wake_failed"\}/);
  using again = await send(navigation, "broken");
  const { status, header } = await again.response().then((one) => ({ status: one.status, header: (name: string) => one.header(name) }));
  assert.deepEqual([status, header("kittiwake-error"), header("kittiwake-asleep")], [503, "wake_failed", null]);
});

test("explain tells what a browser would get", async () => {
  const url = `${node.adminUrl}/explain?url=http://paged.localhost/`;
  const ask = async (): Promise<string> => {
    const { rules } = (await (await fetch(url)).json()) as { rules: { rule: string; verdict: string }[] };
    return rules.find(({ rule }) => rule === "wait_page")!.verdict;
  };
  assert.equal(await ask(), "nobody waits for a wake");
  const { id } = machineOf(node, "paged");
  await node.node.control.suspend("paged", id);
  assert.match(await ask(), /^browsers are held as well: the wake is expected to take \d+ ms$/);
  await node.node.control.stop("paged", id);
  assert.match(
    await ask(),
    /^a browser that opens a page gets the waiting page, all others are held: the wake is expected to take \d+ ms$/,
  );
});
