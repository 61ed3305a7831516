// What bounds replays, over many at once; and the rows of reference sections 3.4, 4.1, 4.2, 4.7 and 6.2 that need a machine which is gone, or asleep.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { machineOf, processApp, untilMachine } from "../support/apps.ts";
import { freePort, staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import type { Message } from "../support/message.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { createRandom } from "../support/random.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000_000);
const KEPT_BYTES = 5000;

const near = await ScriptedBackend.start();
const far = await ScriptedBackend.start();
const gonePort = await freePort();
let node: TestNode;

function pair(app: string, port: number): string {
  return staticApp(app, port, `[[kittiwake.machines]]\nid = "${app}-2"\nregion = "nrt"\naddress = "127.0.0.1:${far.port}"`);
}

before(async () => {
  const checked = '[[http_service.checks]]\npath = "/health"\ngrace_period = "60s"\ninterval = "60s"\n';
  node = await startTestNode({
    workers: 1,
    apps: {
      pair: pair("pair", near.port),
      gone: pair("gone", gonePort),
      sleepy: processApp("sleepy", { regions: ["ams", "nrt"], more: checked }),
    },
    tables: `[limits]\nattempts = 3\nheld_body_bytes = 100\nreplay_body_bytes = ${KEPT_BYTES}\nretry_body_bytes = ${KEPT_BYTES}\nkept_bodies_bytes = ${5 * KEPT_BYTES}`,
  });
  await untilMachine(node, "pair", ({ state }) => state === "started", "nrt");
  await untilMachine(node, "gone", ({ state }) => state === "started", "nrt");
});

after(async () => {
  await Promise.all([near, far].map((backend) => backend[Symbol.asyncDispose]()));
  await node[Symbol.asyncDispose]();
});

async function send(text: string): Promise<Message> {
  using client = await RawClient.connect(node.httpPort);
  return await client.send(text).response();
}

function bodyOf(name: string, bytes: number): string {
  return `${name},`.repeat(Math.ceil(bytes / (name.length + 1))).slice(0, bytes);
}

test(`(2.7) ten replays and no more, and bodies sent again whole or not at all, of 60 requests at once (SEED=${SEED})`, async (t) => {
  const random = createRandom(SEED);
  const asked = new Map<string, number>();
  // `/name/hops/bytes`: so many replays are asked for, each of one of the two machines.
  const answer = ({ target, body }: Message): string => {
    const [, name, hops, bytes] = target.split("/");
    const count = (asked.get(name!) ?? 0) + 1;
    asked.set(name!, count);
    if (body !== bodyOf(name!, Number(bytes))) return response(`of ${name} ${body.length} of ${bytes} bytes came`);
    return count > Number(hops)
      ? response(`done ${name}`)
      : response("", [`fly-replay: instance=pair-${random() < 0.5 ? 1 : 2}`], "409 Conflict");
  };
  await Promise.all([near.answers(answer), far.answers(answer)]);
  const outcomes: Record<string, number> = {};
  const one = async (name: string): Promise<void> => {
    const hops = Math.floor(random() * 13);
    const bytes = random() < 0.5 ? 0 : Math.floor(random() * 1.2 * KEPT_BYTES);
    const { status, body, header } = await send(
      `POST /${name}/${hops}/${bytes} HTTP/1.1\r\nhost: pair.localhost\r\ncontent-length: ${bytes}\r\n\r\n${bodyOf(name, bytes)}`,
    ).then((message) => ({ status: message.status, body: message.body, header: message.header("kittiwake-error") }));
    const outcome = header ?? String(status);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    const count = asked.get(name)!;
    if (outcome === "200") assert.deepEqual([body, count], [`done ${name}`, hops + 1]);
    else if (outcome === "replay_loop") assert.deepEqual([hops > 10, count], [true, 11]);
    else assert.deepEqual([outcome, hops > 0 && bytes > 100], ["replay_body_lost", true]);
    assert.equal(hops > 10 && outcome === "200", false);
    if (bytes === 0) assert.equal(outcome, hops > 10 ? "replay_loop" : "200");
    if (bytes > KEPT_BYTES && hops > 0) assert.equal(outcome, "replay_body_lost");
  };
  await Promise.all(Array.from({ length: 60 }, (_, i) => one(`r${i}`)));
  t.diagnostic(JSON.stringify(outcomes));
  for (const id of ["pair-1", "pair-2"]) await eventually(() => node.node.control.inFlight(id) === 0, `the places of ${id}`);
  // All that was kept is given back: otherwise the sixth could not be kept.
  for (let i = 0; i < 6; i++) {
    const body = bodyOf(`s${i}`, KEPT_BYTES);
    const last = await send(`POST /s${i}/3/${KEPT_BYTES} HTTP/1.1\r\nhost: pair.localhost\r\ncontent-length: ${KEPT_BYTES}\r\n\r\n${body}`);
    assert.equal(last.body, `done s${i}`);
  }
});

