// Back-pressure: who reads slowly slows down who writes, the node keeps little in between, and nothing is lost at the end.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { request as httpsRequest } from "node:https";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { startBackend, staticApp } from "../support/backend.ts";
import { HOST, rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";

type Listener = (request: IncomingMessage, answer: ServerResponse) => void;

const machine: { listener: Listener } = { listener: () => {} };
const backend = await startBackend((request, answer) => machine.listener(request, answer));
const node = await startTestNode({ apps: { hello: staticApp("hello", backend.port) } });
after(async () => {
  await backend[Symbol.asyncDispose]();
  await node[Symbol.asyncDispose]();
});

const BLOCK = Buffer.alloc(256 * 1024, "0123456789abcdef");
/** Together far more than the kernel keeps for two connections. */
const BLOCKS = 256;
/** More than the kernel keeps for one connection. */
const LARGE = Buffer.alloc(12 * 1024 * 1024, BLOCK);
const LONG_PAUSE_MS = 3000;
const TOTAL_SUM = sumOf(Array.from({ length: BLOCKS }, () => BLOCK));
/** What the kernel holds for two connections at most; the node's own share is small beside it. */
const MOST_IN_BETWEEN = 32 * 1024 * 1024;
/** What the node may grow by while four times as much wants to pass. */
const MOST_MEMORY = 16 * 1024 * 1024;

for (const scheme of ["http", "https"] as const) {
  test(`a client that does not read over ${scheme} stops the machine, and gets everything once it reads`, async () => {
    const source = new Blocks();
    machine.listener = (_, answer) => void pipeline(source.stream, answer);
    const [answer] = (await once(open(scheme, "GET").end(), "response")) as [IncomingMessage];
    const before = process.memoryUsage.rss();
    await source.untilStill();
    assert.ok(source.bytes < MOST_IN_BETWEEN, `${source.bytes} bytes were taken from the machine`);
    assertSmall(process.memoryUsage.rss() - before);
    assert.equal(await sumOfStream(answer), TOTAL_SUM);
  });

  test(`a machine that does not read stops a client that sends over ${scheme}, and gets everything once it reads`, async () => {
    const { promise: arrived, resolve: onArrived } = Promise.withResolvers<[IncomingMessage, ServerResponse]>();
    machine.listener = (request, answer) => onArrived([request, answer]);
    const source = new Blocks();
    const upload = open(scheme, "POST");
    void pipeline(source.stream, upload);
    const [request, answer] = await arrived;
    const before = process.memoryUsage.rss();
    await source.untilStill();
    assert.ok(source.bytes < MOST_IN_BETWEEN, `${source.bytes} bytes were taken from the client`);
    assertSmall(process.memoryUsage.rss() - before);
    assert.equal(await sumOfStream(request), TOTAL_SUM);
    answer.end("thanks");
    const [response] = (await once(upload, "response")) as [IncomingMessage];
    assert.equal(String(Buffer.concat(await response.toArray())), "thanks");
  });
}

for (const scheme of ["http", "https"] as const) {
  for (const [kind, lines] of [
    ["asks for the connection to be closed", ["GET / HTTP/1.1", `host: ${HOST}`, "connection: close"]],
    ["speaks HTTP/1.0", ["GET / HTTP/1.0", `host: ${HOST}`]],
    ["keeps the connection", ["GET / HTTP/1.1", `host: ${HOST}`]],
  ] as const) {
    test(`a client that ${kind} over ${scheme} and reads late gets the whole response`, async () => {
      machine.listener = (_, answer) => answer.end(LARGE);
      using client = await connect(scheme);
      client.send(`${lines.join("\r\n")}\r\n\r\n`);
      await readUntilMachineIsDone(client);
      // Longer than the edge lingers on a connection that it has ended.
      await delay(LONG_PAUSE_MS);
      client.socket.resume();
      assert.equal((await client.response()).body.length, LARGE.length);
    });
  }

  test(`a client that closes its sending side over ${scheme} gets the whole response`, async () => {
    machine.listener = (_, answer) => answer.end(LARGE);
    using client = await connect(scheme);
    client.send(`GET / HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`).end();
    await readUntilMachineIsDone(client);
    client.socket.resume();
    assert.equal((await client.response()).body.length, LARGE.length);
  });
}

/** Reads a little at a time, until the edge has everything from the machine and holds what the client has not read. */
async function readUntilMachineIsDone(client: RawClient): Promise<void> {
  await once(client.socket, "data");
  await eventually(async () => {
    client.socket.pause();
    await delay(1);
    client.socket.resume();
    await once(client.socket, "data");
    return node.node.control.inFlight("hello-1") === 0;
  }, "the machine to be done");
  client.socket.pause();
}

async function connect(scheme: "http" | "https"): Promise<RawClient> {
  if (scheme === "http") return await RawClient.connect(node.httpPort);
  return await RawClient.connectTls(node.httpsPort, { ca: rootOf(node), servername: HOST, allowHalfOpen: true });
}

function open(scheme: "http" | "https", method: string): ClientRequest {
  const options = { method, headers: { host: HOST }, agent: false } as const;
  if (scheme === "http") return httpRequest({ port: node.httpPort, ...options });
  return httpsRequest({ port: node.httpsPort, ca: rootOf(node), servername: HOST, ...options });
}

/** Many blocks, and how much of them was taken. */
class Blocks {
  bytes = 0;
  readonly stream: Readable;

  constructor() {
    this.stream = Readable.from(this.#blocks(), { objectMode: false, highWaterMark: 1 });
  }

  /** Resolves when nothing more is taken. */
  async untilStill(): Promise<void> {
    let before = 0;
    const isStill = async (): Promise<boolean> => {
      before = this.bytes;
      await delay(200);
      return this.bytes > 0 && this.bytes === before;
    };
    await eventually(isStill, "the transfer to stop");
  }

  *#blocks(): Generator<Buffer> {
    for (let i = 0; i < BLOCKS; i++) {
      this.bytes += BLOCK.length;
      yield BLOCK;
    }
  }
}

function assertSmall(grown: number): void {
  assert.ok(grown < MOST_MEMORY, `the process grew by ${grown} bytes`);
}

async function sumOfStream(stream: Readable): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

function sumOf(parts: readonly Buffer[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
