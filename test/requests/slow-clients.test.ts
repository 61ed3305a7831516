// Back-pressure: who reads slowly slows down who writes, the node keeps little in between, and nothing is lost at the end.
// @own-process: the memory that it measures is to be its own.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { request as httpsRequest } from "node:https";
import { after, test } from "node:test";
import { startBackend, staticApp } from "../support/backend.ts";
import { HOST, rootOf } from "../support/edge.ts";
import { eventually, isSoWithin } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { digestOf, Torrent } from "../support/torrent.ts";

type Listener = (request: IncomingMessage, answer: ServerResponse) => void;

const machine: { listener: Listener } = { listener: () => {} };
const backend = await startBackend((request, answer) => machine.listener(request, answer));
const apps = ["hello", "kept", "last-close", "last-old", "last-half", "last-close-tls", "last-old-tls", "last-half-tls"];
const node = await startTestNode({
  apps: Object.fromEntries(apps.map((app) => [app, staticApp(app, backend.port)])),
  tables: '[timeouts]\nkeep_alive_idle = "10m"',
});
after(async () => {
  await backend[Symbol.asyncDispose]();
  await node[Symbol.asyncDispose]();
});

const SMALL_PIECE_BYTES = 1000;
/** More than the kernel and the edge keep for a client that does not read. */
const LARGE = Buffer.alloc(8 * 1024 * 1024, "0123456789abcdef");
/** Less than the edge itself keeps, so that what was taken is not all with the kernel. */
const RESOLUTION_BYTES = 24 * 1024;
/** Nobody waits for these: the tests have the time pass (TestNode.passTime). */
const LONGER_THAN_LINGERING_MS = 10_000;
const KEEP_ALIVE_MS = 600_000;
/** What the node may grow by while much more than that wants to pass. */
const MOST_MEMORY = 16 * 1024 * 1024;

for (const scheme of ["http", "https"] as const) {
  test(`a client that does not read over ${scheme} stops the machine, and gets everything once it reads`, async () => {
    const { promise: answered, resolve: onAnswer } = Promise.withResolvers<Torrent>();
    const before = process.memoryUsage.rss();
    machine.listener = (_, answer) => onAnswer(new Torrent(answer));
    const [answer] = (await once(open(scheme, "GET").end(), "response")) as [IncomingMessage];
    const torrent = await answered;
    await torrent.untilStopped();
    assertSmall(process.memoryUsage.rss() - before);
    const sum = torrent.end();
    assert.equal(await digestOf(answer), sum);
  });

  test(`a machine that does not read stops a client that sends over ${scheme}, and gets everything once it reads`, async () => {
    const { promise: arrived, resolve: onArrived } = Promise.withResolvers<[IncomingMessage, ServerResponse]>();
    machine.listener = (request, answer) => onArrived([request, answer]);
    const before = process.memoryUsage.rss();
    const upload = open(scheme, "POST");
    const torrent = new Torrent(upload);
    const [request, answer] = await arrived;
    await torrent.untilStopped();
    assertSmall(process.memoryUsage.rss() - before);
    const sum = torrent.end();
    assert.equal(await digestOf(request), sum);
    answer.end("thanks");
    const [response] = (await once(upload, "response")) as [IncomingMessage];
    assert.equal(String(Buffer.concat(await response.toArray())), "thanks");
  });
}

test("an upload in small chunks reaches a machine that reads late, to the last of them", async () => {
  const { promise: arrived, resolve: onArrived } = Promise.withResolvers<[IncomingMessage, ServerResponse]>();
  machine.listener = (request, answer) => onArrived([request, answer]);
  const upload = open("http", "POST");
  const torrent = new Torrent(upload, SMALL_PIECE_BYTES);
  const [request, late] = await arrived;
  // Until the edge has its hands full.
  await torrent.untilStopped();
  const sum = torrent.end();
  late.end(await digestOf(request));
  const [answer] = (await once(upload, "response")) as [IncomingMessage];
  assert.equal(String(Buffer.concat(await answer.toArray())), sum);
});

