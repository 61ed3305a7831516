// Raw TCP: bytes as they are, both ways, each side ended by itself; routed, limited and held like requests.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { freePort, startRawBackend } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { rawApp, startEcho } from "../support/raw-apps.ts";
import { Torrent } from "../support/torrent.ts";

const PORT = 5000;
const LARGE_BYTES = 10 * 1024 * 1024;

/** A machine whose connections a test holds by hand. */
async function startHeld(): Promise<{ port: number; next: () => Promise<RawClient>; count: () => number } & AsyncDisposable> {
  const sockets: RawClient[] = [];
  const raw = await startRawBackend((socket) => sockets.push(RawClient.of(socket)));
  let taken = 0;
  return {
    port: raw.port,
    count: () => sockets.length,
    next: async () => {
      const index = taken++;
      await eventually(() => sockets.length > index, "a connection to the machine");
      return sockets[index]!;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(raw[Symbol.asyncDispose]()),
  };
}

async function startRaw(machines: readonly number[], service = "", port = `port = ${PORT}`, more = ""): Promise<TestNode> {
  const app = rawApp("echo", { machines, port, service, more });
  const node = await startTestNode({ apps: { echo: app }, ports: [PORT], tables: '[timeouts]\ndrain = "1s"' });
  await eventually(() => node.node.control.machines("echo").every(({ state }) => state === "started"), "the machines");
  return node;
}

function inFlight(node: TestNode): number {
  return node.node.control.machines("echo").reduce((sum, { id }) => sum + node.node.control.inFlight(id), 0);
}

function digest(bytes: Buffer | string): string {
  return createHash("sha256")
    .update(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes)
    .digest("hex");
}

describe("a raw connection", async () => {
  const held = await startHeld();
  const node = await startRaw([held.port]);
  after(async () => {
    await held[Symbol.asyncDispose]();
    await node[Symbol.asyncDispose]();
  });

  async function open(): Promise<{ client: RawClient; machine: RawClient }> {
    const client = await RawClient.connect(node.boundPort(PORT));
    return { client, machine: await held.next() };
  }

  test("carries bytes both ways unchanged, and counts as long as it is open", async () => {
    const { client, machine } = await open();
    client.send("\0\r\n\xff hello");
    await machine.until((text) => text === "\0\r\n\xff hello");
    machine.send("220 ready\r\n");
    await client.until((text) => text === "220 ready\r\n");
    assert.equal(inFlight(node), 1);
    client.end();
    await machine.untilEnd();
    machine.end();
    await client.untilEnd();
    assert.ok(!client.wasReset);
    await eventually(() => inFlight(node) === 0, "the place to be given back");
  });

  test("to a machine that speaks first needs no byte of the client", async () => {
    const { client, machine } = await open();
    machine.send("SSH-2.0-x\r\n");
    await client.until((text) => text === "SSH-2.0-x\r\n");
    client.reset();
    await machine.untilEnd();
  });

  test("whose client has sent all is answered still, and so the other way round", async () => {
    const first = await open();
    first.client.send("question").end();
    await first.machine.untilEnd();
    assert.equal(first.machine.received, "question");
    assert.ok(!first.machine.wasReset);
    first.machine.send("answer").end();
    assert.equal(await first.client.untilEnd(), "answer");

    const second = await open();
    second.machine.send("greeting").end();
    assert.equal(await second.client.untilEnd(), "greeting");
    second.client.send("late").end();
    assert.equal(await second.machine.untilEnd(), "late");
    await eventually(() => inFlight(node) === 0, "the places to be given back");
  });

  test("whose client says nothing and sends no more is answered, too", async () => {
    const { client, machine } = await open();
    client.end();
    await machine.untilEnd();
    machine.send("the time is now").end();
    assert.equal(await client.untilEnd(), "the time is now");
  });

  test("of a client that vanishes is reset at the machine, and so the other way round", async () => {
    const first = await open();
    // So that both are sure to be joined already.
    first.client.send("x");
    await first.machine.until((text) => text === "x");
    first.client.reset();
    await first.machine.untilEnd();
    assert.ok(first.machine.wasReset);
    const second = await open();
    second.client.send("x");
    // One that resets before a connection is joined has refused it, and the next attempt would be another test's.
    await second.machine.until((text) => text === "x");
    second.machine.reset();
    await second.client.untilEnd();
    assert.ok(second.client.wasReset);
    await eventually(() => inFlight(node) === 0, "the places to be given back");
  });

  test("with a slow reader on either side stops the other one, and loses nothing", async () => {
    for (const isUp of [true, false]) {
      const { client, machine } = await open();
      const [from, to] = isUp ? [client, machine] : [machine, client];
      to.socket.pause();
      const torrent = new Torrent(from.socket);
      await torrent.untilStopped();
      const sum = torrent.end();
      to.socket.resume();
      assert.equal(digest(await to.untilEnd()), sum);
      to.end();
      await from.untilEnd();
    }
    await eventually(() => inFlight(node) === 0, "the places to be given back");
  });

  test("carries 10 MB both ways at once", async () => {
    const { client, machine } = await open();
    const [up, down] = [randomBytes(LARGE_BYTES), randomBytes(LARGE_BYTES)];
    client.send(up).end();
    machine.send(down).end();
    const [gotUp, gotDown] = await Promise.all([machine.untilEnd(), client.untilEnd()]);
    assert.equal(digest(gotUp), digest(up));
    assert.equal(digest(gotDown), digest(down));
  });

  test("is counted with its bytes, and has a line in the access log", async () => {
    const { client, machine } = await open();
    const from = client.socket.localPort;
    assert.ok(from !== undefined);
    machine.send("12345678");
    await client.until((text) => text.length === 8);
    client.send("abc").end();
    await machine.untilEnd();
    machine.end();
    await client.untilEnd();
    await eventually(() => inFlight(node) === 0, "its end");
    const metrics = await node.node.control.metrics();
    const value = (name: string): number => Number(new RegExp(`^${name}\\{[^}]*app="echo"[^}]*\\} (\\d+)`, "m").exec(metrics.text)?.[1]);
    assert.equal(value("fly_edge_tcp_connects_count"), value("fly_edge_tcp_disconnects_count"));
    assert.ok(value("fly_edge_data_in") > LARGE_BYTES);
    assert.ok(value("fly_edge_data_out") > LARGE_BYTES);
    const lines = (): Record<string, unknown>[] =>
      readFileSync(join(node.dir, "node.log"), "utf8")
        .split("\n")
        .filter((line) => line.includes('"level":"access"'))
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    await eventually(() => lines().some((line) => line["bytes_in"] === 3), "the line in the access log");
    const line = lines().find((one) => one["bytes_in"] === 3)!;
    const { app, machine: id, scheme, port, protocol, bytes_out: bytesOut, attempts, client: ip, code } = line;
    assert.deepEqual(
      [app, id, scheme, port, protocol, bytesOut, attempts, ip, code],
      ["echo", "echo-1", "tcp", PORT, "TCP", 8, 1, "127.0.0.1", undefined],
    );
  });
});

test("a machine that refuses is passed over for the next one", async () => {
  await using echo = await startEcho();
  await using node = await startRaw([await freePort(), echo.port]);
  for (let i = 0; i < 8; i++) {
    using client = await RawClient.connect(node.boundPort(PORT));
    client.send("hello").end();
    assert.equal(await client.untilEnd(), "hello");
  }
});

test("a connection that no machine takes is reset", async () => {
  await using node = await startRaw([await freePort()], undefined, undefined, 'wake_timeout = "1ms"');
  using client = await RawClient.connect(node.boundPort(PORT));
  await client.untilEnd();
  assert.ok(client.wasReset);
  assert.equal(inFlight(node), 0);
});

test("at the hard limit a connection waits for another one to end, with what it sent", async () => {
  await using held = await startHeld();
  await using node = await startRaw([held.port], 'concurrency = { type = "connections", hard_limit = 1 }');
  const first = await RawClient.connect(node.boundPort(PORT));
  await held.next();
  const second = await RawClient.connect(node.boundPort(PORT));
  second.send("early").end();
  await eventually(() => node.node.control.status().waiting === 1, "the second to wait");
  assert.equal(held.count(), 1);
  first.reset();
  const machine = await held.next();
  assert.equal(await machine.untilEnd(), "early");
  machine.send("done").end();
  assert.equal(await second.untilEnd(), "done");
});

test("a connection that waits too long is reset, and one whose client leaves waits no more", async () => {
  await using held = await startHeld();
  await using node = await startRaw(
    [held.port],
    'concurrency = { type = "connections", hard_limit = 1 }',
    undefined,
    'wake_timeout = "60s"',
  );
  const first = await RawClient.connect(node.boundPort(PORT));
  await held.next();
  const waits = await RawClient.connect(node.boundPort(PORT));
  await eventually(() => node.node.control.status().waiting === 1, "it to wait");
  await node.endsAfter(60_000, waits.untilEnd());
  assert.ok(waits.wasReset);
  const leaves = await RawClient.connect(node.boundPort(PORT));
  await eventually(() => node.node.control.status().waiting === 1, "it to wait");
  leaves.reset();
  await eventually(() => node.node.control.status().waiting === 0, "it to leave");
  assert.equal(held.count(), 1);
  first.reset();
});

test("silence ends a connection only where the port says so", async () => {
  await using held = await startHeld();
  await using node = await startRaw([held.port], "", `port = ${PORT}\nkittiwake = { idle_timeout = "60s" }`);
  using client = await RawClient.connect(node.boundPort(PORT));
  const machine = await held.next();
  for (let i = 1; i <= 4; i++) {
    client.send(".");
    await machine.until((text) => text.length === i);
    await node.passTime(50_000);
  }
  client.send(".");
  await machine.until((text) => text.length === 5);
  await node.endsAfter(60_000, client.untilEnd());
  await machine.untilEnd();
});

test("every port of a range leads to the machine, and a reload takes away those that are left out", async () => {
  await using echo = await startEcho();
  const range = [5000, 5001, 5002];
  const app = (end: number): string => rawApp("echo", { machines: [echo.port], port: `start_port = 5000\nend_port = ${end}` });
  await using node = await startTestNode({ apps: { echo: app(5002) }, ports: range, workers: 2 });
  const bound = range.map((port) => node.boundPort(port));
  const clients = await Promise.all(bound.map((port) => RawClient.connect(port)));
  for (const client of clients) await client.send("here").until((text) => text === "here");
  node.writeApp("echo", app(5001));
  const { applied, messages } = await node.node.control.reload();
  assert.ok(applied, messages.join("\n"));
  const isRefused = (error: NodeJS.ErrnoException): boolean => error.code === "ECONNREFUSED";
  await eventually(() => RawClient.connect(bound[2]!).then((one) => (one.reset(), false), isRefused), "the port to be closed");
  // What was open goes on, on that port too.
  for (const client of clients) {
    await client.send(" still").until((text) => text === "here still");
    client.end();
    await client.untilEnd();
  }
  using again = await RawClient.connect(bound[0]!);
  await again.send("x").until((text) => text === "x");
});

test("a node that stops lets raw connections go on, and cuts them when its time is up", async () => {
  await using held = await startHeld();
  const node = await startRaw([held.port]);
  const ends = await RawClient.connect(node.boundPort(PORT));
  const endsMachine = await held.next();
  const stays = await RawClient.connect(node.boundPort(PORT));
  await held.next();
  const stopping = node[Symbol.asyncDispose]();
  await eventually(
    () =>
      RawClient.connect(node.boundPort(PORT)).then(
        (one) => (one.reset(), false),
        () => true,
      ),
    "the port to be closed",
  );
  ends.send("last words").end();
  assert.equal(await endsMachine.untilEnd(), "last words");
  endsMachine.send("heard").end();
  assert.equal(await ends.untilEnd(), "heard");
  assert.ok(!stays.ended);
  await stays.untilEnd();
  assert.ok(stays.wasReset);
  await stopping;
});

test("a machine that is asleep is woken by a connection, which is held until it listens", async () => {
  const script = `require('net').createServer({ allowHalfOpen: true }, (s) => s.pipe(s)).listen(process.env.PORT, '127.0.0.1')`;
  const app = [
    'app = "sleepy"',
    'primary_region = "ams"',
    "[processes]",
    `app = ${JSON.stringify(`exec '${process.execPath}' -e "${script}"`)}`,
    "[[services]]",
    'protocol = "tcp"',
    "internal_port = 8080",
    'auto_stop_machines = "stop"',
    "[[services.ports]]",
    "port = 5000",
    "[kittiwake]",
    'idle_timeout = "1h"',
  ].join("\n");
  await using node = await startTestNode({ apps: { sleepy: app }, ports: [PORT], workers: 2 });
  const clients = await Promise.all(Array.from({ length: 10 }, () => RawClient.connect(node.boundPort(PORT))));
  for (const client of clients) client.send("wake up").end();
  for (const client of clients) assert.equal(await client.untilEnd(), "wake up");
  assert.equal(node.events.filter(({ type }) => type === "woke").length, 1);
});
