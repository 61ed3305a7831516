// When no machine can be reached: all of them are tried again after a while, with the request or the connection held meanwhile (reference
// sections 2.7, 3.3 and 3.5).

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { after, test } from "node:test";
import { freePort, staticApp } from "../support/backend.ts";
import { openBlackhole } from "../support/blackhole.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { rawApp } from "../support/raw-apps.ts";

const RAW_PORT = 5000;
const VANISHED_PORT = 4999;
const ATTEMPTS = 12;
/** Default of `upstream_connect`. */
const CONNECT_MS = 5000;
/** Of `wake_timeout` in app "brief". */
const BRIEF_MS = 500;

/** A machine that is away until a test brings it back, at an address of its own. */
class Absent {
  readonly port: number;
  accepted = 0;
  #server: Server | null = null;
  readonly #sockets = new Set<Socket>();

  constructor(port: number) {
    this.port = port;
  }

  /** Answers every request with its method and body, and every other connection with what it sent. */
  async returns(): Promise<void> {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.accepted++;
      this.#sockets.add(socket);
      const client = RawClient.of(socket);
      void client
        .request()
        .then(({ method, body }) =>
          client.send(`HTTP/1.1 200 OK\r\ncontent-length: ${method.length + body.length}\r\n\r\n${method}${body}`),
        )
        .catch(() => client.send(client.received).end());
    }).listen(this.port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  async leaves(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.close();
    await once(server, "close");
  }
}

const names = ["alone", "post", "upload", "left", "gone", "changed", "brief", "raw", "rawgone", "rawleft", "restarted", "good"] as const;
const machines = Object.fromEntries(await Promise.all(names.map(async (name) => [name, new Absent(await freePort())] as const))) as Record<
  (typeof names)[number],
  Absent
>;
const vanished = await openBlackhole();
const http = names.filter((name) => !name.startsWith("raw"));
const raw = names.filter((name) => name.startsWith("raw"));
const brief = (name: string, text: string): string =>
  name === "brief" ? text.replace("[kittiwake]", `[kittiwake]\nwake_timeout = "${BRIEF_MS}ms"`) : text;
const node = await startTestNode({
  apps: {
    vanished: staticApp("vanished", vanished.port),
    rawvanished: rawApp("rawvanished", { machines: [vanished.port], port: `port = ${VANISHED_PORT}` }),
    partly: staticApp("partly", vanished.port) + alsoAt(vanished.port, machines.good.port),
    ...Object.fromEntries(http.map((name) => [name, brief(name, staticApp(name, machines[name].port))])),
    ...Object.fromEntries(raw.map((name, i) => [name, rawApp(name, { machines: [machines[name].port], port: `port = ${RAW_PORT + i}` })])),
  },
  ports: [VANISHED_PORT, ...raw.map((_, i) => RAW_PORT + i)],
  tables: `[limits]\nattempts = ${ATTEMPTS}\nheld_body_bytes = 0`,
});
await eventually(() => names.every((name) => node.node.control.machines(name).every(({ state }) => state === "started")), "the machines");
after(async () => {
  await node[Symbol.asyncDispose]();
  for (const machine of Object.values(machines)) await machine.leaves();
  await vanished[Symbol.asyncDispose]();
});

/** More machines of app "partly". */
function alsoAt(...ports: readonly number[]): string {
  return ports
    .map((port, i) => `\n[[kittiwake.machines]]\nid = "partly-${i + 2}"\nregion = "ams"\naddress = "127.0.0.1:${port}"\n`)
    .join("");
}

function head(app: string, method = "GET", more = ""): string {
  return `${method} / HTTP/1.1\r\nhost: ${app}.localhost\r\n${more}\r\n`;
}

function connectRaw(app: (typeof names)[number]): Promise<RawClient> {
  return RawClient.connect(node.boundPort(RAW_PORT + raw.indexOf(app)));
}

/** Has anything come, or ended? */
function watch(client: RawClient): () => boolean {
  let isOver = false;
  const end = (): void => void (isOver = true);
  client.until((text) => text !== "").then(end, end);
  return () => isOver;
}

