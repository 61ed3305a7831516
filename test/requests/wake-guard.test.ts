// What does not wake an app: requests that the edge answers itself, and clients that have woken it too often. Issue 5 part 6.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { WAKE_PATH } from "../../src/edge/wait-page.ts";
import { machineOf, processApp, startsIn } from "../support/apps.ts";
import { helloMessage, inRecords } from "../support/client-hello.ts";
import type { Message } from "../support/message.ts";
import { startTestNode } from "../support/node.ts";
import { BELIEVES_CLIENTS, connectFrom } from "../support/pretended-client.ts";

const ECHO = `require('net').createServer({ allowHalfOpen: true }, (s) => s.pipe(s)).listen(process.env.PORT, '127.0.0.1')`;
const RAW = `app = "raw"
[processes]
app = ${JSON.stringify(`exec '${process.execPath}' -e "${ECHO}"`)}
[[services]]
protocol = "tcp"
internal_port = 8080
auto_stop_machines = "stop"
[[services.ports]]
port = 443
kittiwake = { tls_passthrough = true }
[[services.ports]]
port = 6000
[kittiwake]
idle_timeout = "1h"
[kittiwake.wake_guard]
wakes = "1/h"`;

const node = await startTestNode({
  workers: 2,
  edge: BELIEVES_CLIENTS,
  ports: [6000],
  apps: {
    guarded: processApp("guarded", {
      env: { STARTS_FILE: "guarded.starts" },
      more: '[kittiwake.wake_guard]\nanswers = ["robots", "favicon", "health-checks"]\nwakes = "2/h"\nburst = 1',
    }),
    far: processApp("far", {
      regions: ["ams", "nrt"],
      more: 'warm_detour = false\nwait_page = true\n[kittiwake.wake_guard]\nanswers = ["robots"]\nwakes = "1/h"',
    }),
    raw: RAW,
  },
});
after(() => node[Symbol.asyncDispose]());

const { control } = node.node;

async function ask(ip: string, requestLine: string, lines: readonly string[] = [], app = "guarded"): Promise<Message> {
  using client = await connectFrom(ip, node.httpPort);
  client.send([`${requestLine} HTTP/1.1`, `host: ${app}.localhost`, ...lines, "", ""].join("\r\n"));
  return await client.response({ toHead: requestLine.startsWith("HEAD") });
}

async function statusOf(ip: string, app = "guarded", lines: readonly string[] = []): Promise<readonly [number, string | null]> {
  const message = await ask(ip, "GET /", lines, app);
  return [message.status, message.header("kittiwake-error")];
}

const stop = (app: string, region = "ams"): Promise<unknown> => control.stop(app, machineOf(node, app, region).id);
const OVER = [429, "too_many_wakes"] as const;
const IN = [200, null] as const;
const PROBE = ["user-agent: kube-probe/1.31"];

describe("while an app sleeps", () => {
  for (const [requestLine, lines, status, body] of [
    ["GET /robots.txt", [], 200, "User-agent: *\nDisallow:\n"],
    ["HEAD /robots.txt", [], 200, ""],
    ["GET /favicon.ico", [], 404, ""],
    ["GET /any", PROBE, 200, "asleep\n"],
  ] as const) {
    test(`${requestLine}${lines.length === 0 ? "" : " of a health check"} is answered with ${status}, and wakes nothing`, async () => {
      const answer = await ask("203.0.113.1", requestLine, lines);
      assert.deepEqual([answer.status, answer.body, answer.header("kittiwake-asleep")], [status, body, "1"]);
      assert.equal(answer.header("cache-control"), "no-store");
    });
  }

  test("none of that counts as a wake, nor did it cause one", async () => {
    await node.settle();
    assert.equal(existsSync(join(node.dir, "apps/guarded.starts")), false);
    assert.deepEqual(await statusOf("203.0.113.1"), IN);
  });
});

test("while it is awake all of that is the app's to answer, and nobody is refused", async () => {
  for (const line of ["GET /robots.txt", "GET /favicon.ico"]) {
    const answer = await ask("203.0.113.1", line);
    assert.deepEqual([answer.status, answer.header("kittiwake-asleep")], [200, null], line);
  }
  assert.match((await ask("203.0.113.1", "GET /any", PROBE)).body, /"app":"guarded"/);
  for (let i = 0; i < 3; i++) assert.deepEqual(await statusOf("203.0.113.1"), IN);
});