/** An app of its own for each way in which a response can be the last one of its connection, so that its place can be watched. */
const LAST_RESPONSES = [
  { app: "last-close", lines: ["HTTP/1.1", "connection: close"], ends: false, scheme: "http" },
  { app: "last-old", lines: ["HTTP/1.0"], ends: false, scheme: "http" },
  { app: "last-half", lines: ["HTTP/1.1"], ends: true, scheme: "http" },
  { app: "last-close-tls", lines: ["HTTP/1.1", "connection: close"], ends: false, scheme: "https" },
  { app: "last-old-tls", lines: ["HTTP/1.0"], ends: false, scheme: "https" },
  { app: "last-half-tls", lines: ["HTTP/1.1"], ends: true, scheme: "https" },
] as const;
/** The connection goes on, and rests. */
const KEPT = { app: "kept", lines: ["HTTP/1.1"], ends: false, scheme: "http" } as const;

test("the last response of a connection reaches a client that reads it late, to the last byte", async () => {
  const asked = new Map<string, number>();
  machine.listener = (request, answer) => {
    asked.set(request.headers.host!, Number(request.url!.slice(1)));
    // Without a length, so that a client of HTTP/1.0 could not tell a part from the whole.
    answer.write(LARGE.subarray(0, Number(request.url!.slice(1))));
    answer.end();
  };
  const [kept, ...held] = await Promise.all([KEPT, ...LAST_RESPONSES].map((kind) => largestHeld(kind, asked)));
  kept!.client.socket.resume();
  assert.equal((await kept!.client.response()).body.length, kept!.bytes);
  await node.passTime(LONGER_THAN_LINGERING_MS);
  for (const [i, { client, bytes }] of held.entries()) {
    using reading = client;
    reading.socket.resume();
    const { body } = await reading.response();
    assert.equal(body.length, bytes, LAST_RESPONSES[i]!.app);
  }
  // Although it was read late, that was its last word for as long as a connection may rest.
  await node.endsAfter(KEEP_ALIVE_MS - LONGER_THAN_LINGERING_MS, kept!.client.untilEnd());
});

type LastResponse = (typeof LAST_RESPONSES)[number] | typeof KEPT;

interface Held {
  readonly client: RawClient;
  readonly bytes: number;
}

/** Finds how much the edge and the kernel take from the machine for a client that does not read, and such a client. */
async function largestHeld({ app, lines, ends, scheme }: LastResponse, asked: ReadonlyMap<string, number>): Promise<Held> {
  const [version, ...more] = lines;
  let least = 64 * 1024;
  let most = LARGE.length;
  let held: Held | null = null;
  while (held === null || most - least > RESOLUTION_BYTES) {
    const bytes = (least + most) >> 1;
    const client = await connect(scheme, `${app}.localhost`);
    client.socket.pause();
    client.send([`GET /${bytes} ${version}`, `host: ${app}.localhost`, ...more, "", ""].join("\r\n"));
    if (ends) client.end();
    await eventually(() => asked.get(`${app}.localhost`) === bytes, "the request");
    if (await isSoWithin(150, () => node.node.control.inFlight(`${app}-1`) === 0)) {
      held?.client.socket.destroy();
      held = { client, bytes };
      least = bytes;
    } else {
      client.reset();
      most = bytes;
    }
  }
  return held;
}

async function connect(scheme: "http" | "https", servername: string): Promise<RawClient> {
  if (scheme === "http") return await RawClient.connect(node.httpPort);
  return await RawClient.connectTls(node.httpsPort, { ca: rootOf(node), servername });
}

function open(scheme: "http" | "https", method: string): ClientRequest {
  const options = { method, headers: { host: HOST }, agent: false } as const;
  if (scheme === "http") return httpRequest({ port: node.httpPort, ...options });
  return httpsRequest({ port: node.httpsPort, ca: rootOf(node), servername: HOST, ...options });
}

/** Many blocks, and how much of them was taken. */
function assertSmall(grown: number): void {
  assert.ok(grown < MOST_MEMORY, `the process grew by ${grown} bytes`);
}