for (const [app, request, body] of [
  ["alone", head("alone"), "GET"],
  ["post", head("post", "POST", "content-length: 5\r\n") + "hello", "POSThello"],
  ["upload", head("upload", "PUT", "transfer-encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n", "PUThello"],
] as const) {
  test(`(3.5) a ${request.slice(0, request.indexOf(" "))} to a machine that refuses connections is answered as soon as it is back`, async () => {
    using client = await RawClient.connect(node.httpPort);
    const hasNews = watch(client.send(request));
    await node.passTime(500);
    assert.equal(hasNews(), false, "it waits");
    await machines[app].returns();
    await node.passTimeUntil(hasNews, 100);
    assert.equal((await client.response()).body, body);
    assert.equal(machines[app].accepted, 1, "it came once");
  });
}

test("(3.3) a machine that is restarted costs its clients a wait, and no error", async () => {
  const machine = machines.restarted;
  await machine.returns();
  using client = await RawClient.connect(node.httpPort);
  assert.equal((await client.send(head("restarted")).response()).body, "GET");
  // Its connection rests in the pool, and ends.
  await machine.leaves();
  client.send(head("restarted"));
  await node.passTime(300);
  await machine.returns();
  const answer = client.response();
  let isOver = false;
  void answer.finally(() => (isOver = true));
  await node.passTimeUntil(() => isOver, 100);
  assert.equal((await answer).body, "GET");
});

test("(2.7, 3.5) after all attempts it is 502 with the last failure, with longer and longer waits between them", async () => {
  using client = await RawClient.connect(node.httpPort);
  const hasNews = watch(client.send(head("gone")));
  // At least half of 50, 100, 200 and then 250 ms eleven times; at most all of them, each up to the next tick of the clock and one more.
  const passedMs = await node.passTimeUntil(hasNews, 100);
  assert.ok(passedMs >= 1000, String(passedMs));
  const answer = await client.response();
  assert.deepEqual([answer.status, answer.header("kittiwake-error")], [502, "connect_refused"]);
  assert.equal(node.node.control.inFlight("gone-1"), 0);
});

test("(3.5) wake_timeout bounds the waits as well", async () => {
  using client = await RawClient.connect(node.httpPort);
  const hasNews = watch(client.send(head("brief")));
  const passedMs = await node.passTimeUntil(hasNews, 100);
  assert.ok(passedMs <= BRIEF_MS + 300, String(passedMs));
  assert.equal((await client.response()).status, 502);
});

test("(3.3) a client that leaves meanwhile is not waited for", async () => {
  const client = await RawClient.connect(node.httpPort);
  client.send(head("left"));
  await node.passTime(300);
  client.reset();
  await node.settle();
  await machines.left.returns();
  await node.passTime(2000);
  assert.equal(machines.left.accepted, 0);
});

test("(3.3) an app that changes meanwhile is tried as it is then", async () => {
  using client = await RawClient.connect(node.httpPort);
  const hasNews = watch(client.send(head("changed")));
  await node.passTime(300);
  await machines.changed.leaves();
  const elsewhere = new Absent(await freePort());
  await elsewhere.returns();
  node.writeApp("changed", staticApp("changed", elsewhere.port));
  await node.node.control.reload();
  await node.passTimeUntil(hasNews, 100);
  assert.equal((await client.response()).body, "GET");
  assert.equal(elsewhere.accepted, 1);
  await elsewhere.leaves();
});

test("(3.5) a raw connection is held until its machine is back, with what it sent", async () => {
  using client = await connectRaw("raw");
  const hasNews = watch(client.send("hello").end());
  await node.passTime(500);
  assert.equal(hasNews(), false);
  await machines.raw.returns();
  await node.passTimeUntil(hasNews, 100);
  assert.equal(await client.untilEnd(), "hello");
});

test("(3.5) a raw connection that no machine takes is reset after all attempts", async () => {
  using client = await connectRaw("rawgone");
  const hasNews = watch(client.send("hello"));
  const passedMs = await node.passTimeUntil(hasNews, 100);
  assert.ok(passedMs >= 1000, String(passedMs));
  await client.untilEnd();
  assert.ok(client.wasReset);
  assert.equal(node.node.control.inFlight("rawgone-1"), 0);
});

test("(3.3) nor is a raw connection waited for whose client leaves meanwhile", async () => {
  const client = await connectRaw("rawleft");
  await node.passTime(300);
  client.reset();
  await node.settle();
  await machines.rawleft.returns();
  await node.passTime(2000);
  assert.equal(machines.rawleft.accepted, 0);
});

/** Three times the time-out of a connect, and the waits between them, each up to the next tick of the clock and one more. */
function assertThreeTimeOuts(passedMs: number): void {
  assert.ok(passedMs >= 3 * CONNECT_MS && passedMs <= 3 * CONNECT_MS + 1500, String(passedMs));
}

test("(3.5, 3.6) a machine that does not answer at all is tried three times: then it is 502, long before wake_timeout", async () => {
  using client = await RawClient.connect(node.httpPort);
  const hasNews = watch(client.send(head("vanished")));
  assertThreeTimeOuts(await node.passTimeUntil(hasNews, 250));
  const answer = await client.response();
  assert.deepEqual([answer.status, answer.header("kittiwake-error")], [502, "connect_timeout"]);
  assert.equal(node.node.control.inFlight("vanished-1"), 0);
});

test("(3.5) so it is for a raw connection, which is reset", async () => {
  using client = await RawClient.connect(node.boundPort(VANISHED_PORT));
  const hasNews = watch(client.send("hello"));
  assertThreeTimeOuts(await node.passTimeUntil(hasNews, 250));
  await client.untilEnd();
  assert.ok(client.wasReset);
});

test("(3.5) but one that answers is found behind those that do not", async () => {
  await machines.good.returns();
  using client = await RawClient.connect(node.httpPort);
  const hasNews = watch(client.send(head("partly")));
  const passedMs = await node.passTimeUntil(hasNews, 250);
  assert.ok(passedMs <= 2 * CONNECT_MS + 1000, String(passedMs));
  assert.equal((await client.response()).body, "GET");
});