test("(4.1) the body of an answer that asks for a replay is not taken in without end", async () => {
  await far.answers(() => response("far"));
  await near.answers((_, connection) => {
    const pour = (): void => {
      while (!connection.socket.destroyed && connection.socket.write("x".repeat(65_536)));
    };
    connection.send(`HTTP/1.1 409 Conflict\r\nfly-replay: region=nrt\r\ncontent-length: ${1e12}\r\n\r\n`);
    connection.socket.on("drain", pour);
    pour();
    return null;
  });
  assert.equal((await send("GET / HTTP/1.1\r\nhost: pair.localhost\r\n\r\n")).body, "far");
  const [machine] = near.connections;
  await eventually(() => machine!.socket.destroyed, "the edge to leave");
});

/** The nearest machine of app "gone" answers one request, with an order, and is no more. */
async function answersOnce(order: string): Promise<void> {
  const server = createServer((socket) => {
    const client = RawClient.of(socket);
    void client.request().then(() => {
      server.close();
      client.send(response("", [`fly-replay: ${order}`, "connection: close"])).end();
    });
  }).listen(gonePort, "127.0.0.1");
  await once(server, "listening");
}

for (const [title, order, status, expected] of [
  ["(3.4) a replay that reaches nobody is 5xx", "region=syd", 503, "no_machine"],
  ["(4.2) force_self is an error when the machine is gone meanwhile", "region=syd;fallback=force_self", 502, "connect_refused"],
  ["(4.2) prefer_self goes to another machine of the app then", "region=syd;fallback=prefer_self", 200, null],
] as const) {
  test(title, async () => {
    await far.answers((request) => response(request.header("fly-replay-failed") ?? ""));
    await answersOnce(order);
    const answer = await send("GET / HTTP/1.1\r\nhost: gone.localhost\r\n\r\n");
    assert.deepEqual([answer.status, answer.header("kittiwake-error")], [status, expected]);
    if (status === 200) assert.match(answer.body, /;replay_source=gone-1;reason=no_candidate;/);
    // What the edge says itself is known by these (3.4).
    for (const name of ["server", "via", "fly-request-id"]) assert.notEqual(answer.header(name), null, name);
  });
}

/** Id of the machine that a WebSocket ends at. */
async function webSocketTo(app: string, headers: Readonly<Record<string, string>> = {}): Promise<string | undefined> {
  const client = new WebSocket(`ws://127.0.0.1:${node.httpPort}/`, { headers: { host: `${app}.localhost`, ...headers } });
  await once(client, "open");
  client.send("hello");
  const [data] = (await once(client, "message")) as [Buffer];
  client.close();
  const pid = Number.parseInt(data.toString());
  return node.node.control.machines("sleepy").find((machine) => machine.pid === pid)?.id;
}

test("(4.1) a WebSocket is replayed to a machine that sleeps, which is started for it", async () => {
  const { id } = machineOf(node, "sleepy", "nrt");
  await near.answers(() => response("", [`fly-replay: app=sleepy;instance=${id}`]));
  assert.equal(await webSocketTo("pair"), id);
  assert.notEqual(machineOf(node, "sleepy", "ams").state, "started");
});

test("(6.2) who waits for a start hears nothing before the answer, and gets it when the port accepts, before any check has passed", async () => {
  const { id } = machineOf(node, "sleepy", "ams");
  const answer = await send(`GET / HTTP/1.1\r\nhost: sleepy.localhost\r\nfly-force-instance-id: ${id}\r\n\r\n`);
  assert.ok(answer.raw.startsWith("HTTP/1.1 200 "), answer.raw);
  assert.equal((JSON.parse(answer.body) as { machine: string }).machine, id);
  assert.equal(machineOf(node, "sleepy", "ams").health, "unknown");
});

test("(4.7) fly-force-instance-id holds for WebSocket upgrades", async () => {
  for (const region of ["nrt", "ams"]) {
    const { id } = machineOf(node, "sleepy", region);
    assert.equal(await webSocketTo("sleepy", { "fly-force-instance-id": id }), id);
  }
});