describe("an address that has had its wakes", () => {
  test("is refused on every worker, with when it may come again, and wakes nothing", async () => {
    await stop("guarded");
    for (let i = 0; i < 8; i++) {
      const answer = await ask("203.0.113.1", "GET /");
      assert.deepEqual([answer.status, answer.header("kittiwake-error")], OVER);
      const seconds = Number(answer.header("retry-after"));
      assert.ok(seconds > 1700 && seconds <= 1800, `${seconds}`);
    }
    await node.settle();
    assert.equal(machineOf(node, "guarded").state, "stopped");
  });

  test("gets the answers without a wake all the same", async () => {
    assert.equal((await ask("203.0.113.1", "GET /", PROBE)).status, 200);
  });

  test("cannot open a WebSocket either", async () => {
    const lines = ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="];
    assert.deepEqual(await statusOf("203.0.113.1", "guarded", lines), OVER);
  });

  test("is one network of IPv6", async () => {
    assert.deepEqual(await statusOf("2001:db8:1:1::1"), IN);
    await stop("guarded");
    assert.deepEqual(await statusOf("2001:db8:1:1:ffff::2"), OVER);
    assert.deepEqual(await statusOf("2001:db8:1:2::1"), IN);
  });

  test("joins the wake of another, and a crowd of one address is one wake", async () => {
    await stop("guarded");
    const before = startsIn(join(node.dir, "apps/guarded.starts")).length;
    const crowd = await Promise.all(Array.from({ length: 30 }, () => statusOf("203.0.113.2")));
    assert.deepEqual(
      crowd.filter(([status]) => status !== 200),
      [],
    );
    assert.equal(startsIn(join(node.dir, "apps/guarded.starts")).length, before + 1);
    await stop("guarded");
    using waker = await connectFrom("203.0.113.3", node.httpPort);
    waker.send("GET / HTTP/1.1\r\nhost: guarded.localhost\r\n\r\n");
    await node.until(() => machineOf(node, "guarded").state === "starting");
    await node.settle();
    assert.deepEqual(await statusOf("203.0.113.2"), IN);
    assert.equal((await waker.response()).status, 200);
  });

  test("is served by a machine further off that is awake, though others would wait for the near one", async () => {
    const regionOf = async (ip: string): Promise<string> =>
      (JSON.parse((await ask(ip, "GET /", [], "far")).body) as { region: string }).region;
    await control.start("far", machineOf(node, "far", "nrt").id);
    // Whose browser would wait for it gets a page, which is told when it is awake.
    using browser = await connectFrom("203.0.113.8", node.httpPort);
    const lines = "host: far.localhost\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n\r\n";
    const page = await browser.send(`GET / HTTP/1.1\r\n${lines}`).response();
    assert.deepEqual([page.status, page.header("kittiwake-asleep")], [503, "1"]);
    const told = await browser.send(`GET ${WAKE_PATH} HTTP/1.1\r\n${lines}`).response();
    assert.match(told.body, /^event: progress\n[^]*event: ready\n/);
    await stop("far");
    assert.equal(await regionOf("203.0.113.4"), "ams");
    await stop("far");
    assert.equal(await regionOf("203.0.113.4"), "nrt");
    assert.equal(machineOf(node, "far").state, "stopped");
    const robots = await ask("203.0.113.5", "GET /robots.txt", [], "far");
    // What is awake answers what the edge could.
    assert.deepEqual([robots.header("kittiwake-asleep"), (JSON.parse(robots.body) as { region: string }).region], [null, "ams"]);
  });

  test("has raw connections and TLS that is passed through closed, until another one has woken the app", async () => {
    const hello = inRecords(helloMessage({ name: "raw.localhost" }));
    const echo = async (ip: string, port: number): Promise<string> => {
      using client = await connectFrom(ip, port);
      return await client.send(hello).end().untilEnd();
    };
    const whole = hello.toString("latin1");
    const [tls, plain] = [node.httpsPort, node.boundPort(6000)];
    assert.equal(await echo("203.0.113.6", plain), whole);
    await stop("raw");
    assert.equal(await echo("203.0.113.6", plain), "");
    assert.equal(await echo("203.0.113.6", tls), "");
    assert.equal(machineOf(node, "raw").state, "stopped");
    assert.equal(await echo("203.0.113.7", tls), whole);
    assert.equal(await echo("203.0.113.6", plain), whole);
    assert.match((await control.metrics()).text, /code="too_many_wakes"\} 12/);
  });
});

test("explain tells what wakes nothing", async () => {
  await stop("guarded");
  const { rules } = (await (await fetch(`${node.adminUrl}/explain?url=http://guarded.localhost/`)).json()) as { rules: object[] };
  const verdict = "robots, favicon, health-checks are answered without a wake; one wake of an address each 1800000 ms, 1 at once";
  assert.deepEqual(rules.at(-1), { rule: "wake_guard", verdict });
});
