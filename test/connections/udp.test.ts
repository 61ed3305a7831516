// UDP: each client is a session with one machine; bounded, woken, and told apart by address alone.

import assert from "node:assert/strict";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { writeDatagramHeader } from "../../src/http/proxy-header.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode, type TestNodeOptions } from "../support/node.ts";
import { rawApp } from "../support/raw-apps.ts";

const PORT = 5300;

/** A UDP socket that collects what comes. */
class Peer implements Disposable {
  readonly socket: Socket = createSocket("udp4");
  readonly received: { readonly text: string; readonly from: RemoteInfo }[] = [];
  #isOpen = true;

  constructor() {
    this.socket.on("message", (datagram, from) => this.received.push({ text: datagram.toString("latin1"), from }));
    this.socket.on("error", () => {});
  }

  static async bound(): Promise<Peer> {
    const peer = new Peer();
    peer.socket.bind(0, "127.0.0.1");
    await once(peer.socket, "listening");
    return peer;
  }

  /** Answers every datagram with its name in front. */
  echoes(name: string): this {
    this.socket.on("message", (datagram, { port, address }) => this.socket.send(`${name}: ${datagram.toString("latin1")}`, port, address));
    return this;
  }

  get port(): number {
    return this.socket.address().port;
  }

  get texts(): string[] {
    return this.received.map(({ text }) => text);
  }

  send(text: string | Buffer, port: number): this {
    this.socket.send(text, port, "127.0.0.1");
    return this;
  }

  async until(count: number): Promise<string[]> {
    await eventually(() => this.received.length >= count, `${count} datagrams`);
    return this.texts;
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) this.socket.close();
    this.#isOpen = false;
  }
}

interface UdpOptions extends Partial<TestNodeOptions> {
  readonly machines: readonly number[];
  readonly port?: string;
  readonly service?: string;
  readonly more?: string;
}

async function startUdp(t: TestContext | null, { machines, port = "", service, more, ...options }: UdpOptions): Promise<TestNode> {
  const app = rawApp("dns", {
    machines,
    protocol: "udp",
    internalPort: PORT,
    port: `port = ${PORT}\n${port}`,
    ...(service === undefined ? {} : { service }),
    ...(more === undefined ? {} : { more }),
  });
  const node = await startTestNode({ apps: { dns: app }, ports: [PORT], ...options });
  await eventually(() => node.node.control.machines("dns").every(({ state }) => state === "started"), "the machines");
  t?.after(() => node[Symbol.asyncDispose]());
  return node;
}

function inFlight(node: TestNode): number {
  return node.node.control.machines("dns").reduce((sum, { id }) => sum + node.node.control.inFlight(id), 0);
}

test("replies go back to the client that asked, from the port that it asked", async (t) => {
  using machine = (await Peer.bound()).echoes("m");
  const node = await startUdp(t, { machines: [machine.port], workers: 2 });
  const port = node.boundPort(PORT, "udp");
  const clients = await Promise.all(Array.from({ length: 20 }, () => Peer.bound()));
  after(() => clients.forEach((client) => client[Symbol.dispose]()));
  for (const [index, client] of clients.entries()) client.send(`first ${index}`, port);
  for (const [index, client] of clients.entries()) assert.deepEqual(await client.until(1), [`m: first ${index}`]);
  for (const [index, client] of clients.entries()) client.send(`second ${index}`, port);
  for (const [index, client] of clients.entries()) {
    assert.deepEqual(await client.until(2), [`m: first ${index}`, `m: second ${index}`]);
    assert.deepEqual(new Set(client.received.map(({ from }) => from.port)), new Set([port]));
  }
  // Each is one session, which counts as a connection, and reached the machine from one address.
  assert.equal(inFlight(node), 20);
  assert.equal(new Set(machine.received.map(({ from }) => from.port)).size, 20);
  const { text } = await node.node.control.metrics();
  assert.match(text, /^fly_edge_tcp_connects_count\{[^}]*app="dns"[^}]*\} 20$/m);
});

