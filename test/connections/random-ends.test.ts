// Raw connections whose ends leave in every way at every moment, over TCP and TLS: when both are gone, so is the place on the machine.
// Again with what one run had: SEED=1 node test/run.ts test/connections/random-ends.test.ts

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { startRawBackend } from "../support/backend.ts";
import { rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { createRandom } from "../support/random.ts";
import { rawApp } from "../support/raw-apps.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000_000);
const CONNECTIONS = Number(process.env["CONNECTIONS"] ?? 200);
/** A machine takes some of them at once; the others wait at the gate. */
const HARD_LIMIT = 50;
const TCP = 5000;
const TLS = 5001;
const PIECES = [Buffer.alloc(10, "s"), Buffer.alloc(3000, "m"), Buffer.alloc(64 * 1024, "l"), Buffer.alloc(2 * 1024 * 1024, "x")];

const random = createRandom(seed);
const upTo = (most: number): number => Math.floor(random() * most);
const oneOf = <Item>(items: readonly Item[]): Item => items[upTo(items.length)]!;

/** What an end does now and then, and at last: by then it is gone, or as good as gone. */
async function live(socket: Socket, transport: Socket): Promise<void> {
  socket.on("error", () => {});
  transport.on("error", () => {});
  // Who ended its side waits for the other to do so; who did not, ends when the other does, or at least notices.
  socket.on("end", () => socket.end());
  if (random() < 0.8) socket.resume();
  for (let i = upTo(4); i > 0; i--) {
    const act = upTo(4);
    if (act === 0) await delay(upTo(10));
    else if (!socket.destroyed && socket.writable) socket.write(oneOf(PIECES));
  }
  oneOf([
    () => socket.end(),
    () => socket.end(oneOf(PIECES)),
    () => void socket.end(() => transport.resetAndDestroy()),
    () => transport.resetAndDestroy(),
    () => socket.destroy(),
  ])();
  socket.resume();
}

const machines = new Set<Socket>();
const backend = await startRawBackend((socket) => {
  machines.add(socket);
  socket.on("close", () => machines.delete(socket));
  void live(socket, socket);
});
const service = `concurrency = { type = "connections", hard_limit = ${HARD_LIMIT} }`;
const ports = `port = ${TCP}\n[[services.ports]]\nport = ${TLS}\nhandlers = ["tls"]`;
const node = await startTestNode({
  apps: { ends: rawApp("ends", { machines: [backend.port], port: ports, service, more: 'wake_timeout = "1h"' }) },
  ports: [TCP, TLS],
  workers: 2,
  tables: '[timeouts]\ndrain = "1s"\ntls_handshake = "1h"',
});
await eventually(() => node.node.control.machines("ends").every(({ state }) => state === "started"), "the machine");
const ca = rootOf(node);
after(async () => {
  await backend[Symbol.asyncDispose]();
  await node[Symbol.asyncDispose]();
});

function openClient(isSecure: boolean): Socket {
  const transport = connect({ port: node.boundPort(isSecure ? TLS : TCP), host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  const options = { socket: transport, ca, servername: "ends.localhost", allowHalfOpen: true };
  const socket = isSecure ? connectTls(options) : transport;
  socket.on("error", () => {});
  socket.once(isSecure ? "secureConnect" : "connect", () => void live(socket, transport));
  return socket;
}

for (const isSecure of [false, true]) {
  test(`${CONNECTIONS} connections over ${isSecure ? "TLS" : "TCP"} leave no place taken (seed ${seed})`, async () => {
    const clients = new Set<Socket>();
    for (let i = 0; i < CONNECTIONS; i++) {
      const client = openClient(isSecure);
      clients.add(client);
      client.on("close", () => clients.delete(client));
      if (random() < 0.1) await delay(upTo(5));
    }
    const { control } = node.node;
    await eventually(() => clients.size === 0, "the clients to be gone", 20_000);
    await eventually(() => machines.size === 0 && control.inFlight("ends-1") === 0, "the places to be given back");
    await eventually(() => control.status().waiting === 0, "nobody to wait");
    assert.equal(control.inFlight("ends-1"), 0);
    assert.deepEqual(
      control.status().workers.map(({ restarts }) => restarts),
      [0, 0],
    );
  });
}