test("datagrams of any bytes and lengths pass, empty ones too", async (t) => {
  using machine = await Peer.bound();
  const node = await startUdp(t, { machines: [machine.port] });
  using client = await Peer.bound();
  const sizes = [0, 1, 1300, 9000, 60_000];
  for (const [index, size] of sizes.entries()) {
    client.send(Buffer.alloc(size, 0xff), node.boundPort(PORT, "udp"));
    await machine.until(index + 1);
  }
  assert.deepEqual(
    machine.texts.map((text) => text.length),
    sizes,
  );
  const { from } = machine.received[0]!;
  machine.send(Buffer.alloc(0), from.port).send(Buffer.alloc(60_000, 1), from.port);
  assert.deepEqual(
    (await client.until(2)).map((text) => text.length),
    [0, 60_000],
  );
});

test("what seems to come from the port itself is dropped, or it would be answered to itself for ever", async (t) => {
  using machine = (await Peer.bound()).echoes("m");
  const node = await startUdp(t, { machines: [machine.port] });
  const port = node.boundPort(PORT, "udp");
  using forged = new Peer();
  forged.socket.bind(port, "127.0.0.2");
  await once(forged.socket, "listening");
  forged.send("forged", port);
  using client = (await Peer.bound()).send("real", port);
  await client.until(1);
  assert.deepEqual([machine.texts, forged.texts], [["real"], []]);
});

test("a session ends after its time without a datagram, and gives its place back", async (t) => {
  using machine = (await Peer.bound()).echoes("m");
  const node = await startUdp(t, { machines: [machine.port], tables: '[timeouts]\nudp_idle = "60s"' });
  using client = await Peer.bound();
  client.send("a", node.boundPort(PORT, "udp"));
  await client.until(1);
  await node.passTime(50_000);
  assert.equal(inFlight(node), 1);
  await node.passTime(20_000);
  await eventually(() => inFlight(node) === 0, "the session to end");
  const log = (): string => readFileSync(join(node.dir, "node.log"), "utf8");
  await eventually(() => /"protocol":"UDP","scheme":"udp","port":5300.*"bytes_in":1,"bytes_out":4/.test(log()), "its line in the log");
  client.send("b", node.boundPort(PORT, "udp"));
  assert.deepEqual(await client.until(2), ["m: a", "m: b"]);
  assert.equal(new Set(machine.received.map(({ from }) => from.port)).size, 2);
});

test("beyond so many sessions new clients are dropped, and the others go on", async (t) => {
  using machine = (await Peer.bound()).echoes("m");
  const node = await startUdp(t, { machines: [machine.port], tables: "[limits]\nudp_sessions = 2" });
  const port = node.boundPort(PORT, "udp");
  using one = (await Peer.bound()).send("1", port);
  await one.until(1);
  using two = (await Peer.bound()).send("2", port);
  await two.until(1);
  using three = (await Peer.bound()).send("3", port);
  // Datagrams of one sender arrive in order, so what follows shows what became of the third.
  one.send("4", port);
  await one.until(2);
  assert.deepEqual([three.texts, machine.texts], [[], ["1", "2", "4"]]);
  assert.match((await node.node.control.metrics()).text, /code="sessions_full"\} 1\b/);
});

test("at the hard limit a client waits with its first datagrams for a place", async (t) => {
  using machine = (await Peer.bound()).echoes("m");
  const service = 'concurrency = { type = "connections", hard_limit = 1 }';
  const more = 'wake_timeout = "10m"';
  const node = await startUdp(t, { machines: [machine.port], service, port: 'kittiwake = { idle_timeout = "60s" }', more });
  const port = node.boundPort(PORT, "udp");
  using first = (await Peer.bound()).send("first", port);
  await first.until(1);
  using second = await Peer.bound();
  for (let i = 0; i < 12; i++) second.send(`${i}`, port);
  await node.settle();
  assert.equal(machine.received.length, 1);
  await node.passTime(70_000);
  // What is more than is kept for one that waits is lost.
  const texts = await second.until(8);
  assert.equal(machine.received.length, 9);
  assert.deepEqual(
    texts.toSorted(),
    Array.from({ length: 8 }, (_, i) => `m: ${i}`),
  );
});

test("the machine hears where the client is, where it asks to", async (t) => {
  using machine = (await Peer.bound()).echoes("m");
  const node = await startUdp(t, { machines: [machine.port], port: "kittiwake = { udp_proxy_header = true }" });
  using client = await Peer.bound();
  const ends = { sourceIp: "127.0.0.1", sourcePort: client.port, destinationIp: "127.0.0.1", destinationPort: PORT };
  const header = writeDatagramHeader(ends).toString("latin1");
  for (const text of ["one", "two"]) {
    client.send(text, node.boundPort(PORT, "udp"));
    await machine.until(text === "one" ? 1 : 2);
  }
  assert.deepEqual(machine.texts, [`${header}one`, `${header}two`]);
});

test("a machine where nobody listens is passed over for the next, with what was sent", async (t) => {
  using machine = (await Peer.bound()).echoes("m");
  const gone = await Peer.bound();
  const { port: absent } = gone;
  gone[Symbol.dispose]();
  const node = await startUdp(t, { machines: [absent, machine.port], tables: "[limits]\nattempts = 2" });
  for (let i = 0; i < 8; i++) {
    using client = (await Peer.bound()).send(`hello ${i}`, node.boundPort(PORT, "udp"));
    assert.deepEqual(await client.until(1), [`m: hello ${i}`]);
  }
  machine[Symbol.dispose]();
  using lost = (await Peer.bound()).send("x", node.boundPort(PORT, "udp"));
  await eventually(async () => /code="connect_refused"\}/.test((await node.node.control.metrics()).text), "the failure");
  assert.deepEqual(lost.texts, []);
});

test("the first datagram wakes a machine, and is delivered to it", async (t) => {
  const script =
    "const s = require('dgram').createSocket('udp4'); s.on('message', (m, r) => s.send('woke: ' + m, r.port, r.address)); s.bind(process.env.PORT, '127.0.0.1')";
  const app = [
    'app = "dns"',
    'primary_region = "ams"',
    "[processes]",
    `app = ${JSON.stringify(`exec '${process.execPath}' -e "${script}"`)}`,
    "[[services]]",
    'protocol = "udp"',
    `internal_port = ${PORT}`,
    'auto_stop_machines = "stop"',
    "[[services.ports]]",
    `port = ${PORT}`,
  ].join("\n");
  const node = await startTestNode({ apps: { dns: app }, ports: [PORT] });
  t.after(() => node[Symbol.asyncDispose]());
  using client = (await Peer.bound()).send("hello", node.boundPort(PORT, "udp"));
  await node.event("woke");
  // Nothing says when a program is ready for datagrams, so a client asks again, as clients of UDP do.
  await eventually(() => {
    client.send("hello", node.boundPort(PORT, "udp"));
    return client.received.length > 0;
  }, "an answer");
  assert.equal(client.texts[0], "woke: hello");
});

test("a port goes with its app, and its sessions with it", async (t) => {
  using machine = (await Peer.bound()).echoes("m");
  const node = await startUdp(t, { machines: [machine.port] });
  const port = node.boundPort(PORT, "udp");
  using client = (await Peer.bound()).send("a", port);
  await client.until(1);
  node.writeApp("dns", rawApp("dns", { machines: [machine.port], port: "port = 6000", service: "" }).replace("8080", "6000"));
  const { applied, messages } = await node.node.control.reload();
  assert.ok(applied, messages.join("\n"));
  await eventually(() => inFlight(node) === 0, "the session to end");
  assert.ok(node.node.control.status().listeners.every(({ scheme }) => scheme !== "udp"));
});
